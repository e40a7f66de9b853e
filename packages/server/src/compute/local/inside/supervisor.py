"""Pid 1 of a sandbox: takes execs from the server on a pipe, and has each run below a process of its own, its reaper.

Code in the sandbox has the same user as this process. It cannot signal it (pid 1, which the kernel spares as long as it
handles none of its signals), nor open its descriptors or memory (not dumpable). Its children are reapers, and what leads out
(egress.py): whatever else becomes one has lost its reaper, and is killed.
"""
import errno
import gc
import marshal
import mmap
import os
import stat
import sys
import time
from select import POLLIN, poll

import changed_files
import dispositions
import kernel
import processes
import python
import titles
import wire
import worker
from changed_files import ROOT
from child import child, keep
from hands import Hands
from job import BASH, Job, remove, variables
from kinds import Kinds
from network import find_egress
from reaper import QUIET_MS, Reaper, watch_children

#: Quiet time after which work is done ahead, so that it delays nothing that is on its way already; while code runs; and
#: when what Python needs is loaded in any case.
QUIET_SECONDS, BUSY_SECONDS, PREPARE_SECONDS = QUIET_MS / 1000, 0.1, 0.3
#: What a pipe holds.
READ_BYTES = 65536
#: After this a process is started ahead again where none could be, or was killed: code may have taken them all.
AGAIN_SECONDS = 1.0
#: How long after its start a sandbox makes nothing ahead if more processes want to run than RUNNABLE for each CPU: then
#: many sandboxes start at once, and what is made ahead in one delays the others.
PATIENT_SECONDS, RUNNABLE = 30.0, 2
#: A frame as the server sends them.
REHEARSAL = wire.frame(0, wire.EXEC, wire.EXEC_BODY.pack(BASH, 0, 1, 1, 0), ROOT.encode(), b'', b'echo', b'', b'NAME=value')


