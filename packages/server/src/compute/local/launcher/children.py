"""The child processes of the launcher: tools of the system, and sandboxes."""
import os
from _signal import SIGCONT, SIGKILL, pidfd_send_signal

#: Descriptors of bubblewrap, the same as in launcher.ts. The first two stay open in the sandbox's pid 1.
DOWN_FD, UP_FD, OPTIONS_FD, SECCOMP_FD, STATUS_FD, BLOCK_FD = range(3, 9)
READ_BYTES = 65536
#: How much is kept of the end of a child's output, and of the start of its error output.
KEPT_BYTES = 4096


class Child:
    """A process in its own process group, and the pipes that the launcher reads."""

    def __init__(self, launcher, number):
        self.launcher, self.number = launcher, number
        self.pid = None
        self.status = None
        #: Its output and its error output (`complaint`), by name.
        self.texts = {}
        #: How many pipes are read here and have not ended.
        self.open = 0
        #: Descriptors for the child; they are closed here once it has started.
        self.given = []

    def give(self, fd):
        self.given.append(fd)
        return fd

    def read_from(self, on_data):
        """Creates a pipe and returns its write end. `on_data` receives the data from it."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        self.open += 1
        self.launcher.watch(read, lambda: self.read(read, on_data))
        return self.give(write)

    def read(self, fd, on_data):
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            on_data(data)
            return
        self.launcher.forget(fd)
        os.close(fd)
        self.open -= 1
        self.report_end()

    def keep_start(self, name):
        self.texts[name] = b''

        def on_data(data):
            self.texts[name] = (self.texts[name] + data)[:KEPT_BYTES]

        return on_data

    def keep_end(self, name):
        self.texts[name] = b''

        def on_data(data):
            self.texts[name] = (self.texts[name] + data)[-KEPT_BYTES:]

        return on_data

    def has_ended(self, status):
        self.status = status
        self.report_end()

    def report_end(self):
        """Reports the end once the child has ended, and so has every process that has inherited its pipes."""
        if self.status is not None and self.open == 0:
            del self.launcher.children[self.number]
            self.launcher.send('ended', self.number, self.status, self.texts.get('output', b''), self.texts['complaint'])


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
        #: Server ends of its pipes, which are open here until the server has opened them, and the paths of the pipes.
        self.server_ends, self.paths = [], []
        self.status_text = b''
        #: A pidfd of its pid 1, once bubblewrap has reported the pid.
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
            STATUS_FD: self.read_from(self.on_status),
        }
        self.pid = self.launcher.spawn(argv, fds, (int(uid), int(gid)))
        self.launcher.send('started', self.number)

    def make_pipe(self, name, is_read_by_server):
        """Creates a named pipe and returns the child's end. The server opens the other end by its path."""
        path = f'{self.launcher.folder}/{self.number}.{name}'
        os.mkfifo(path, 0o600)
        self.paths.append(path)
        read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        (self.server_ends if is_read_by_server else self.given).append(read)
        write = os.open(path, os.O_WRONLY)
        (self.given if is_read_by_server else self.server_ends).append(write)
        os.set_blocking(read, True)
        return write if is_read_by_server else read

    def close_server_ends(self):
        while self.server_ends:
            os.close(self.server_ends.pop())
        while self.paths:
            os.unlink(self.paths.pop())

    def on_status(self, data):
        """Bubblewrap reports the pid of the process that it has cloned, which waits until it is in its control groups. At the end
        bubblewrap also reports an exit code, which is not used."""
        self.status_text = (self.status_text + data)[:KEPT_BYTES]
        text = self.status_text.partition(b'"child-pid": ')[2]
        digits = text[: len(text) - len(text.lstrip(b'0123456789'))]
        if self.first is not None or self.is_killed or len(digits) == len(text):
            return
        try:
            self.first = os.pidfd_open(int(digits))
            for path in self.groups:
                write_file(f'{path}/cgroup.procs', digits)
            self.launcher.send('first', self.number, int(digits))
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
            signal(os.killpg, self.pid, SIGKILL)  # a clone starts in this group
        if self.status is None:
            signal(os.kill, self.pid, SIGCONT)  # if it was stopped, it could not wait for its child

    def kill_clones(self):
        clones = read_file(f'/proc/{self.pid}/task/{self.pid}/children').split()
        for pid in clones:
            signal(os.kill, int(pid), SIGKILL)
        return bool(clones)

    def has_ended(self, status):
        self.status = status
        self.kill()  # processes that bubblewrap has left if it was killed itself
        self.close_server_ends()
        for fd in (self.first, self.block):
            if fd is not None:
                os.close(fd)
        self.first = self.block = None
        self.report_end()


def signal(send, target, number):
    """Ignores errors: the target may be gone, and a plain user cannot signal a setuid bubblewrap."""
    try:
        send(target, number)
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
