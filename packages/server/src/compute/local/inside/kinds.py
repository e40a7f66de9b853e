"""What waits for an exec: copies of a reaper for Python, shells, and nodes."""
import marshal
import time

import python
import worker
from changed_files import ROOT
from job import BASH, FOLDER, TYPESCRIPT, network_variables

#: What a shell that waits reads first.
SHELL_START = b'/opt/theazo/shell.sh'


class Kind:
    """How many of it wait at most, and for how long: `seconds` from their last use, or for ever."""

    def __init__(self, number, count, program=None, has_folder=False, seconds=None):
        self.number, self.count, self.program, self.has_folder, self.seconds = number, count, program, has_folder, seconds
        self.until = float('inf') if seconds is None else 0.0
        #: Hands, by age.
        self.waiting = []
        self.started = 0

    @property
    def is_forked(self):
        """By its reaper, which Python is loaded in. All else is a program of its own."""
        return self.program is None

    @property
    def wants_one(self):
        return len(self.waiting) < self.count and time.monotonic() < self.until

    def note_use(self):
        if self.seconds is not None:
            self.until = time.monotonic() + self.seconds

    def order(self):
        """What a reaper starts one by, and where that expects its code; None where it is told."""
        self.started += 1
        folder = f'{FOLDER}/0{self.started}' if self.has_folder else None  # the number of no exec begins so
        return marshal.dumps((self.number, folder)), folder


class Kinds:
    def __init__(self, warm_count, warm_nodes, warm_seconds, node_command):
        self.copies = Kind(0, warm_count)
        self.shells = Kind(1, warm_count, self.shell, has_folder=True)
        self.nodes = Kind(2, warm_nodes, self.node, seconds=warm_seconds)
        self.all = (self.copies, self.shells, self.nodes)
        worker.node_command = node_command
        #: The environment of code, but where an exec asks for another.
        self.defaults = None

    @property
    def has_shells(self):
        return self.defaults is not None and not any(map(is_for_shells, self.defaults))

    def missing(self, is_prepared):
        """One that may be started beside what is on its way, and is wanted; else None."""
        if self.shells.wants_one and self.has_shells:
            return self.shells
        return self.copies if is_prepared and self.copies.wants_one else None

    def wanted(self, is_forked):
        """How many of those that may wait at a time."""
        if is_forked:
            return self.copies.count
        return self.shells.count + (self.nodes.count if time.monotonic() < self.nodes.until else 0)

    def of(self, job, mode):
        """The kind that an exec needs, and what that one is told."""
        if job.lang == TYPESCRIPT and not job.needs_fresh_interpreter:
            self.nodes.note_use()
            return self.nodes, job.for_node()
        # A shell has been started where most execs want it to be.
        if job.lang == BASH and self.has_shells and job.env == self.defaults and job.cwd == ROOT and mode & 0o700 == 0o700:
            return self.shells, b'%d\n' % worker.process_limit()
        return self.copies, job.for_copy()

    def prepare_copies(self):
        if python.is_prepared() and not python.is_set_up:
            python.set_up_for_copies(self.defaults)

    def rehearse_copy(self):
        python.rehearse(self.defaults)

    def shell(self, folder):
        return [worker.BASH_PATH, f'{folder}/main.sh'], ROOT, {**self.defaults, b'BASH_ENV': SHELL_START}

    def node(self, _folder):
        limited = [worker.BASH_PATH, '-c', worker.LIMITED, str(worker.process_limit()), *worker.node_command]
        return limited, '/', {b'PATH': b'/usr/bin:/bin', **network_variables}


def is_for_shells(name):
    """It decides how a bash starts, and perhaps that it does not read what it would wait in."""
    return name.startswith((b'BASH', b'SHELL', b'POSIX'))
