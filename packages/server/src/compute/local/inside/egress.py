"""The way out of a sandbox that has a network: what connects to a port of its loopback is passed on to the proxy, whose
socket is bound into the sandbox and is outside of it.

The process that does it is a child of the supervisor, which keeps the listening socket: where code has killed this one,
connections wait for the next, and nobody else can take the port. It decides nothing. Code that goes to the proxy by
itself gains nothing.
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
from child import child
from worker import NICENESS

ADDRESS, PORT = '127.0.0.1', 3128
LISTENER_FD = 3
#: Connections at a time; the others wait. The proxy has its own limit, and says so.
MAX_CONNECTIONS = 160
#: Of a connection each way.
PIECE_BYTES = 65536
#: From the end of one to the start of the next: where code kills each of them, that costs nobody else anything.
AGAIN_SECONDS, MAX_AGAIN_SECONDS = 0.05, 5.0
#: One that has lived so long was not killed in a loop.
GOOD_SECONDS = 10.0
#: Between two looks whether a client that has ended what it sends is still there.
LOOK_SECONDS, MAX_LOOK_SECONDS = 0.05, 2.0


def proxy_variables():
    """By which programs find the proxy."""
    url = f'http://{ADDRESS}:{PORT}'.encode()
    found = {name: url for name in (b'HTTP_PROXY', b'HTTPS_PROXY', b'http_proxy', b'https_proxy')}
    found[b'NO_PROXY'] = found[b'no_proxy'] = b'localhost,127.0.0.1,::1'
    found[b'NODE_USE_ENV_PROXY'] = b'1'  # or node's fetch would not look at them
    return found


class Egress:
    """For the supervisor: keeps one forwarder running."""

    def __init__(self, proxy_path):
        self.proxy_path = proxy_path
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        listener.bind((ADDRESS, PORT))
        listener.listen(256)
        self.listener_fd = listener.detach()  # an object would close that number in every process that inherits it
        self.pid = None
        self.start_at = self.started_at = 0.0
        self.again_seconds = AGAIN_SECONDS
        job.network_variables.update(proxy_variables())

    def due(self):
        return [self.start_at] if self.pid is None else []

    def start(self):
        """In time; the new process never returns. True where there is one."""
        now = time.monotonic()
        if self.pid is not None or now < self.start_at:
            return False
        self.started_at = now
        try:
            self.pid = os.fork()
        except OSError:
            self.start_at = now + MAX_AGAIN_SECONDS  # code has taken them all
            return False
        if self.pid == 0:
            with child():
                titles.set_title(titles.EGRESS)
                Forwarder(keep_only(self.listener_fd), self.proxy_path).serve()
            os._exit(0)
        return True

    def bury(self, pid, status):
        """False where it was another process."""
        if pid != self.pid:
            return False
        if os.WIFSTOPPED(status):
            processes.signal(pid, SIGCONT)
            return True
        now = time.monotonic()
        if now - self.started_at >= GOOD_SECONDS:
            self.again_seconds = AGAIN_SECONDS
        self.start_at = now + self.again_seconds
        self.again_seconds = min(2 * self.again_seconds, MAX_AGAIN_SECONDS)
        self.pid = None
        return True


def keep_only(listener_fd):
    """Nothing of the supervisor's is left but this."""
    set_wakeup_fd(-1)
    handle(SIGCHLD, SIG_DFL)
    os.nice(NICENESS)  # what it does it does for code
    nothing = os.open('/dev/null', os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    os.dup2(listener_fd, LISTENER_FD)
    os.closerange(LISTENER_FD + 1, 65536)
    kept = socket(fileno=LISTENER_FD)
    kept.setblocking(False)
    return kept


class Side:
    """One end of a connection, and what is on its way to it."""

    def __init__(self, sock, other):
        self.sock = sock
        #: By its number: two that named each other would never be freed, as nothing collects here.
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
        #: Of clients that have ended what they send, by descriptor: when to look at them again, and how long after that.
        self.halves = {}
        soft = os.sysconf('SC_OPEN_MAX')
        self.most = max(1, min(MAX_CONNECTIONS, (soft - 16) // 2))

    def serve(self):
        while True:
            for fd, _events in self.poll.poll(self.wait_seconds()):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.sides:
                    self.move(fd)
            self.look_at_halves()

    def wait_seconds(self):
        if not self.halves:
            return None
        return max(0.0, min(at for at, _again in self.halves.values()) - time.monotonic())

    def accept(self):
        try:
            client = socket(fileno=self.listener._accept()[0])
        except OSError:
            return  # it has gone again
        proxy = None
        try:
            client.setblocking(False)
            proxy = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
            proxy.connect(self.proxy_path)  # at once, or not at all
        except OSError:
            client.close()
            if proxy:
                proxy.close()
            return
        one, two = client.fileno(), proxy.fileno()
        self.sides[one], self.sides[two] = Side(client, two), Side(proxy, one)
        self.watch(one)
        self.watch(two)
        self.take_more_or_not()

    def take_more_or_not(self):
        is_full = len(self.sides) >= 2 * self.most
        if is_full != self.is_full:
            self.is_full = is_full
            self.poll.modify(self.listener.fileno(), 0 if is_full else EPOLLIN)

    def move(self, fd):
        """Whatever it is ready for; all of it is found out by trying."""
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
            data = side.sock.recv(PIECE_BYTES)
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
            self.halves.setdefault(client.sock.fileno(), (time.monotonic() + LOOK_SECONDS, LOOK_SECONDS))

    def watch(self, fd):
        """Nothing is waited for that could not be handled: a socket whose other end is gone is always ready."""
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
            self.sides.pop(each).sock.close()  # epoll forgets it by that
            self.halves.pop(each, None)
        self.take_more_or_not()

    def look_at_halves(self):
        """A client that has closed its socket looks like one that has only ended what it sends, until something is sent to
        it, which may be never. But the kernel's table tells that its socket belongs to nobody any more."""
        now = time.monotonic()
        due = [fd for fd, (at, _again) in self.halves.items() if at <= now]
        if not due:
            return
        owned = owned_ports()
        for fd in due:
            proxy = self.sides[self.sides[fd].other]
            again = min(2 * self.halves[fd][1], MAX_LOOK_SECONDS)
            self.halves[fd] = (now + again, again)
            try:
                is_gone = self.sides[fd].sock.getpeername()[1] not in owned
            except OSError:
                is_gone = True
            if is_gone and not proxy.pending:  # what it has sent before is passed on
                self.close(fd)


def owned_ports():
    """Ports of the loopback that have connections to ours which a process still holds (proc_net_tcp: the inode is not 0)."""
    found = set()
    for name in ('tcp', 'tcp6'):  # IPv4 by a socket of IPv6, too
        with open(f'/proc/net/{name}', 'rb') as table:
            next(table)
            for line in table:
                fields = line.split(None, 10)
                if int(fields[2].rpartition(b':')[2], 16) == PORT and fields[9] != b'0':
                    found.add(int(fields[1].rpartition(b':')[2], 16))
    return found
