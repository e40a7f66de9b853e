"""Reapers, as the supervisor knows them."""
import marshal
import os
import time
from _signal import SIGCONT
from select import POLLIN

import lines
import processes
import wire
from job import fill, remove
from reaper import FREE, NOT_READ, NOT_STARTED, NOT_TAKEN
from unsent import Unsent

#: What a pipe takes even if nobody reads, as code may have stopped who should; it is widened for more.
PIPE_BYTES = 60_000
#: That are kept free beyond what is to wait, and for how long from the last end of an exec on. Beside an exec that takes
#: long the next is started; without a spare that is by a new reaper each time where all take long, as on a busy machine.
SPARES, SPARE_SECONDS = 1, 1.0
F_SETPIPE_SZ = 1031
#: On standard error of an exec whose reaper was killed.
KILLED_NOTE = (
    b'\nA process that watches over this code was killed by signal %d (as `kill -9 -1` does), '
    b'so the code and all that it had started were ended.\n'
)


class Hand:
    """One of them: free, or with a process below it that waits, or with an exec."""

    __slots__ = ('pid', 'line', 'is_forking', 'is_kept', 'kind', 'job', 'last', 'pipe', 'stdin', 'folder', 'unsent', 'outputs')

    def __init__(self, pid, line, unsent, is_forking, is_kept):
        self.pid, self.line, self.unsent = pid, line, unsent
        #: What the exec prints into, by kind; the reaper reads it, as long as it lives.
        self.outputs = {}
        #: It is the like of a copy itself, and starts nothing else.
        self.is_forking = is_forking
        #: It is of use for more than one exec.
        self.is_kept = is_kept
        self.kind = self.job = self.pipe = self.stdin = self.folder = None
        #: The exec before: that it has ended the server is told just after the hand was free.
        self.last = None

    @property
    def is_idle(self):
        return self.job is None and self.line is not None

    @property
    def is_free(self):
        return self.is_idle and self.kind is None

    def start(self, kind):
        """Has it start one that waits."""
        order, self.folder = kind.order()
        stdin, (read, write) = os.memfd_create('stdin'), os.pipe()
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        self.close_outputs()
        self.outputs = {wire.STDOUT: out, wire.STDERR: err}
        self.unsent.reset()
        try:
            processes.signal(self.pid, SIGCONT)  # code may have stopped it
            for fd in (out, err):
                os.set_blocking(fd, False)
            lines.send(self.line, order, (read, stdin, out, err, out_end, err_end))
        except OSError:
            os.close(write)
            os.close(stdin)
            raise
        finally:
            for fd in (read, out_end, err_end):
                os.close(fd)
        self.kind, self.pipe, self.stdin = kind, write, stdin
        kind.waiting.append(self)

    def give(self, job, what):
        """Gives what waits an exec. @throws OSError where code has killed it, or what it is told is too much."""
        self.kind.waiting.remove(self)
        try:
            if self.folder:
                job.move_to(self.folder)
            processes.signal(self.pid, SIGCONT)
            if job.stdin:
                fill(self.stdin, job.stdin)
            if len(what) > PIPE_BYTES:
                import fcntl

                fcntl.fcntl(self.pipe, F_SETPIPE_SZ, len(what))
            os.set_blocking(self.pipe, False)
            # The reaper first: it must not see an end of what it has not been told of.
            os.write(self.line, marshal.dumps(job.for_reaper()))
            if os.write(self.pipe, what) < len(what):
                raise BlockingIOError
            self.job = job
        finally:
            self.close_pipes()

    def close_pipes(self):
        for fd in (self.pipe, self.stdin):
            if fd is not None:
                os.close(fd)
        self.pipe = self.stdin = None

    def close_outputs(self):
        for fd in self.outputs.values():
            os.close(fd)
        self.outputs = {}

    def tell_rest(self):
        """What a reaper that has ended has not told of its exec's output. Flags of what was cut."""
        return 0 if self.job is None else self.unsent.send_rest(self.job.id, self.job.cap, self.outputs)

    def tell_end(self, status):
        """For a reaper that could not, as it has ended with this status. Of what has been told to have ended the server takes
        no second end."""
        flags = self.tell_rest() if os.WIFSIGNALED(status) else 0
        for job in (self.last, self.job):
            if job is None:
                continue
            remove(job.folder)
            if os.WIFSIGNALED(status):
                wire.send(job.id, wire.STDERR, KILLED_NOTE % os.WTERMSIG(status))
                wire.send(job.id, wire.EXIT, wire.EXIT_BODY.pack(128 + os.WTERMSIG(status), flags))
            elif os.WEXITSTATUS(status) == NOT_TAKEN:
                wire.send(job.id, wire.REFUSED, b'The sandbox could not start the code: what waited for it was killed.')
            elif os.WEXITSTATUS(status) == NOT_READ:
                wire.send(job.id, wire.CLOSED)
            elif os.WEXITSTATUS(status) == NOT_STARTED:
                wire.send(job.id, wire.REFUSED, b'The sandbox could not start the code: it has no room for a process.')
            else:
                wire.send(job.id, wire.LOST)

    def stop_waiting(self):
        if self.kind and self in self.kind.waiting:
            self.kind.waiting.remove(self)
        self.close_pipes()


