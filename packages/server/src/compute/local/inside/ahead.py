"""Processes that were started ahead and wait for a job, each below a reaper of its own."""
import marshal
import os
from _signal import SIGCONT

import processes
import python
import worker
from child import child, keep
from job import fill
from reaper import Reaper

#: What a pipe takes even if nobody reads: code may have stopped who should.
MAX_HANDED = 60_000


class Ahead:
    """Those of one kind: copies of the supervisor, or nodes."""

    def __init__(self, last_change, program=None):
        self.last_change = last_change
        self.program = program
        #: Pid of the reaper, its pipe, and the file that is standard input.
        self.waiting = []

    def start_one(self):
        """The reaper's pid; with a job of Python's in the process that is to become it."""
        stdin = os.memfd_create('stdin')
        read, write = os.pipe()
        try:
            reaper = os.fork()
        except OSError:
            for fd in (stdin, read, write):
                os.close(fd)
            raise
        if reaper == 0:
            with child():
                keep(stdin, read)
                worker.hold(*Reaper(self.last_change).run_ahead())
                worker.leave()
                if self.program:
                    worker.run_program(self.program, '/', {b'PATH': b'/usr/bin:/bin'}, worker.END_OF_HELD)
                python.rehearse()
                return 0, worker.take_job()
        os.close(read)
        self.waiting.append((reaper, write, stdin))
        return reaper, None

    def hand_over(self, job, for_worker):
        """The pid of the reaper that has it now; None where nobody waits."""
        what = marshal.dumps((job.id, job.cap, job.folder, for_worker))
        while self.waiting and len(what) <= MAX_HANDED:
            reaper, pipe, stdin = self.waiting.pop(0)
            processes.signal(reaper, SIGCONT)  # code may have stopped it
            try:
                if job.stdin:
                    fill(stdin, job.stdin)
                os.write(pipe, what)
                return reaper
            except BrokenPipeError:
                continue  # code has killed it
            finally:
                os.close(stdin)
                os.close(pipe)
        return None

    def forget(self, reaper):
        """One that has ended while it waited."""
        for found in [each for each in self.waiting if each[0] == reaper]:
            self.waiting.remove(found)
            self._close(found)

    def give_up(self):
        """The pids of all; they are to be ended."""
        given, self.waiting = self.waiting, []
        for each in given:
            self._close(each)
        return [reaper for reaper, _pipe, _stdin in given]

    @staticmethod
    def _close(each):
        os.close(each[1])
        os.close(each[2])
