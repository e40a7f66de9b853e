"""Pid 1 of a sandbox: takes execs from the server on a pipe, and has each run below a process of its own, its reaper.

Code in the sandbox has the same user as this process. It cannot signal it (pid 1, which the kernel spares as long as it
handles none of its signals), nor open its descriptors or memory (not dumpable). Its only children are reapers: whatever
else becomes one has lost its reaper, and is killed.
"""
import gc
import mmap
import os
import resource
import sys
import time
from _signal import SIG_DFL, SIGCONT, SIGINT, SIGKILL
from _signal import signal as handle
from select import POLLIN, poll

import kernel
import processes
import python
import wire
import worker
from ahead import Ahead
from child import child, keep
from job import TYPESCRIPT, Job, remove
from reaper import NOT_TAKEN, Reaper, watch_children

#: Quiet time after which work is done ahead, so that it delays nothing that is on its way already.
QUIET_SECONDS = 0.015
#: What a pipe holds.
READ_BYTES = 65536
#: After this a process is started ahead again where none could be: code may have taken them all.
AGAIN_SECONDS = 1.0


class Supervisor:
    def __init__(self, warm_count, warm_nodes, warm_seconds, node_flags):
        self.warm_count, self.warm_nodes, self.warm_seconds = warm_count, warm_nodes, warm_seconds
        preload = 'file:///opt/theazo/typescript.mjs'
        self.typescript = [worker.NODE_PATH, *node_flags, '--import', preload, '/workspace/main.ts']
        #: When an exec has last changed a file; shared with all reapers.
        self.last_change = memoryview(mmap.mmap(-1, 8)).cast('q')
        self.copies = Ahead(self.last_change)
        self.nodes = Ahead(self.last_change, self.typescript)
        self.nodes_until = 0.0
        #: Reapers by pid, each with its job; None for one that waits for it.
        self.reapers = {}
        self.quiet_at = time.monotonic() + QUIET_SECONDS
        self.ahead_at = 0.0
        self.is_prepared = False

    def serve(self):
        """Returns in the process of an exec only: the Python job that it is to become."""
        ended = watch_children()
        waiting = poll()
        for fd in (wire.DOWN_FD, ended):
            waiting.register(fd, POLLIN)
        received, piece = bytearray(), bytearray(READ_BYTES)
        wire.send(0, wire.READY)
        while True:
            ready = dict(waiting.poll(self.wait_ms()))
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
            job = self.work_ahead()
            if job:
                return job

    def handle(self, exec_id, kind, payload):
        if kind == wire.PING:
            wire.send(exec_id, wire.PONG)
        elif kind == wire.KILL:
            self.kill(exec_id)
        elif kind == wire.EXEC:
            try:
                return self.begin(Job(exec_id, payload))
            except OSError as error:
                wire.send(exec_id, wire.REFUSED, f'The sandbox could not start the code: {error.strerror}'.encode())
        return None

    def begin(self, job):
        """Returns the job in its own process, None in this one."""
        if not os.path.isdir(job.cwd):
            wire.send(job.id, wire.NO_FOLDER)
            return None
        job.write_code()
        reaper = None
        if job.lang != TYPESCRIPT:
            reaper = self.copies.hand_over(job, job.for_copy())
        elif not job.needs_fresh_interpreter:
            self.nodes_until = time.monotonic() + self.warm_seconds
            reaper = self.nodes.hand_over(job, job.for_node())
        if reaper is None:
            stdin = job.open_stdin()
            try:
                reaper = os.fork()
            except OSError:
                os.close(stdin)
                raise
            if reaper == 0:
                return self.become(job, stdin)
            os.close(stdin)
        self.reapers[reaper] = job
        job.forget()
        return None

    def become(self, job, stdin):
        """In a new process, the reaper, which never returns; nor does its child, but with a Python job."""
        with child():
            keep(stdin)
            Reaper(self.last_change).run(job)
            worker.leave()
            return worker.start(job, self.typescript)

    def wait_ms(self):
        """Until there is something to do ahead; None where nothing is."""
        at = []
        if not self.is_prepared or self.wants_node():
            at.append(max(self.quiet_at, self.ahead_at))
        if self.is_prepared and len(self.copies.waiting) < self.warm_count:
            at.append(self.ahead_at)
        if self.nodes.waiting:
            at.append(self.nodes_until)
        return max(0.0, min(at) - time.monotonic()) * 1000 + 1 if at else None

    def wants_node(self):
        return len(self.nodes.waiting) < self.warm_nodes and time.monotonic() < self.nodes_until

    def work_ahead(self):
        """Returns a job in its own process only."""
        now = time.monotonic()
        if not self.is_prepared:
            if now < self.quiet_at:
                return None
            self.is_prepared = True
            python.prepare()
            gc.collect()
            gc.freeze()  # or a collection in a copy would copy all of it
        if now >= self.ahead_at and len(self.copies.waiting) < self.warm_count:
            return self.start_ahead(self.copies)
        if now >= max(self.quiet_at, self.ahead_at) and self.wants_node():
            return self.start_ahead(self.nodes)
        if now >= self.nodes_until:
            for reaper in self.nodes.give_up():
                self.end(reaper)
        return None

    def start_ahead(self, kind):
        try:
            reaper, job = kind.start_one()
        except OSError:
            self.ahead_at = time.monotonic() + AGAIN_SECONDS
            return None
        if job:
            return job
        self.reapers[reaper] = None
        return None

    def kill(self, exec_id):
        for reaper, job in list(self.reapers.items()):
            if job is not None and job.id == exec_id:
                self.end(reaper)
                remove(job.folder)
        wire.send(exec_id, wire.GONE)

    def end(self, reaper):
        """Kills a reaper and all below it, and waits for that."""
        kill_tree(reaper)
        os.waitpid(reaper, 0)
        del self.reapers[reaper]
        self.kill_orphans()  # what it has forked since nothing was seen below it

    def bury(self):
        """Takes leave of reapers that have ended, and of what they left where they were killed."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self.reapers:
                continue
            if os.WIFSTOPPED(status):
                processes.signal(pid, SIGCONT)  # by code: its exec would never be told to have ended
                continue
            job = self.reapers.pop(pid)
            self.copies.forget(pid)
            self.nodes.forget(pid)
            if status != 0:
                self.kill_orphans()
            if job is None and status != 0:
                self.ahead_at = time.monotonic() + AGAIN_SECONDS
            if job is None or status == 0:
                continue
            remove(job.folder)
            if os.WIFSIGNALED(status):
                wire.send(job.id, wire.EXIT, wire.EXIT_BODY.pack(128 + os.WTERMSIG(status), 0))
            elif os.WEXITSTATUS(status) == NOT_TAKEN:
                wire.send(job.id, wire.REFUSED, b'The sandbox could not start the code: what waited for it was killed.')
            else:
                wire.send(job.id, wire.LOST)

    def kill_orphans(self):
        for pid, (parent, _session) in processes.table().items():
            if parent == 1 and pid not in self.reapers:
                kill_tree(pid)


def kill_tree(pid):
    if not processes.kill_below(pid):
        os._exit(1)  # the kernel does what we cannot: nothing here outlives pid 1
    processes.signal(pid, SIGKILL)


def start(warm_count, warm_nodes, warm_seconds, max_files, max_processes, max_file_bytes, *node_flags):
    kernel.close_to_others()
    handle(SIGINT, SIG_DFL)  # Python's own handler would let code end pid 1 by it
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, int(max_files)),
        (resource.RLIMIT_NPROC, int(max_processes) + worker.SPARE_PROCESSES),
        (resource.RLIMIT_FSIZE, int(max_file_bytes)),
    ):
        resource.setrlimit(limit, (value, value))
    nothing = os.open('/dev/null', os.O_RDWR)
    for fd in (wire.FENCE_FD, wire.STDIN_FD, wire.JOB_FD):
        os.dup2(nothing, fd)  # taken, so that nothing else gets these numbers
    fence = kernel.make_fence()
    if fence is not None:
        os.dup2(fence, wire.FENCE_FD)
    return Supervisor(int(warm_count), int(warm_nodes), float(warm_seconds), node_flags).serve()


gc.disable()  # there are no cycles here, and a collection would copy what a new process shares
python.run(*start(*sys.argv[1:]))
