"""Work that the supervisor does before an exec needs it: starts warm processes, loads modules, and rehearses."""
import gc
import marshal
import os
import time

import python
import wire
from changed_files import ROOT
from job import BASH, Job, remove
from reaper import QUIET_MS

#: Quiet time before advance work, so that it does not delay an exec that is on its way: in general, and while code runs.
#: After PREPARE_SECONDS the modules of Python are loaded in any case.
QUIET_SECONDS, BUSY_SECONDS, PREPARE_SECONDS = QUIET_MS / 1000, 0.1, 0.3
#: Pause after a warm process could not be started, or was killed: code may have used up all processes.
RETRY_SECONDS = 1.0
#: For this time after its start, a sandbox does no advance work if more than RUNNABLE processes for each CPU want to run. Many
#: sandboxes start at the same time then, and advance work in one delays the others.
PATIENT_SECONDS, RUNNABLE = 30.0, 2
#: A frame as the server sends it.
REHEARSAL = wire.frame(0, wire.EXEC, wire.EXEC_BODY.pack(BASH, 0, 1, 1, 0), ROOT.encode(), b'', b'echo', b'', b'NAME=value')


class AdvanceWork:
    def __init__(self, pools, reapers, egress, end_reaper):
        self.pools, self.reapers, self.egress, self.end_reaper = pools, reapers, egress, end_reaper
        now = time.monotonic()
        #: When the quiet time is over.
        self.quiet_at = now + BUSY_SECONDS  # the first exec may be on its way
        self.prepare_by = now + PREPARE_SECONDS
        self.patient_until = now + PATIENT_SECONDS
        #: When warm processes may be started: not beside an exec that has just begun, unless it takes long.
        self.start_at = 0.0
        #: Whether the modules of Python are loaded.
        self.is_prepared = False

    def input_arrived(self):
        if self.quiet_at <= time.monotonic():
            self.quiet_at = time.monotonic() + QUIET_SECONDS

    def exec_started(self):
        self.quiet_at = self.start_at = time.monotonic() + BUSY_SECONDS

    def exec_ended(self):
        """There is time to prepare for the next exec, once the end of this one has been reported."""
        self.start_at = self.quiet_at = time.monotonic() + QUIET_SECONDS

    def start_failed(self):
        """A warm process was killed or could not be started. Code may cause that each time."""
        self.start_at = time.monotonic() + RETRY_SECONDS

    def wait_ms(self):
        """Milliseconds until there is something to do; None if there is nothing."""
        at = self.egress.due() + self.reapers.due()
        if not self.is_prepared:
            at.append(min(self.quiet_at, self.prepare_by))
        elif self.pools.nodes.wants_one:
            at.append(max(self.quiet_at, self.start_at))
        elif self.reapers.has_forked:
            at.append(self.quiet_at)
        if self.pools.next_to_start(self.is_prepared):
            at.append(self.start_at)
        if self.pools.nodes.waiting:
            at.append(self.pools.nodes.keep_until)
        return max(0.0, min(at) - time.monotonic()) * 1000 + 1 if at else None

    def run(self):
        """Does what is due. Returns None; in a forked worker that has received a Python job, returns that job."""
        now = time.monotonic()
        self.reapers.has_forked |= self.egress.start()
        self.reapers.close_spares()
        if min(self.quiet_at, self.start_at) <= now < self.patient_until and is_crowded():
            self.quiet_at = self.start_at = self.prepare_by = now + BUSY_SECONDS
            return None
        if now >= self.start_at and (pool := self.pools.next_to_start(self.is_prepared)):
            return self.start_worker(pool)
        if not self.is_prepared:
            if now < min(self.quiet_at, self.prepare_by):
                return None
            self.is_prepared = True
            python.prepare()
            gc.collect()
            gc.freeze()  # otherwise a collection in a forked process would copy all of it
        nodes = self.pools.nodes
        if now >= max(self.quiet_at, self.start_at) and nodes.wants_one:
            return self.start_worker(nodes)
        if nodes.waiting and now >= nodes.keep_until:
            for reaper in list(nodes.waiting):
                self.end_reaper(reaper)
            self.reapers.close_unneeded()
        if now >= self.quiet_at and self.reapers.has_forked:
            self.rehearse()
        return None

    def start_worker(self, pool):
        try:
            return self.reapers.start_worker(pool, self.is_prepared)
        except OSError:
            self.start_failed()
            return None

    def rehearse(self):
        """Does the work of an exec in this process without an exec. Since the last fork, the first write to a page copies it,
        and no exec should wait for that."""
        self.reapers.has_forked = False
        for exec_id, _kind, payload in wire.take_frames(bytearray(REHEARSAL)):
            job = Job(exec_id, payload)
            job.try_to_write_code()
            marshal.dumps(job.for_reaper())
            self.pools.pool_for(job, 0o700)
            remove(job.folder)


def is_crowded():
    """True if many processes of the whole machine want to run now (proc(5), loadavg)."""
    with open('/proc/loadavg') as file:
        runnable = int(file.read().split()[3].partition('/')[0])
    return runnable > RUNNABLE * len(os.sched_getaffinity(0))
