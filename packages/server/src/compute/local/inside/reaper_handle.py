"""One reaper, as the supervisor sees it."""
import marshal
import os
from _signal import SIGCONT

import control_socket
import processes
import wire
from job import fill, remove
from reaper import NOT_READ, NOT_STARTED, NOT_TAKEN

#: A pipe accepts this much even if its reader is stopped, as code can stop it. The pipe is enlarged for more.
PIPE_BYTES = 60_000
F_SETPIPE_SZ = 1031
#: Written to standard error of an exec if its reaper was killed.
KILLED_NOTE = (
    b'\nThe process that supervises this code was killed by signal %d (as `kill -9 -1` does), '
    b'so the code and all processes that it had started were ended.\n'
)


class ReaperHandle:
    """A reaper that is free, or has a warm worker below it, or runs an exec."""

    __slots__ = (
        'pid', 'control_fd', 'is_forking', 'is_reusable', 'pool', 'job', 'previous_job', 'job_pipe', 'stdin', 'folder', 'unsent',
        'outputs',
    )  # fmt: skip

    def __init__(self, pid, control_fd, unsent, is_forking, is_reusable):
        self.pid, self.control_fd, self.unsent = pid, control_fd, unsent
        #: Read ends of the exec's output, by frame kind; the reaper reads them as long as it lives.
        self.outputs = {}
        #: True if its workers are forks of it, and it starts nothing else.
        self.is_forking = is_forking
        #: True if it can serve more than one exec.
        self.is_reusable = is_reusable
        self.pool = self.job = self.job_pipe = self.stdin = self.folder = None
        #: The exec before: a reaper becomes free just before it reports the end of that exec to the server.
        self.previous_job = None

    @property
    def is_idle(self):
        return self.job is None and self.control_fd is not None

    @property
    def is_free(self):
        return self.is_idle and self.pool is None

    def start_worker(self, pool):
        """Has the reaper start a warm worker of a pool."""
        order, self.folder = pool.order()
        stdin, (read, write) = os.memfd_create('stdin'), os.pipe()
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        self.close_outputs()
        self.outputs = {wire.STDOUT: out, wire.STDERR: err}
        self.unsent.reset()
        try:
            processes.signal(self.pid, SIGCONT)  # code may have stopped it
            for fd in (out, err):
                os.set_blocking(fd, False)
            control_socket.send(self.control_fd, order, (read, stdin, out, err, out_end, err_end))
        except OSError:
            os.close(write)
            os.close(stdin)
            raise
        finally:
            for fd in (read, out_end, err_end):
                os.close(fd)
        self.pool, self.job_pipe, self.stdin = pool, write, stdin
        pool.waiting.append(self)

    def assign(self, job, data):
        """Gives the warm worker an exec. @throws OSError if code has killed the worker, or the data is too long."""
        self.pool.waiting.remove(self)
        try:
            if self.folder:
                job.move_to(self.folder)
            processes.signal(self.pid, SIGCONT)
            if job.stdin:
                fill(self.stdin, job.stdin)
            if len(data) > PIPE_BYTES:
                import fcntl

                fcntl.fcntl(self.job_pipe, F_SETPIPE_SZ, len(data))
            os.set_blocking(self.job_pipe, False)
            # First to the reaper: it must know the exec before it sees its end.
            os.write(self.control_fd, marshal.dumps(job.for_reaper()))
            if os.write(self.job_pipe, data) < len(data):
                raise BlockingIOError
            self.job = job
        finally:
            self.close_inputs()

    def close_inputs(self):
        for fd in (self.job_pipe, self.stdin):
            if fd is not None:
                os.close(fd)
        self.job_pipe = self.stdin = None

    def close_outputs(self):
        for fd in self.outputs.values():
            os.close(fd)
        self.outputs = {}

    def send_unsent_output(self):
        """Sends the output that a reaper which has ended did not send. Returns the truncation flags."""
        return 0 if self.job is None else self.unsent.send_rest(self.job.id, self.job.cap, self.outputs)

    def report_end(self, status):
        """Reports the end of the exec for a reaper that has ended with this status. If the reaper has reported it already, the
        server ignores the second report."""
        flags = self.send_unsent_output() if os.WIFSIGNALED(status) else 0
        for job in (self.previous_job, self.job):
            if job is None:
                continue
            remove(job.folder)
            if os.WIFSIGNALED(status):
                wire.send(job.id, wire.STDERR, KILLED_NOTE % os.WTERMSIG(status))
                wire.send(job.id, wire.EXIT, wire.EXIT_BODY.pack(128 + os.WTERMSIG(status), flags))
            elif os.WEXITSTATUS(status) == NOT_TAKEN:
                wire.send(job.id, wire.REFUSED, b'The sandbox could not start the code: its warm process was killed.')
            elif os.WEXITSTATUS(status) == NOT_READ:
                wire.send(job.id, wire.CLOSED)
            elif os.WEXITSTATUS(status) == NOT_STARTED:
                wire.send(job.id, wire.REFUSED, b'The sandbox could not start the code: it has no room for a process.')
            else:
                wire.send(job.id, wire.LOST)

    def leave_pool(self):
        if self.pool and self in self.pool.waiting:
            self.pool.waiting.remove(self)
        self.close_inputs()
