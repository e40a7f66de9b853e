"""Processes that were started ahead and wait for a job, each below a reaper of its own."""
import marshal
import os
import time
from _signal import SIGCONT

import processes
import worker
from child import child, keep
from job import FOLDER, fill
from reaper import Reaper

#: What a pipe takes even if nobody reads: code may have stopped who should.
MAX_HANDED = 60_000


class Waiting:
    __slots__ = ('reaper', 'pipes', 'stdin', 'folder')

    def __init__(self, reaper, pipes, stdin, folder):
        self.reaper = reaper
        #: To the reaper, and to what waits below it.
        self.pipes = pipes
        #: The file that is standard input.
        self.stdin = stdin
        #: Where it expects the code; None where it is told.
        self.folder = folder

    def close(self):
        for fd in (*self.pipes, self.stdin):
            os.close(fd)


class Ahead:
    """Those of one kind."""

    def __init__(self, last_change, count, become, has_folder=False, seconds=None):
        """`become(folder)` returns only with a job of Python's. They wait `seconds` from their last use, or for ever."""
        self.last_change, self.count, self.become = last_change, count, become
        self.has_folder, self.seconds = has_folder, seconds
        self.until = float('inf') if seconds is None else 0.0
        self.waiting = []
        self.started = 0

    @property
    def wants_one(self):
        return len(self.waiting) < self.count and time.monotonic() < self.until

    def note_use(self):
        if self.seconds is not None:
            self.until = time.monotonic() + self.seconds

    def start_one(self):
        """The reaper's pid; with a job of Python's in the process that is to become it."""
        self.started += 1
        folder = f'{FOLDER}/0{self.started}' if self.has_folder else None  # the number of no exec begins so
        stdin, to_reaper, to_worker = os.memfd_create('stdin'), os.pipe(), os.pipe()
        try:
            reaper = os.fork()
        except OSError:
            for fd in (stdin, *to_reaper, *to_worker):
                os.close(fd)
            raise
        if reaper == 0:
            with child():
                keep(stdin, to_reaper[0], to_worker[0])
                worker.hold(Reaper(self.last_change).run_ahead())
                worker.leave()
                return 0, self.become(folder)
        os.close(to_reaper[0])
        os.close(to_worker[0])
        self.waiting.append(Waiting(reaper, (to_reaper[1], to_worker[1]), stdin, folder))
        return reaper, None

    def hand_over(self, job, for_worker):
        """The pid of the reaper that has it now; None where nobody waits."""
        while self.waiting and len(for_worker) <= MAX_HANDED:
            first = self.waiting.pop(0)
            try:
                if first.folder:
                    job.move_to(first.folder)
                processes.signal(first.reaper, SIGCONT)  # code may have stopped it
                if job.stdin:
                    fill(first.stdin, job.stdin)
                # The reaper first: it must not see an end of what it has not been told of.
                for pipe, what in zip(first.pipes, (marshal.dumps(job.for_reaper()), for_worker)):
                    os.write(pipe, what)
                return first.reaper
            except BrokenPipeError:
                continue  # code has killed it
            finally:
                first.close()
        return None

    def forget(self, reaper):
        """One that has ended while it waited."""
        for found in [each for each in self.waiting if each.reaper == reaper]:
            self.waiting.remove(found)
            found.close()

    def give_up(self):
        """The pids of all; they are to be ended."""
        given, self.waiting = self.waiting, []
        for each in given:
            each.close()
        return [each.reaper for each in given]
