"""Pools of warm processes, which wait for an exec: copies of a reaper for Python, shells, and Node processes."""
import marshal
import time

import python
import worker
from changed_files import ROOT
from job import BASH, FOLDER, TYPESCRIPT, network_variables

#: The file that a warm shell reads first.
SHELL_START = b'/opt/theazo/shell.sh'


class WarmPool:
    """At most `size` processes wait in it. They are kept for `keep_seconds` after the last use, or without a limit."""

    def __init__(self, number, size, program=None, has_folder=False, keep_seconds=None):
        self.number, self.size, self.program, self.has_folder, self.keep_seconds = number, size, program, has_folder, keep_seconds
        self.keep_until = float('inf') if keep_seconds is None else 0.0
        #: Handles of the reapers whose worker waits, the oldest first.
        self.waiting = []
        self.started = 0

    @property
    def is_forked(self):
        """True if a worker is a fork of its reaper, which has loaded Python. Every other worker is a program of its own."""
        return self.program is None

    @property
    def wants_one(self):
        return len(self.waiting) < self.size and time.monotonic() < self.keep_until

    def note_use(self):
        if self.keep_seconds is not None:
            self.keep_until = time.monotonic() + self.keep_seconds

    def order(self):
        """The packet that has a reaper start a worker, and the folder where that worker expects its code. The folder is None
        if the worker receives the path with its job."""
        self.started += 1
        folder = f'{FOLDER}/0{self.started}' if self.has_folder else None  # no exec id starts with 0
        return marshal.dumps((self.number, folder)), folder


class WarmPools:
    def __init__(self, warm_count, warm_nodes, warm_seconds, node_command):
        self.copies = WarmPool(0, warm_count)
        self.shells = WarmPool(1, warm_count, self.shell_program, has_folder=True)
        self.nodes = WarmPool(2, warm_nodes, self.node_program, keep_seconds=warm_seconds)
        self.all = (self.copies, self.shells, self.nodes)
        worker.node_command = node_command
        #: The environment of an exec that does not change it.
        self.default_env = None

    @property
    def can_use_shells(self):
        return self.default_env is not None and not any(map(affects_bash_start, self.default_env))

    def next_to_start(self, is_prepared):
        """A pool that wants a process which may be started beside the current work; None if there is none."""
        if self.shells.wants_one and self.can_use_shells:
            return self.shells
        return self.copies if is_prepared and self.copies.wants_one else None

    def max_waiting(self, is_forked):
        """How many forked processes may wait at a time, or how many others."""
        if is_forked:
            return self.copies.size
        return self.shells.size + (self.nodes.size if time.monotonic() < self.nodes.keep_until else 0)

    def pool_for(self, job, mode):
        """The pool that an exec needs, and the data that its worker receives. `mode` is that of the working directory."""
        if job.lang == TYPESCRIPT and not job.needs_fresh_interpreter:
            self.nodes.note_use()
            return self.nodes, job.for_node()
        # A warm shell has the default environment and working directory.
        if job.lang == BASH and self.can_use_shells and job.env == self.default_env and job.cwd == ROOT and mode & 0o700 == 0o700:
            return self.shells, b'%d\n' % worker.process_limit()
        return self.copies, job.for_copy()

    def prepare_copies(self):
        if python.is_prepared() and not python.is_set_up:
            python.set_up_for_copies(self.default_env)

    def rehearse_copy(self):
        python.rehearse(self.default_env)

    def shell_program(self, folder):
        return [worker.BASH_PATH, f'{folder}/main.sh'], ROOT, {**self.default_env, b'BASH_ENV': SHELL_START}

    def node_program(self, _folder):
        limited = [worker.BASH_PATH, '-c', worker.LIMITED_COMMAND, str(worker.process_limit()), *worker.node_command]
        return limited, '/', {b'PATH': b'/usr/bin:/bin', **network_variables}


def affects_bash_start(name):
    """True for a variable that decides how bash starts; with it, bash may not read the file in which a warm shell waits."""
    return name.startswith((b'BASH', b'SHELL', b'POSIX'))
