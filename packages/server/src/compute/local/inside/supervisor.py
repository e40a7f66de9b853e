"""Pid 1 of a sandbox: takes execs from the server on a pipe, and has each run below a process of its own, its reaper.

Code in the sandbox has the same user as this process. It cannot signal it (pid 1), nor open its descriptors or memory
(not dumpable). Its only children are reapers: whatever else becomes one has lost its reaper, and is killed.
"""
import gc
import marshal
import mmap
import os
import resource
import sys
import time
from _signal import SIGCONT, SIGKILL
from select import POLLIN, poll

import kernel
import processes
import wire
import worker
from job import BASH, PYTHON, TYPESCRIPT, Job, file_with, fill, remove
from reaper import Reaper, watch_children

#: Quiet time after which work is done ahead, so that it delays nothing that is on its way already.
QUIET_SECONDS = 0.015
#: What a pipe takes even if nobody reads: code may have stopped who should.
MAX_HANDED = 60_000
#: A reaper's own failure, told on standard error.
FAILED = 70


class Supervisor:
    def __init__(self, warm_count, warm_seconds, node_flags):
        self.warm_count, self.warm_seconds = warm_count, warm_seconds
        self.typescript = [worker.NODE_PATH, *node_flags, '/opt/theazo/typescript.mjs']
        #: Reapers by pid, each with its job; None for one whose node waits for a job.
        self.reapers = {}
        #: Nodes that wait: pid of the reaper, its pipe, and the file that is standard input.
        self.warm = []
        self.warm_until = 0.0
        self.quiet_at = time.monotonic() + QUIET_SECONDS
        self.is_prepared = False
        #: When an exec has last changed a file; shared with all reapers.
        self.last_change = memoryview(mmap.mmap(-1, 8)).cast('q')

    def serve(self):
        """Returns in the process of an exec only: the Python job that it is to become."""
        ended = watch_children()
        waiting = poll()
        for fd in (wire.DOWN_FD, ended):
            waiting.register(fd, POLLIN)
        received = bytearray()
        wire.send(0, wire.READY)
        while True:
            ready = dict(waiting.poll(self.wait_ms()))
            if ended in ready:
                os.read(ended, 4096)
                self.bury()
            if wire.DOWN_FD in ready:
                data = os.read(wire.DOWN_FD, 1 << 20)
                if not data:
                    os._exit(0)  # the server is gone; everything here goes with pid 1
                received += data
                if self.quiet_at <= time.monotonic():
                    self.quiet_at = time.monotonic() + QUIET_SECONDS
                for frame in wire.take_frames(received):
                    job = self.handle(*frame)
                    if job:
                        return job
            if time.monotonic() >= self.quiet_at:
                self.work_ahead()

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
        job.write_code()
        is_warm = job.lang == TYPESCRIPT and self.warm_count > 0 and not job.needs_fresh_interpreter
        if is_warm:
            self.warm_until = time.monotonic() + self.warm_seconds
            if self.hand_over(job):
                return None
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
            if job.lang == TYPESCRIPT:
                worker.run_program(self.typescript, job.cwd, job.env, file_with('job', job.for_node()))
            if job.lang == BASH:
                worker.run_program([worker.BASH_PATH, job.path], job.cwd, job.env)
            if job.needs_fresh_interpreter:
                worker.run_program([worker.PYTHON_PATH, job.path], job.cwd, job.env)
        return job

    def hand_over(self, job):
        """Gives it to a node that waits. False where none does."""
        what = marshal.dumps((job.id, job.cap, job.folder, job.for_node()))
        while self.warm and len(what) <= MAX_HANDED:
            reaper, pipe, stdin = self.warm.pop(0)
            processes.signal(reaper, SIGCONT)  # code may have stopped it
            try:
                with closing(stdin), closing(pipe):
                    fill(stdin, job.stdin)
                    os.write(pipe, what)
            except BrokenPipeError:
                continue  # code has killed it
            self.reapers[reaper] = job
            job.forget()
            return True
        return False

    def warm_one(self):
        stdin = os.memfd_create('stdin')
        read, write = os.pipe()
        reaper = os.fork()
        if reaper == 0:
            with child():
                keep(stdin, read)
                job_fd = Reaper(self.last_change).run_ahead()
                worker.leave()
                worker.run_program(self.typescript, '/', {b'PATH': b'/usr/bin:/bin'}, job_fd)
        os.close(read)
        self.reapers[reaper] = None
        self.warm.append((reaper, write, stdin))

    def wait_ms(self):
        """Until there is something to do ahead; None where nothing is."""
        at = []
        if not self.is_prepared or self.is_one_wanted():
            at.append(self.quiet_at)
        if self.warm:
            at.append(self.warm_until)
        return max(0.0, min(at) - time.monotonic()) * 1000 + 1 if at else None

    def is_one_wanted(self):
        return len(self.warm) < self.warm_count and time.monotonic() < self.warm_until

    def work_ahead(self):
        if not self.is_prepared:
            self.is_prepared = True
            worker.prepare_python()
            gc.collect()
            gc.freeze()  # or a collection in a copy would copy all of it
        elif self.is_one_wanted():
            self.warm_one()
        elif self.warm and time.monotonic() >= self.warm_until:
            self.warm_until = 0.0
            for reaper, pipe, stdin in self.warm:
                os.close(pipe)
                os.close(stdin)
                self.end(reaper)
            self.warm.clear()

    def kill(self, exec_id):
        for reaper, job in list(self.reapers.items()):
            if job is not None and job.id == exec_id:
                self.end(reaper)
                remove(job.folder)
        wire.send(exec_id, wire.GONE)

    def end(self, reaper):
        """Kills a reaper and all below it, and waits for that."""
        if not processes.kill_below(reaper):
            os._exit(1)  # the kernel does what we cannot: nothing here outlives pid 1
        processes.signal(reaper, SIGKILL)
        os.waitpid(reaper, 0)
        del self.reapers[reaper]

    def bury(self):
        """Takes leave of reapers that have ended, and of what they left where they were killed."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self.reapers:
                continue
            job = self.reapers.pop(pid)
            for waiting in [node for node in self.warm if node[0] == pid]:
                self.warm.remove(waiting)
                os.close(waiting[1])
                os.close(waiting[2])
            if status != 0:
                self.kill_orphans()
            if job is None or status == 0:
                continue
            remove(job.folder)
            if os.WIFSIGNALED(status):
                wire.send(job.id, wire.EXIT, wire.EXIT_BODY.pack(128 + os.WTERMSIG(status), 0))
            else:
                wire.send(job.id, wire.REFUSED, b'The sandbox could not follow the code.')

    def kill_orphans(self):
        for pid, (parent, _session) in processes.table().items():
            if parent == 1 and pid not in self.reapers:
                if not processes.kill_below(pid):
                    os._exit(1)
                processes.signal(pid, SIGKILL)


class closing:
    """A descriptor for the length of a block."""

    def __init__(self, fd):
        self.fd = fd

    def __enter__(self):
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


class child:
    """In a new process: whatever goes wrong ends it, and reaches no code that is the supervisor's."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _traceback):
        if error is None:
            return
        os.write(2, f'reaper: {kind.__name__}: {error}\n'.encode())
        os._exit(FAILED)


