"""What is started ahead: copies of the supervisor for Python and bash, shells, and nodes."""
import python
import worker
from ahead import Ahead
from changed_files import ROOT
from job import BASH, TYPESCRIPT, network_variables
from reaper import QUIET_MS

#: What a shell that waits reads first.
SHELL_START = b'/opt/theazo/shell.sh'


class Kinds:
    def __init__(self, last_change, warm_count, warm_nodes, warm_seconds, typescript):
        self.copies = Ahead(last_change, warm_count, self.become_copy)
        self.shells = Ahead(last_change, warm_count, self.become_shell, has_folder=True)
        self.nodes = Ahead(last_change, warm_nodes, self.become_node, seconds=warm_seconds)
        self.typescript = typescript
        #: The environment of code, but where an exec asks for another.
        self.defaults = None

    def __iter__(self):
        return iter((self.shells, self.copies, self.nodes))

    def missing(self, is_prepared):
        """One that may be started beside what is on its way, and is wanted; else None."""
        if self.shells.wants_one and self.defaults is not None and not any(map(is_for_shells, self.defaults)):
            return self.shells
        return self.copies if is_prepared and self.copies.wants_one else None

    def hand_over(self, job, mode):
        """To a process that waits: the pid of its reaper. None where none does, or none that would do."""
        if job.lang == TYPESCRIPT:
            if job.needs_fresh_interpreter:
                return None
            self.nodes.note_use()
            return self.nodes.hand_over(job, job.for_node())
        # A shell that waits has been started where most execs want it to be.
        if job.lang == BASH and job.env == self.defaults and job.cwd == ROOT and mode & 0o700 == 0o700:
            reaper = self.shells.hand_over(job, b'\n')
            if reaper is not None:
                return reaper
        return self.copies.hand_over(job, job.for_copy())

    def become_copy(self, _folder):
        return worker.take_job(lambda: python.rehearse(self.defaults), QUIET_MS)

    def become_node(self, _folder):
        env = {b'PATH': b'/usr/bin:/bin', **network_variables}
        worker.run_program(self.typescript, '/', env, worker.END_OF_HELD)

    def become_shell(self, folder):
        env = {**self.defaults, b'BASH_ENV': SHELL_START}
        worker.run_program([worker.BASH_PATH, f'{folder}/main.sh'], ROOT, env, worker.END_OF_HELD)


def is_for_shells(name):
    """It decides how a bash starts, and perhaps that it does not read what it would wait in."""
    return name.startswith((b'BASH', b'SHELL', b'POSIX'))
