"""All reapers of the supervisor."""
import os
import time
from _signal import SIGCONT
from select import POLLIN

import control_socket
import processes
from reaper import FREE
from reaper_handle import ReaperHandle
from unsent_output import UnsentOutput

#: Free reapers that are kept in excess of the warm workers, and for how long after the last end of an exec. While a long exec
#: runs, the next worker is started. Without a spare, each would need a new reaper if all execs are long, as on a busy machine.
SPARES, SPARE_SECONDS = 1, 1.0


class ReaperPool:
    def __init__(self, pools, poller, become_reaper):
        """@param poller also polls the control sockets. @param become_reaper runs in a new process: makes it a reaper with this
        control socket."""
        self.pools, self.poller, self.become_reaper = pools, poller, become_reaper
        self.by_pid, self.by_fd = {}, {}
        #: Whether a fork has made every page copy-on-write since somebody last set this to False.
        self.has_forked = False
        #: None if no spare was kept since spares were last closed.
        self.spare_until = None

    def start_worker(self, pool, is_prepared):
        """Has a reaper start a worker of a pool, which waits for an exec. Returns None; in a forked worker that has received a
        Python job, returns that job.

        @throws OSError if no process can be started."""
        for reaper in [each for each in self.by_pid.values() if each.is_free and each.is_forking == pool.is_forked]:
            try:
                return reaper.start_worker(pool)
            except (BrokenPipeError, ConnectionResetError):
                self.close(reaper)  # code has killed it
        ours, theirs = control_socket.pair()
        unsent = UnsentOutput()
        self.has_forked = True
        try:
            pid = os.fork()
        except OSError:
            os.close(ours)
            os.close(theirs)
            raise
        if pid == 0:
            return self.become_reaper(theirs, unsent)
        os.close(theirs)
        reaper = ReaperHandle(pid, ours, unsent, pool.is_forked, is_prepared or not pool.is_forked)
        self.by_pid[pid] = self.by_fd[ours] = reaper
        self.poller.register(ours, POLLIN)
        return reaper.start_worker(pool)

    def read_from(self, reaper):
        """Reads what a reaper reports. True if it is free again; otherwise it is about to end."""
        try:
            message = os.read(reaper.control_fd, 16)
        except ConnectionResetError:  # it ended before it had read everything that was sent to it
            message = b''
        if message != FREE:
            self.close(reaper)
            return False
        reaper.previous_job, reaper.pool, reaper.job = reaper.job, None, None
        reaper.close_outputs()
        self.close_unneeded(SPARES)
        self.spare_until = time.monotonic() + SPARE_SECONDS
        return True

    def continue_stopped(self):
        """Continues the processes that code has stopped. A stopped reaper would never report an end. A reaper that is starting a
        program is blocked until the program runs, so its children are continued, too."""
        known = processes.table()
        for reaper in self.by_pid.values():
            for pid in (reaper.pid, *(processes.descendants(reaper.pid, known) if reaper.job is None else ())):
                processes.signal(pid, SIGCONT)

    def due(self):
        """When `close_spares` has something to do; empty if it has nothing."""
        return [] if self.spare_until is None else [self.spare_until]

    def close_spares(self):
        """Closes the spares if their time is over."""
        if self.spare_until is not None and time.monotonic() >= self.spare_until:
            self.spare_until = None
            self.close_unneeded()

    def close_unneeded(self, spares=0):
        """Closes the free reapers that the warm pools do not need, except for some spares."""
        for is_forking in (True, False):
            idle = [each for each in self.by_pid.values() if each.is_idle and each.is_forking == is_forking]
            wanted = self.pools.max_waiting(is_forking)
            for reaper in [each for each in idle if each.is_free]:
                if len(idle) > wanted + (spares if wanted else 0) or not reaper.is_reusable:
                    self.close(reaper)
                    idle.remove(reaper)

    def close(self, reaper):
        """Closes the control socket. The reaper then ends, or has ended already, and no worker waits below it."""
        if reaper.control_fd is not None:
            del self.by_fd[reaper.control_fd]
            self.poller.unregister(reaper.control_fd)
            os.close(reaper.control_fd)
            reaper.control_fd = None
            reaper.leave_pool()

    def forget(self, reaper):
        """Removes a reaper that has ended."""
        del self.by_pid[reaper.pid]
        self.close(reaper)
