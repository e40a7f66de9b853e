"""Starts what the server needs on the machine: sandboxes, and the system's tools. Ends it when told to, or when the server
is gone. The other side is launcher.ts.

A small process beside the server, because to fork that one stalls it: its page tables are copied, and then each page that
it touches. From here nothing is forked at all: a child shares this memory until it is another program (posix_spawn).

It is also what ends a sandbox, at every instant of its start (docs/decisions/0012): its pid 1 is killed, and bubblewrap
buries it. Killing bubblewrap would orphan a clone that has not yet asked to die with its parent.
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
#: The status of what could not be started, as shells have it.
NOT_STARTED = 127
IS_ROOT = os.getuid() == 0
#: How long sandboxes may take to die once the server is gone.
END_SECONDS = 10
#: What a process may set; 32 and 33 are glibc's own.
SIGNALS = [number for number in range(1, 65) if number not in (SIGKILL, SIGSTOP, 32, 33)]


class Launcher:
    def __init__(self, folder):
        #: Where pipes have their names, for a moment.
        self.folder = folder
        self.children = {}
        self.waiting = poll()
        self.readers = {}
        self.nothing = 0
        while self.nothing <= BLOCK_FD:  # so that no pipe here gets a number that a child knows one by
            self.nothing = os.open('/dev/null', os.O_RDWR)

    def serve(self):
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        handle(SIGCHLD, lambda *_: None)
        set_wakeup_fd(write, warn_on_full_buffer=False)
        self.watch(read, lambda: self.bury(read))
        self.watch(ORDERS_FD, self.take_orders)
        self.received = bytearray()
        self.until = None
        while self.until is None or (self.children and time.monotonic() < self.until):
            for fd, _events in self.waiting.poll(None if self.until is None else 1000):
                if fd in self.readers:
                    self.readers[fd]()

    def watch(self, fd, read):
        self.readers[fd] = read
        self.waiting.register(fd, POLLIN)

    def forget(self, fd):
        self.waiting.unregister(fd)
        del self.readers[fd]

    def take_orders(self):
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
            self.obey(*fields)
        return None

    def obey(self, kind, number, *fields):
        number = int(number)
        child = self.children.get(number)
        if kind == b'sandbox':
            self.start(Sandbox(self, number), fields)
        elif kind == b'tool':
            self.start(Tool(self, number), fields)
        elif child is None:
            pass  # it has ended, and that is on its way
        elif kind == b'kill':
            child.kill()
        elif kind == b'opened':
            child.close_far_ends()

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
        """@param fds what of it the child gets as which descriptor. @param user where this process is root."""
        actions = [(os.POSIX_SPAWN_DUP2, fds.get(place, self.nothing), place) for place in {0, 1, 2, *fds}]
        env = {'PATH': os.environ['PATH']}
        settings = {'file_actions': actions, 'setpgroup': 0, 'setsigdef': SIGNALS, 'setsigmask': ()}
        if user is None or not IS_ROOT:
            return os.posix_spawnp(argv[0], argv, env, **settings)
        try:
            # As the effective one is so will the saved one be, once the child is another program (execve(2)).
            os.setresgid(user[1], user[1], 0)
            os.setresuid(user[0], user[0], 0)
            return os.posix_spawnp(argv[0], argv, env, **settings)
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)

    def bury(self, fd):
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

    def tell(self, kind, number, *fields):
        fields = [field if isinstance(field, bytes) else str(field).encode() for field in (kind, number, *fields)]
        payload = b''.join(LENGTH.pack(len(field)) + field for field in fields)
        data = memoryview(LENGTH.pack(len(payload)) + payload)
        try:
            while data:
                data = data[os.write(ANSWERS_FD, data) :]
        except BrokenPipeError:
            pass  # the server is gone, and that is on its way


def fields_of(payload):
    fields, offset = [], 0
    while offset < len(payload):
        (length,) = LENGTH.unpack_from(payload, offset)
        offset += LENGTH.size
        fields.append(payload[offset : offset + length])
        offset += length
    return fields


def main(folder):
    os.closerange(3, 1 << 20)  # what the server has inherited: a child would have it too
    for number in SIGNALS:
        handle(number, SIG_IGN if number in (SIGHUP, SIGINT, SIGTERM, SIGPIPE) else SIG_DFL)  # the server's to answer
    if IS_ROOT:
        os.setgroups([])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each sandbox has some here
    Launcher(folder).serve()


main(sys.argv[1])
