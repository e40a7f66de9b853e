"""The launcher: starts sandboxes and tools of the system for the server. It kills them on an order, and when the server is gone.
The other side is launcher.ts.

It is a small process beside the server, because a fork stalls the server: its page tables are copied, and then each page that
it writes. The launcher does not fork either: a child shares its memory until it runs another program (posix_spawn).

The launcher can kill a sandbox at every moment of its start (docs/decisions/0012): it kills pid 1, and bubblewrap waits for
that. If it killed bubblewrap, a clone that does not die with its parent yet would live on.
"""
import os
import resource
import sys
import time
from _signal import SIG_DFL, SIG_IGN, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGSTOP, SIGTERM, set_wakeup_fd
from _signal import signal as handle
from _struct import Struct
from select import POLLIN, poll

from children import BLOCK_FD, READ_BYTES, Sandbox, Tool

LENGTH = Struct('<I')
ORDERS_FD, ANSWERS_FD = 0, 1
#: The status of a command that could not be started, as in shells.
NOT_STARTED = 127
IS_ROOT = os.getuid() == 0
#: How long sandboxes may take to die once the server is gone.
END_SECONDS = 10
#: Signals whose disposition a process may set; 32 and 33 are reserved by glibc.
SIGNALS = [number for number in range(1, 65) if number not in (SIGKILL, SIGSTOP, 32, 33)]


class Launcher:
    def __init__(self, folder):
        #: The folder of the named pipes, which exist until the server has opened them.
        self.folder = folder
        self.children = {}
        self.poller = poll()
        self.readers = {}
        self.null = 0
        while self.null <= BLOCK_FD:  # reserves the numbers that a child's descriptors have
            self.null = os.open('/dev/null', os.O_RDWR)

    def serve(self):
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        handle(SIGCHLD, lambda *_: None)
        set_wakeup_fd(write, warn_on_full_buffer=False)
        self.watch(read, lambda: self.reap_children(read))
        self.watch(ORDERS_FD, self.read_orders)
        self.received = bytearray()
        self.until = None
        while self.until is None or (self.children and time.monotonic() < self.until):
            for fd, _events in self.poller.poll(None if self.until is None else 1000):
                if fd in self.readers:
                    self.readers[fd]()

    def watch(self, fd, read):
        self.readers[fd] = read
        self.poller.register(fd, POLLIN)

    def forget(self, fd):
        self.poller.unregister(fd)
        del self.readers[fd]

    def read_orders(self):
        data = os.read(ORDERS_FD, READ_BYTES)
        if not data:
            return self.end()
        self.received += data
        while len(self.received) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self.received)[0]
            if len(self.received) < end:
                return None
            fields = fields_of(bytes(memoryview(self.received)[LENGTH.size : end]))
            del self.received[:end]
            self.handle_order(*fields)
        return None

    def handle_order(self, kind, number, *fields):
        number = int(number)
        child = self.children.get(number)
        if kind == b'sandbox':
            self.start(Sandbox(self, number), fields)
        elif kind == b'tool':
            self.start(Tool(self, number), fields)
        elif child is None:
            pass  # it has ended; the server has not read that yet
        elif kind == b'kill':
            child.kill()
        elif kind == b'opened':
            child.close_server_ends()

    def start(self, child, fields):
        self.children[child.number] = child
        try:
            child.start(*fields)
        except OSError as error:
            child.texts['complaint'] = f'{error.filename or "It"}: {error.strerror}'.encode()
            child.has_ended(NOT_STARTED)
        finally:
            for fd in child.given:
                os.close(fd)

    def spawn(self, argv, fds, user=None):
        """@param fds {descriptor of the child: descriptor here}. @param user the child's (uid, gid), if this process is root."""
        actions = [(os.POSIX_SPAWN_DUP2, fds.get(place, self.null), place) for place in {0, 1, 2, *fds}]
        env = {'PATH': os.environ['PATH']}
        settings = {'file_actions': actions, 'setpgroup': 0, 'setsigdef': SIGNALS, 'setsigmask': ()}
        if user is None or not IS_ROOT:
            return os.posix_spawnp(argv[0], argv, env, **settings)
        try:
            # execve(2) copies the effective id to the saved id, so the child cannot become root again.
            os.setresgid(user[1], user[1], 0)
            os.setresuid(user[0], user[0], 0)
            return os.posix_spawnp(argv[0], argv, env, **settings)
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)

    def reap_children(self, fd):
        os.read(fd, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in [each for each in self.children.values() if each.pid == pid]:
                child.has_ended(os.waitstatus_to_exitcode(status))

    def end(self):
        """The server is gone."""
        self.forget(ORDERS_FD)
        self.until = time.monotonic() + END_SECONDS
        for child in list(self.children.values()):
            child.kill()

    def send(self, kind, number, *fields):
        fields = [field if isinstance(field, bytes) else str(field).encode() for field in (kind, number, *fields)]
        payload = b''.join(LENGTH.pack(len(field)) + field for field in fields)
        data = memoryview(LENGTH.pack(len(payload)) + payload)
        try:
            while data:
                data = data[os.write(ANSWERS_FD, data) :]
        except BrokenPipeError:
            pass  # the server is gone; the end of the orders is read next


def fields_of(payload):
    fields, offset = [], 0
    while offset < len(payload):
        (length,) = LENGTH.unpack_from(payload, offset)
        offset += LENGTH.size
        fields.append(payload[offset : offset + length])
        offset += length
    return fields


def main(folder):
    os.closerange(3, 1 << 20)  # descriptors that the server has inherited: children would inherit them, too
    for number in SIGNALS:
        handle(number, SIG_IGN if number in (SIGHUP, SIGINT, SIGTERM, SIGPIPE) else SIG_DFL)  # the server handles these
    if IS_ROOT:
        os.setgroups([])
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # each sandbox needs several here
    Launcher(folder).serve()


main(sys.argv[1])