class Supervisor:
    def __init__(self, warm_count, warm_nodes, warm_seconds, node_flags):
        #: When an exec has last changed a file; shared with all reapers.
        self.last_change = memoryview(mmap.mmap(-1, 8)).cast('q')
        node_command = [worker.NODE_PATH, *node_flags, '--import', worker.NODE_PRELOAD, worker.NODE_ENTRY]
        self.kinds = Kinds(warm_count, warm_nodes, warm_seconds, node_command)
        #: Jobs whose start has to wait for the next tick of the files' clock, with the last one that is not to be theirs.
        self.held = []
        self.waiting = poll()
        #: Reapers.
        self.hands = Hands(self.kinds, self.waiting, self.become_reaper)
        self.egress = find_egress()
        self.quiet_at = time.monotonic() + BUSY_SECONDS  # the first exec may be on its way
        self.prepare_by = time.monotonic() + PREPARE_SECONDS
        self.patient_until = time.monotonic() + PATIENT_SECONDS
        #: When processes are started ahead again: not beside an exec that has just begun, unless it takes its time.
        self.ahead_at = 0.0
        self.is_prepared = False

    def serve(self):
        """Returns in the process of an exec only: the Python job that it is to become."""
        ended = watch_children()
        for fd in (wire.DOWN_FD, ended):
            self.waiting.register(fd, POLLIN)
        received, piece = bytearray(), bytearray(READ_BYTES)
        wire.send(0, wire.READY)
        while True:
            ready = dict(self.waiting.poll(self.wait_ms()))
            for fd in ready:
                hand = self.hands.by_line.get(fd)
                if hand is None:
                    continue
                if self.hands.hear(hand):
                    self.plan_ahead()
                elif hand.job is None:
                    self.put_off()
            if ended in ready:
                os.read(ended, 4096)
                self.bury()
            if wire.DOWN_FD in ready:
                count = os.readv(wire.DOWN_FD, [piece])
                if count == 0:
                    os._exit(0)  # the server is gone; everything here goes with pid 1
                received += memoryview(piece)[:count]
                if self.quiet_at <= time.monotonic():
                    self.quiet_at = time.monotonic() + QUIET_SECONDS
                for frame in wire.take_frames(received):
                    job = self.handle(*frame)
                    if job:
                        return job
            job = self.begin_held() or self.work_ahead()
            if job:
                return job

    def handle(self, exec_id, kind, payload):
        if kind == wire.PING:
            wire.send(exec_id, wire.PONG)
        elif kind == wire.KILL:
            self.kill(exec_id)
        elif kind == wire.EXEC:
            job = Job(exec_id, payload)
            last = self.last_change[0]
            if changed_files.now_ns() > last:
                return self.begin(job)
            self.held.append((job, last))  # what another has just changed would look like its own
        elif kind == wire.DEFAULTS:
            self.kinds.defaults = variables(wire.blobs(payload, 0))
        return None

    def begin_held(self):
        now = changed_files.now_ns()
        for each in [each for each in self.held if now > each[1]]:
            self.held.remove(each)
            job = self.begin(each[0])
            if job:
                return job
        return None

    def begin(self, job):
        """Returns the job in its own process, None in this one."""
        try:
            return self.start(job)
        except OSError as error:
            refusal = wire.REFUSED, f'The sandbox could not start the code: {error.strerror}'.encode()
            wire.send(job.id, *((wire.CLOSED,) if isinstance(error, PermissionError) else refusal))
            return None

    def start(self, job):
        try:
            mode = os.stat(job.cwd).st_mode
        except OSError:
            mode = 0
        if not stat.S_ISDIR(mode):
            wire.send(job.id, wire.NO_FOLDER)
            return None
        job.started_ns = changed_files.now_ns()
        job.write_code()
        kind, what = self.kinds.of(job, mode)
        while kind.waiting:
            if self.give(kind.waiting[0], job, what):
                return None
        made = self.hands.start_one(kind, self.is_prepared)
        if made is None and not self.give(kind.waiting[-1], job, what):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return made

    def give(self, hand, job, what):
        """False where it could not be had."""
        try:
            hand.give(job, what)
        except OSError:
            self.end(hand)
            return False
        self.quiet_at = self.ahead_at = time.monotonic() + BUSY_SECONDS
        job.forget()
        return True

    def become_reaper(self, line, unsent):
        """In a new process, the reaper, which never returns; nor does a copy of it, but with a Python job."""
        with child():
            keep(line)
            titles.set_title(titles.REAPER)
            for hand in self.hands.by_pid.values():
                hand.unsent.close()
            Reaper(self.last_change, self.kinds, unsent).serve()
            return worker.take_job(self.kinds.rehearse_copy, QUIET_MS)

    def plan_ahead(self):
        """An exec has ended: there is time for what the next one needs, once its caller has been told."""
        self.ahead_at = self.quiet_at = time.monotonic() + QUIET_SECONDS

    def put_off(self):
        """What was started ahead, or was to be, is not there: code may do that each time."""
        self.ahead_at = time.monotonic() + AGAIN_SECONDS

    def wait_ms(self):
        """Until there is something to do ahead; None where nothing is."""
        if self.held:
            return 1
        at = self.egress.due() + self.hands.due()
        if not self.is_prepared:
            at.append(min(self.quiet_at, self.prepare_by))
        elif self.kinds.nodes.wants_one:
            at.append(max(self.quiet_at, self.ahead_at))
        elif self.hands.has_forked:
            at.append(self.quiet_at)
        if self.kinds.missing(self.is_prepared):
            at.append(self.ahead_at)
        if self.kinds.nodes.waiting:
            at.append(self.kinds.nodes.until)
        return max(0.0, min(at) - time.monotonic()) * 1000 + 1 if at else None

    def work_ahead(self):
        """Returns a job in its own process only."""
        now = time.monotonic()
        self.hands.has_forked |= self.egress.start()
        self.hands.let_go_of_spares()
        if min(self.quiet_at, self.ahead_at) <= now < self.patient_until and is_crowded():
            self.quiet_at = self.ahead_at = self.prepare_by = now + BUSY_SECONDS
            return None
        if now >= self.ahead_at and (kind := self.kinds.missing(self.is_prepared)):
            return self.start_ahead(kind)
        if not self.is_prepared:
            if now < min(self.quiet_at, self.prepare_by):
                return None
            self.is_prepared = True
            python.prepare()
            gc.collect()
            gc.freeze()  # or a collection in a copy would copy all of it
        nodes = self.kinds.nodes
        if now >= max(self.quiet_at, self.ahead_at) and nodes.wants_one:
            return self.start_ahead(nodes)
        if nodes.waiting and now >= nodes.until:
            for hand in list(nodes.waiting):
                self.end(hand)
            self.hands.let_go()
        if now >= self.quiet_at and self.hands.has_forked:
            self.rehearse()
        return None

    def rehearse(self):
        """What an exec does here, without one: since the last fork, each page that it touches would have to be copied."""
        self.hands.has_forked = False
        for exec_id, kind, payload in wire.take_frames(bytearray(REHEARSAL)):
            job = Job(exec_id, payload)
            job.try_to_write_code()
            marshal.dumps(job.for_reaper())
            self.kinds.of(job, 0o700)
            remove(job.folder)

    def start_ahead(self, kind):
        try:
            return self.hands.start_one(kind, self.is_prepared)
        except OSError:
            self.put_off()
            return None

    def kill(self, exec_id):
        self.held = [each for each in self.held if each[0].id != exec_id]
        for hand in list(self.hands.by_pid.values()):
            if hand.job is not None and hand.job.id == exec_id:
                self.end(hand)
                remove(hand.job.folder)
        wire.send(exec_id, wire.GONE)

    def end(self, hand):
        """Kills a reaper and all below it, and waits for that."""
        processes.kill_tree(hand.pid)
        os.waitpid(hand.pid, 0)
        self.hands.forget(hand)
        self.kill_orphans()  # what it has forked since nothing was seen below it
        hand.tell_rest()
        hand.close_outputs()

    def bury(self):
        """Takes leave of reapers that have ended, and of what they left where they were killed."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.egress.bury(pid, status) or pid not in self.hands.by_pid:
                continue
            if os.WIFSTOPPED(status):
                self.hands.go_on()
                continue
            hand = self.hands.by_pid[pid]
            self.hands.forget(hand)
            if status != 0:
                self.kill_orphans()
                hand.tell_end(status)
            hand.close_outputs()
            if hand.job is not None:
                self.plan_ahead()
            elif status != 0:
                self.put_off()

    def kill_orphans(self):
        for pid, (parent, _session) in processes.table().items():
            if parent == 1 and pid not in self.hands.by_pid and pid != self.egress.pid:
                processes.kill_tree(pid)


def is_crowded():
    """Of the whole machine (proc(5), loadavg): which processes want to run now."""
    with open('/proc/loadavg') as file:
        runnable = int(file.read().split()[3].partition('/')[0])
    return runnable > RUNNABLE * len(os.sched_getaffinity(0))


def start(warm_count, warm_nodes, warm_seconds, max_files, max_processes, max_file_bytes, *node_flags):
    kernel.close_to_others()
    titles.set_title(titles.INIT)
    dispositions.ignore_signals()  # for all that is forked from here, too
    worker.set_limits(int(max_files), int(max_processes), int(max_file_bytes))
    nothing = os.open('/dev/null', os.O_RDWR)
    for fd in (wire.FENCE_FD, wire.LINE_FD):
        os.dup2(nothing, fd)  # taken, so that nothing else gets these numbers
    fence = kernel.make_fence()
    if fence is not None:
        os.dup2(fence, wire.FENCE_FD)
    return Supervisor(int(warm_count), int(warm_nodes), float(warm_seconds), node_flags).serve()


gc.disable()  # there are no cycles here, and a collection would copy what a new process shares
python.run(*start(*sys.argv[1:]))
