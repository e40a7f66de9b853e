"""Pid 1 of a sandbox: receives execs from the server on a pipe, and runs each below a process of its own, its reaper.

Code in the sandbox has the same user as this process. It cannot signal this process (the kernel protects pid 1 from signals
that it does not handle), nor open its descriptors or memory (not dumpable). The children of this process are reapers and the
egress forwarder (egress.py). Any other process that becomes a child has lost its reaper, and is killed.
"""
import errno
import gc
import mmap
import os
import stat
import sys
from select import POLLIN, poll

import changed_files
import dispositions
import kernel
import processes
import python
import titles
import wire
import worker
from advance_work import AdvanceWork
from forked_child import exit_on_error, keep_control_socket
from job import Job, environment_from, remove
from network import find_egress
from reaper import QUIET_MS, Reaper, watch_children
from reaper_pool import ReaperPool
from warm_pools import WarmPools

#: The capacity of a pipe.
READ_BYTES = 65536


class Supervisor:
    def __init__(self, warm_count, warm_nodes, warm_seconds, node_flags):
        #: When an exec has last changed a file; shared with all reapers.
        self.last_change = memoryview(mmap.mmap(-1, 8)).cast('q')
        node_command = [worker.NODE_PATH, *node_flags, '--import', worker.NODE_PRELOAD, worker.NODE_ENTRY]
        self.pools = WarmPools(warm_count, warm_nodes, warm_seconds, node_command)
        #: Jobs that start at the next tick of the clock of files, with the time of the last change by another exec.
        self.delayed = []
        self.poller = poll()
        self.reapers = ReaperPool(self.pools, self.poller, self.become_reaper)
        self.egress = find_egress()
        self.advance = AdvanceWork(self.pools, self.reapers, self.egress, self.end_reaper)

    def serve(self):
        """Returns only in the process of a Python exec: the job that this process becomes."""
        child_ended = watch_children()
        for fd in (wire.DOWN_FD, child_ended):
            self.poller.register(fd, POLLIN)
        received, buffer = bytearray(), bytearray(READ_BYTES)
        wire.send(0, wire.READY)
        while True:
            ready = dict(self.poller.poll(self.wait_ms()))
            for fd in ready:
                reaper = self.reapers.by_fd.get(fd)
                if reaper is None:
                    continue
                if self.reapers.read_from(reaper):
                    self.advance.exec_ended()
                elif reaper.job is None:
                    self.advance.start_failed()
            if child_ended in ready:
                os.read(child_ended, 4096)
                self.reap_children()
            if wire.DOWN_FD in ready:
                count = os.readv(wire.DOWN_FD, [buffer])
                if count == 0:
                    os._exit(0)  # the server is gone; everything in the sandbox ends with pid 1
                received += memoryview(buffer)[:count]
                self.advance.input_arrived()
                for frame in wire.take_frames(received):
                    job = self.handle(*frame)
                    if job:
                        return job
            job = self.begin_delayed() or self.advance.run()
            if job:
                return job

    def wait_ms(self):
        return 1 if self.delayed else self.advance.wait_ms()

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
            self.delayed.append((job, last))  # otherwise changes of another exec would look like changes of this one
        elif kind == wire.DEFAULTS:
            self.pools.default_env = environment_from(wire.blobs(payload, 0))
        return None

    def begin_delayed(self):
        now = changed_files.now_ns()
        for each in [each for each in self.delayed if now > each[1]]:
            self.delayed.remove(each)
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
        pool, data = self.pools.pool_for(job, mode)
        while pool.waiting:
            if self.assign(pool.waiting[0], job, data):
                return None
        own_job = self.reapers.start_worker(pool, self.advance.is_prepared)
        if own_job is None and not self.assign(pool.waiting[-1], job, data):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return own_job

    def assign(self, reaper, job, data):
        """Gives a warm worker the job. False if that fails; the reaper has ended then."""
        try:
            reaper.assign(job, data)
        except OSError:
            self.end_reaper(reaper)
            return False
        self.advance.exec_started()
        job.forget_inputs()
        return True

    def become_reaper(self, control_fd, unsent):
        """Runs the reaper in a new process, and never returns there. In a forked worker, returns its Python job."""
        with exit_on_error():
            keep_control_socket(control_fd)
            titles.set_title(titles.REAPER)
            for reaper in self.reapers.by_pid.values():
                reaper.unsent.close()
            Reaper(self.last_change, self.pools, unsent).serve()
            return worker.wait_for_job(self.pools.rehearse_copy, QUIET_MS)

    def kill(self, exec_id):
        self.delayed = [each for each in self.delayed if each[0].id != exec_id]
        for reaper in list(self.reapers.by_pid.values()):
            if reaper.job is not None and reaper.job.id == exec_id:
                self.end_reaper(reaper)
                remove(reaper.job.folder)
        wire.send(exec_id, wire.GONE)

    def end_reaper(self, reaper):
        """Kills a reaper and all its descendants, and waits until they are gone."""
        processes.kill_tree(reaper.pid)
        os.waitpid(reaper.pid, 0)
        self.reapers.forget(reaper)
        self.kill_orphans()  # it may have forked after the last look at its descendants
        reaper.send_unsent_output()
        reaper.close_outputs()

    def reap_children(self):
        """Waits for the children that have ended. Ends what a killed reaper has left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.egress.note_change(pid, status) or pid not in self.reapers.by_pid:
                continue
            if os.WIFSTOPPED(status):
                self.reapers.continue_stopped()
                continue
            reaper = self.reapers.by_pid[pid]
            self.reapers.forget(reaper)
            if status != 0:
                self.kill_orphans()
                reaper.report_end(status)
            reaper.close_outputs()
            if reaper.job is not None:
                self.advance.exec_ended()
            elif status != 0:
                self.advance.start_failed()

    def kill_orphans(self):
        for pid, (parent, _session) in processes.table().items():
            if parent == 1 and pid not in self.reapers.by_pid and pid != self.egress.pid:
                processes.kill_tree(pid)


def start(warm_count, warm_nodes, warm_seconds, max_files, max_processes, max_file_bytes, *node_flags):
    kernel.make_undumpable()
    titles.set_title(titles.INIT)
    dispositions.ignore_signals()  # in all forked processes, too
    worker.set_limits(int(max_files), int(max_processes), int(max_file_bytes))
    null = os.open('/dev/null', os.O_RDWR)
    for fd in (wire.LANDLOCK_FD, wire.CONTROL_FD):
        os.dup2(null, fd)  # reserves the number
    ruleset = kernel.make_landlock_ruleset()
    if ruleset is not None:
        os.dup2(ruleset, wire.LANDLOCK_FD)
    return Supervisor(int(warm_count), int(warm_nodes), float(warm_seconds), node_flags).serve()


gc.disable()  # there are no cycles here, and a collection would copy pages that a new process shares
python.run(*start(*sys.argv[1:]))
