"""What the launcher starts, and how it ends: tools of the system, and sandboxes."""
import os
from _signal import SIGCONT, SIGKILL, pidfd_send_signal

#: Descriptors of bubblewrap, numbered as launcher.ts has them; the sandbox's pid 1 keeps the first two.
DOWN_FD, UP_FD, OPTIONS_FD, SECCOMP_FD, STATUS_FD, BLOCK_FD = range(3, 9)
READ_BYTES = 65536
#: Of what a child says: of its output the end, of its complaints the start.
KEPT_BYTES = 4096


class Child:
    """A process of its own group, and the pipes that are read here."""

    def __init__(self, launcher, number):
        self.launcher, self.number = launcher, number
        self.pid = None
        self.status = None
        #: What it has said, by what that is.
        self.texts = {}
        #: Pipes that are read here and have not ended.
        self.open = 0
        #: Descriptors that are its own once it has started.
        self.given = []

    def give(self, fd):
        self.given.append(fd)
        return fd

    def read_from(self, take):
        """The write end of a pipe; `take` gets what comes out of it."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        self.open += 1
        self.launcher.watch(read, lambda: self.read(read, take))
        return self.give(write)

    def read(self, fd, take):
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            take(data)
            return
        self.launcher.forget(fd)
        os.close(fd)
        self.open -= 1
        self.tell_end()

    def keep_start(self, name):
        self.texts[name] = b''

        def take(data):
            self.texts[name] = (self.texts[name] + data)[:KEPT_BYTES]

        return take

    def keep_end(self, name):
        self.texts[name] = b''

        def take(data):
            self.texts[name] = (self.texts[name] + data)[-KEPT_BYTES:]

        return take

    def has_ended(self, status):
        self.status = status
        self.tell_end()

    def tell_end(self):
        """Once it is dead, and whoever it has left its pipes to."""
        if self.status is not None and self.open == 0:
            del self.launcher.children[self.number]
            self.launcher.tell('ended', self.number, self.status, self.texts.get('output', b''), self.texts['complaint'])


class Tool(Child):
    def start(self, *argv):
        out = self.read_from(self.keep_end('output'))
        err = self.read_from(self.keep_start('complaint'))
        self.pid = self.launcher.spawn(argv, {1: out, 2: err})

    def kill(self):
        if self.status is None:
            signal(os.killpg, self.pid, SIGKILL)


class Sandbox(Child):
    def __init__(self, launcher, number):
        super().__init__(launcher, number)
        #: Ends of its pipes that the server has not opened yet, and their names.
        self.far_ends, self.names = [], []
        self.said = b''
        #: Of its pid 1, once bubblewrap has told it.
        self.first = None
        self.groups = []
        self.block = None
        self.is_killed = False

    def start(self, uid, gid, seccomp, options, groups, *argv):
        self.groups = os.fsdecode(groups).split('\0') if groups else []
        read_block, self.block = os.pipe()
        fds = {
            BLOCK_FD: self.give(read_block),
            2: self.read_from(self.keep_start('complaint')),
            DOWN_FD: self.make_pipe('down', is_read_by_server=False),
            UP_FD: self.make_pipe('up', is_read_by_server=True),
            OPTIONS_FD: self.give(file_with(options)),
            SECCOMP_FD: self.give(file_with(seccomp)),
            STATUS_FD: self.read_from(self.take_status),
        }
        self.pid = self.launcher.spawn(argv, fds, (int(uid), int(gid)))
        self.launcher.tell('started', self.number)

    def make_pipe(self, name, is_read_by_server):
        """The child's end. The server opens the other one by its name."""
        path = f'{self.launcher.folder}/{self.number}.{name}'
        os.mkfifo(path, 0o600)
        self.names.append(path)
        read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        (self.far_ends if is_read_by_server else self.given).append(read)
        write = os.open(path, os.O_WRONLY)
        (self.given if is_read_by_server else self.far_ends).append(write)
        os.set_blocking(read, True)
        return write if is_read_by_server else read

    def close_far_ends(self):
        while self.far_ends:
            os.close(self.far_ends.pop())
        while self.names:
            os.unlink(self.names.pop())

    def take_status(self, data):
        """Bubblewrap tells whom it has cloned, who then waits; at the end it tells a code that nobody needs."""
        self.said = (self.said + data)[:KEPT_BYTES]
        text = self.said.partition(b'"child-pid": ')[2]
        digits = text[: len(text) - len(text.lstrip(b'0123456789'))]
        if self.first is not None or self.is_killed or len(digits) == len(text):
            return
        try:
            self.first = os.pidfd_open(int(digits))
            for path in self.groups:
                write_file(f'{path}/cgroup.procs', digits)
            self.launcher.tell('first', self.number, int(digits))
            os.write(self.block, b'.')
            os.close(self.block)
            self.block = None
        except OSError as error:
            self.texts['complaint'] = self.texts['complaint'] or str(error).encode()
            self.kill()

    def kill(self):
        self.is_killed = True
        if self.first is not None:
            signal(pidfd_send_signal, self.first, SIGKILL)
        elif self.status is None and not self.kill_clones():
            signal(os.killpg, self.pid, SIGKILL)  # a clone is born into it
        if self.status is None:
            signal(os.kill, self.pid, SIGCONT)  # or it would bury nothing, should anybody have stopped it

    def kill_clones(self):
        clones = read_file(f'/proc/{self.pid}/task/{self.pid}/children').split()
        for pid in clones:
            signal(os.kill, int(pid), SIGKILL)
        return bool(clones)

    def has_ended(self, status):
        self.status = status
        self.kill()  # what bubblewrap has left, should it have been killed itself
        self.close_far_ends()
        for fd in (self.first, self.block):
            if fd is not None:
                os.close(fd)
        self.first = self.block = None
        self.tell_end()


def signal(send, whom, number):
    """Whoever is gone needs none; a bubblewrap that is setuid takes none from a plain user."""
    try:
        send(whom, number)
    except (ProcessLookupError, PermissionError):
        pass


def file_with(content):
    fd = os.memfd_create('for bubblewrap')
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_file(path):
    try:
        with open(path, 'rb', buffering=0) as file:
            return file.read()
    except OSError:
        return b''


def write_file(path, content):
    with open(path, 'wb', buffering=0) as file:
        file.write(content)