def keep(stdin, job_fd=None):
    """In a new process: these two are what it keeps of the supervisor's, beside its way up and the fence."""
    os.dup2(stdin, wire.STDIN_FD)
    if job_fd is not None:
        os.dup2(job_fd, wire.JOB_FD)
    os.close(wire.DOWN_FD)
    os.closerange(wire.JOB_FD + 1, 65536)


def start(warm_count, warm_seconds, max_files, max_processes, max_file_bytes, *node_flags):
    kernel.close_to_others()
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, int(max_files)),
        (resource.RLIMIT_NPROC, int(max_processes)),
        (resource.RLIMIT_FSIZE, int(max_file_bytes)),
    ):
        resource.setrlimit(limit, (value, value))
    nothing = os.open('/dev/null', os.O_RDWR)
    for fd in (wire.FENCE_FD, wire.STDIN_FD, wire.JOB_FD):
        os.dup2(nothing, fd)  # taken, so that nothing else gets these numbers
    fence = kernel.make_fence()
    if fence is not None:
        os.dup2(fence, wire.FENCE_FD)
    return Supervisor(int(warm_count), float(warm_seconds), node_flags).serve()


def run(job):
    """The user's code, at the end of its way; then the interpreter ends as it always does."""
    code, path = job.code, job.path
    main = worker.become_python(path, job.cwd, job.env)
    del job
    try:
        exec(compile(code, path, 'exec', dont_inherit=True), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)


gc.disable()  # there are no cycles here, and a collection would copy what a new process shares
run(start(*sys.argv[1:]))