class Hands:
    """All of them."""

    def __init__(self, kinds, waiting, become):
        """@param waiting polls their lines, too. @param become makes a new process a reaper with this line."""
        self.kinds, self.waiting, self.become = kinds, waiting, become
        self.by_pid, self.by_line = {}, {}
        #: Since somebody has last set this to False: a fork has made every page one to be copied.
        self.has_forked = False
        #: None where nobody has been kept as a spare since they were last let go of.
        self.spare_until = None

    def start_one(self, kind, is_prepared):
        """Has a process of a kind wait for an exec. Returns in that process, where it is a Python with one, and is None here.

        @throws OSError where there is no room for a process."""
        for hand in [each for each in self.by_pid.values() if each.is_free and each.is_forking == kind.is_forked]:
            try:
                return hand.start(kind)
            except (BrokenPipeError, ConnectionResetError):
                self.close(hand)  # code has killed it
        ours, theirs = lines.line()
        unsent = Unsent()
        self.has_forked = True
        try:
            pid = os.fork()
        except OSError:
            os.close(ours)
            os.close(theirs)
            raise
        if pid == 0:
            return self.become(theirs, unsent)
        os.close(theirs)
        hand = Hand(pid, ours, unsent, kind.is_forked, is_prepared or not kind.is_forked)
        self.by_pid[pid] = self.by_line[ours] = hand
        self.waiting.register(ours, POLLIN)
        return hand.start(kind)

    def hear(self, hand):
        """True where it is free again, and else about to end."""
        try:
            said = os.read(hand.line, 16)
        except ConnectionResetError:  # it was told what it did not read
            said = b''
        if said != FREE:
            self.close(hand)
            return False
        hand.last, hand.kind, hand.job = hand.job, None, None
        hand.close_outputs()
        self.let_go(SPARES)
        self.spare_until = time.monotonic() + SPARE_SECONDS
        return True

    def go_on(self):
        """Code has stopped what it could. A reaper would never tell an end; nor can one that is starting a program go on, or be
        stopped, before that has begun."""
        known = processes.table()
        for hand in self.by_pid.values():
            for pid in (hand.pid, *(processes.below(hand.pid, known) if hand.job is None else ())):
                processes.signal(pid, SIGCONT)

    def due(self):
        """When there is something to do, if there is."""
        return [] if self.spare_until is None else [self.spare_until]

    def let_go_of_spares(self):
        """Where it is time for it."""
        if self.spare_until is not None and time.monotonic() >= self.spare_until:
            self.spare_until = None
            self.let_go()

    def let_go(self, spares=0):
        """Of those that are free the ones that what is to wait does not need, but for some."""
        for is_forking in (True, False):
            idle = [each for each in self.by_pid.values() if each.is_idle and each.is_forking == is_forking]
            wanted = self.kinds.wanted(is_forking)
            for hand in [each for each in idle if each.is_free]:
                if len(idle) > wanted + (spares if wanted else 0) or not hand.is_kept:
                    self.close(hand)
                    idle.remove(hand)

    def close(self, hand):
        """Its line; it ends then, or has ended, and nothing waits below it any more."""
        if hand.line is not None:
            del self.by_line[hand.line]
            self.waiting.unregister(hand.line)
            os.close(hand.line)
            hand.line = None
            hand.stop_waiting()

    def forget(self, hand):
        """It has ended."""
        del self.by_pid[hand.pid]
        self.close(hand)
