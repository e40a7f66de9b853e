"""The egress forwarder of a sandbox that has network access. It copies connections to a port of the loopback interface to the
socket of the egress proxy, which runs outside of the sandbox and whose socket is bound into it.

The forwarder is a child of the supervisor, which keeps the listening socket: if code kills the forwarder, connections wait for
the next one, and no other process can take the port. It makes no decisions, so code gains nothing by connecting to the proxy
directly.
"""
import os
import time
from _signal import SIG_DFL, SIGCHLD, SIGCONT, set_wakeup_fd
from _signal import signal as handle
from _socket import AF_INET, AF_UNIX, SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, socket
from select import EPOLLIN, EPOLLOUT, epoll

import job
import processes
import titles
from forked_child import exit_on_error
from worker import NICENESS

ADDRESS, PORT = '127.0.0.1', 3128
LISTENER_FD = 3
#: Connections at a time; further ones wait. The proxy has its own limit, which it answers with an error.
MAX_CONNECTIONS = 160
#: Read at a time, in each direction of a connection.
CHUNK_BYTES = 65536
#: From the end of one forwarder to the start of the next, so that code which kills each of them uses little of the machine.
RESTART_SECONDS, MAX_RESTART_SECONDS = 0.05, 5.0
#: A forwarder that has lived this long resets the delay.
GOOD_SECONDS = 10.0
#: Between two checks whether a client that has closed its sending half still exists.
CHECK_SECONDS, MAX_CHECK_SECONDS = 0.05, 2.0


def proxy_variables():
    """The variables by which programs find the proxy."""
    url = f'http://{ADDRESS}:{PORT}'.encode()
    found = {name: url for name in (b'HTTP_PROXY', b'HTTPS_PROXY', b'http_proxy', b'https_proxy')}
    found[b'NO_PROXY'] = found[b'no_proxy'] = b'localhost,127.0.0.1,::1'
    found[b'NODE_USE_ENV_PROXY'] = b'1'  # otherwise fetch of Node ignores the others
    return found


class Egress:
    """Keeps one forwarder running; part of the supervisor."""

    def __init__(self, proxy_path):
        self.proxy_path = proxy_path
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        listener.bind((ADDRESS, PORT))
        listener.listen(256)
        self.listener_fd = listener.detach()  # an object would close the descriptor in every process that inherits it
        self.pid = None
        self.start_at = self.started_at = 0.0
        self.restart_seconds = RESTART_SECONDS
        job.network_variables.update(proxy_variables())

    def due(self):
        """When the next forwarder is to be started; empty if one runs."""
        return [self.start_at] if self.pid is None else []

    def start(self):
        """Starts a forwarder if it is time; the new process never returns. True if one was started."""
        now = time.monotonic()
        if self.pid is not None or now < self.start_at:
            return False
        self.started_at = now
        try:
            self.pid = os.fork()
        except OSError:
            self.start_at = now + MAX_RESTART_SECONDS  # code has used up all processes
            return False
        if self.pid == 0:
            with exit_on_error():
                titles.set_title(titles.EGRESS)
                Forwarder(keep_only(self.listener_fd), self.proxy_path).serve()
            os._exit(0)
        return True

    def note_change(self, pid, status):
        """Handles the end or stop of the forwarder. False if it is another process."""
        if pid != self.pid:
            return False
        if os.WIFSTOPPED(status):
            processes.signal(pid, SIGCONT)
            return True
        now = time.monotonic()
        if now - self.started_at >= GOOD_SECONDS:
            self.restart_seconds = RESTART_SECONDS
        self.start_at = now + self.restart_seconds
        self.restart_seconds = min(2 * self.restart_seconds, MAX_RESTART_SECONDS)
        self.pid = None
        return True


def keep_only(listener_fd):
    """Gives up everything of the supervisor except the listener."""
    set_wakeup_fd(-1)
    handle(SIGCHLD, SIG_DFL)
    os.nice(NICENESS)  # like that of code: the forwarder works for code
    null = os.open('/dev/null', os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.dup2(listener_fd, LISTENER_FD)
    os.closerange(LISTENER_FD + 1, 65536)
    kept = socket(fileno=LISTENER_FD)
    kept.setblocking(False)
    return kept


class Side:
    """One end of a connection, and the data that is to be sent to it."""

    def __init__(self, sock, other):
        self.sock = sock
        #: Its descriptor. A reference would be a cycle, which is never freed, as there is no garbage collection here.
        self.other = other
        self.pending = b''
        self.has_ended = False  # it sends nothing more
        self.is_shut = False  # nothing more is sent to it
        self.events = 0


class Forwarder:
    def __init__(self, listener, proxy_path):
        self.listener = listener
        self.proxy_path = proxy_path
        self.poll = epoll()
        self.poll.register(listener.fileno(), EPOLLIN)
        self.is_full = False
        self.sides = {}
        #: Clients that have closed their sending half, by descriptor: the time of the next check, and the delay before it.
        self.halves = {}
        soft = os.sysconf('SC_OPEN_MAX')
        self.max_connections = max(1, min(MAX_CONNECTIONS, (soft - 16) // 2))

    def serve(self):
        while True:
            for fd, _events in self.poll.poll(self.wait_seconds()):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.sides:
                    self.move(fd)
            self.check_halves()

    def wait_seconds(self):
        if not self.halves:
            return None
        return max(0.0, min(at for at, _again in self.halves.values()) - time.monotonic())

    def accept(self):
        try:
            client = socket(fileno=self.listener._accept()[0])
        except OSError:
            return  # the client is gone
        proxy = None
        try:
            client.setblocking(False)
            proxy = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
            proxy.connect(self.proxy_path)  # connects or fails immediately: the socket is local
        except OSError:
            client.close()
            if proxy:
                proxy.close()
            return
        one, two = client.fileno(), proxy.fileno()
        self.sides[one], self.sides[two] = Side(client, two), Side(proxy, one)
        self.watch(one)
        self.watch(two)
        self.limit_connections()

    def limit_connections(self):
        is_full = len(self.sides) >= 2 * self.max_connections
        if is_full != self.is_full:
            self.is_full = is_full
            self.poll.modify(self.listener.fileno(), 0 if is_full else EPOLLIN)

    def move(self, fd):
        """Sends and receives as far as possible without waiting."""
        side = self.sides[fd]
        other = self.sides[side.other]
        try:
            if side.pending:
                self.send(side)
            if not side.has_ended and not other.pending:
                self.receive(side, other)
            self.end_halves(side, other)
        except OSError:
            return self.close(fd)
        if fd in self.sides:
            self.watch(fd)
            self.watch(side.other)

    @staticmethod
    def send(side):
        try:
            side.pending = side.pending[side.sock.send(side.pending) :]
        except BlockingIOError:
            pass

    @staticmethod
    def receive(side, other):
        try:
            data = side.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        if not data:
            side.has_ended = True
            return
        try:
            sent = other.sock.send(data)
        except BlockingIOError:
            sent = 0
        other.pending = data[sent:]

    def end_halves(self, side, other):
        for ended, to in ((side, other), (other, side)):
            if ended.has_ended and not to.pending and not to.is_shut:
                to.sock.shutdown(SHUT_WR)
                to.is_shut = True
        if side.is_shut and other.is_shut:
            return self.close(side.other)
        client = side if side.sock.family == AF_INET else other
        if client.has_ended:
            self.halves.setdefault(client.sock.fileno(), (time.monotonic() + CHECK_SECONDS, CHECK_SECONDS))

    def watch(self, fd):
        """Waits only for events that can be handled now: a socket whose other end is gone is always ready."""
        side = self.sides[fd]
        wanted = EPOLLOUT if side.pending else 0
        if not side.has_ended and not self.sides[side.other].pending:
            wanted |= EPOLLIN
        if wanted == side.events:
            return
        if not wanted:
            self.poll.unregister(fd)
        elif side.events:
            self.poll.modify(fd, wanted)
        else:
            self.poll.register(fd, wanted)
        side.events = wanted

    def close(self, fd):
        for each in (fd, self.sides[fd].other):
            self.sides.pop(each).sock.close()  # also removes it from epoll
            self.halves.pop(each, None)
        self.limit_connections()

    def check_halves(self):
        """Closes connections whose client is gone. A client that has closed its whole socket looks like one that has closed only
        its sending half, until something is sent to it. But the table of the kernel shows that no process owns its socket."""
        now = time.monotonic()
        due = [fd for fd, (at, _again) in self.halves.items() if at <= now]
        if not due:
            return
        owned = owned_ports()
        for fd in due:
            proxy = self.sides[self.sides[fd].other]
            again = min(2 * self.halves[fd][1], MAX_CHECK_SECONDS)
            self.halves[fd] = (now + again, again)
            try:
                is_gone = self.sides[fd].sock.getpeername()[1] not in owned
            except OSError:
                is_gone = True
            if is_gone and not proxy.pending:  # earlier data is still forwarded
                self.close(fd)


def owned_ports():
    """Local ports of connections to PORT whose socket a process still owns (proc_net_tcp: the inode is not 0)."""
    found = set()
    for name in ('tcp', 'tcp6'):  # an IPv6 socket can connect by IPv4, too
        with open(f'/proc/net/{name}', 'rb') as table:
            next(table)
            for line in table:
                fields = line.split(None, 10)
                if int(fields[2].rpartition(b':')[2], 16) == PORT and fields[9] != b'0':
                    found.add(int(fields[1].rpartition(b':')[2], 16))
    return found
