"""The reaper: the parent process of one exec. It forwards the output of the code, waits for its end, and reports it.

There is one for each exec that runs and for each warm process. It serves one exec after the other. It adopts every process
that the code starts, however that detaches itself, so the supervisor finds all of them when the exec is to be killed. As long
as any of them lives, the reaper stays and serves no other exec.
"""
import marshal
import os
import time
from _signal import SIGCHLD, SIGCONT, SIGKILL, set_wakeup_fd
from _signal import signal as handle
from select import POLLIN, poll

import changed_files
import control_socket
import kernel
import leftovers
import processes
import spawn
import wire
import worker
from burst import GATHER_MS, LARGE_BYTES, LINE_MS, Burst
from job import remove, was_read
from unsent_output import MAX_READS, READ_BYTES, UnsentOutput

#: A reaper that has waited this long rehearses. It does not rehearse sooner: the next exec may follow immediately.
QUIET_MS = 15
#: Between two checks of the processes that an exec has left.
SETTLE_MS = 1
#: How long killed processes may take to die; a disk may block one for a while.
DEATH_SECONDS = 5
#: Exit statuses of a reaper whose worker was killed while it waited, or could not be started. A job that it has received by
#: then has not begun.
NOT_TAKEN, NOT_STARTED = 71, 72
#: Exit status of a reaper whose worker could not read its code because other code closed the folder.
NOT_READ = worker.NOT_READ
#: Exit statuses of a shell that cannot read its script.
UNREADABLE = (126, 127)
#: Written to the control socket when the reaper can start another worker: just before it reports an end, as the next exec may
#: follow immediately.
FREE = b'f'


def watch_children():
    """Returns a descriptor that becomes readable when a child has ended."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handle(SIGCHLD, lambda *_: None)
    set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


class Reaper:
    def __init__(self, last_change, pools, unsent):
        kernel.adopt_orphans()
        self.last_change, self.pools, self.unsent = last_change, pools, unsent
        self.child_ended = watch_children()
        self.poller = poll()
        self.poller.register(self.child_ended, POLLIN)
        #: Polls only for the end of a child.
        self.end_poller = poll()
        self.end_poller.register(self.child_ended, POLLIN)
        #: Whether a fork has made every page copy-on-write, in this process too; see rehearse.
        self.has_forked = True

    def serve(self):
        """Serves exec after exec, until one leaves processes behind. Returns only in a forked worker, which becomes the next
        Python process."""
        while True:
            order, fds = control_socket.receive(wire.CONTROL_FD)
            if not order:
                os._exit(0)  # no longer needed
            number, folder = marshal.loads(order)
            try:
                if self.start_worker(self.pools.all[number], folder, *fds):
                    return
            except OSError:
                os._exit(NOT_STARTED)
            self.follow_exec(*self.wait_for_job())

    def start_worker(self, pool, folder, job_pipe, stdin, out, err, out_end, err_end):
        """Starts the process of the next exec, which waits for its job on `job_pipe`. True in that process if it is a fork of
        this one."""
        self.status = None
        self.out, self.err, (self.accepted, accepted_end) = out, err, os.pipe()
        given = stdin, out_end, err_end, job_pipe, accepted_end
        if pool.is_forked:
            self.pools.prepare_copies()
            self.worker = os.fork()
            if self.worker == 0:
                self.unsent.close()
                worker.become_worker(*given)
                return True
            self.has_forked = True
        else:
            self.worker = spawn.spawn(*pool.program(folder), given)
        for fd in given:
            os.close(fd)
        return False

    def wait_for_job(self):
        """Waits until the supervisor has assigned a job to the worker. A killed worker may still have taken it from its pipe:
        follow_exec finds that out."""
        self.poller.register(wire.CONTROL_FD, POLLIN)
        timeout_ms = QUIET_MS if self.has_forked else None
        while wire.CONTROL_FD not in (ready := dict(self.poller.poll(timeout_ms))):
            if not ready:
                timeout_ms = None
                self.rehearse()
            elif self.has_ended():
                if wire.CONTROL_FD in dict(self.poller.poll(0)):
                    break  # the job came before the end of the worker
                os._exit(NOT_TAKEN)
            else:
                os.read(self.child_ended, 4096)
        job = os.read(wire.CONTROL_FD, READ_BYTES)
        if not job:
            os._exit(0)  # no longer needed
        self.poller.unregister(wire.CONTROL_FD)
        processes.signal(self.worker, SIGCONT)  # code may have stopped it while it waited
        return marshal.loads(job)

    def rehearse(self):
        """Does the work of an exec without an exec. It copies the pages that an exec writes, so that no page has to be copied or
        loaded while somebody waits."""
        self.has_forked = False
        self.poller.unregister(wire.CONTROL_FD)
        unsent, self.unsent = self.unsent, UnsentOutput()
        up, wire.UP_FD = wire.UP_FD, os.open('/dev/null', os.O_WRONLY)
        self.begin(*marshal.loads(marshal.dumps((0, 1, '', '', 0))))
        read, write = os.pipe()
        self.watch_streams({read: wire.STDOUT})
        os.write(write, b'.')
        os.close(write)
        while self.streams:
            self.wait_once()
        self.has_ended()
        self.kill_session(0)
        self.report_files('/opt/theazo')
        self.report_end(0)
        os.close(wire.UP_FD)
        wire.UP_FD, self.unsent = up, unsent
        self.poller.register(wire.CONTROL_FD, POLLIN)

    def follow_exec(self, *job):
        """Forwards the output of an exec and reports its end. Returns if the exec has left no process. Otherwise stays as long
        as one lives, and then exits."""
        self.begin(*job)
        self.watch_streams({self.out: wire.STDOUT, self.err: wire.STDERR})
        while not self.has_ended():
            self.wait_once()
        status = os.waitstatus_to_exitcode(self.status)
        if not os.read(self.accepted, 1):
            os._exit(NOT_READ if status == NOT_READ else NOT_TAKEN)
        os.close(self.accepted)
        if status in UNREADABLE and self.script and not was_read(self.script):
            os._exit(NOT_READ)
        has_left_processes = self.end_session(status)
        for fd in list(self.streams):
            self.drain(fd)
        self.report_files(changed_files.ROOT)
        if not has_left_processes:
            os.write(wire.CONTROL_FD, FREE)
        self.report_end(status)
        if not has_left_processes:
            for fd in list(self.streams):
                self.close(fd)
            return
        self.cap = 0  # later output is dropped, but it is read, so that its writers do not block
        while self.reap_children():
            self.wait_once()
        os._exit(0)

    def begin(self, exec_id, cap, folder, script, started_ns):
        self.exec_id, self.cap, self.folder, self.script, self.started_ns = exec_id, cap, folder, script, started_ns
        self.flags = 0
        self.burst = Burst()

    def watch_streams(self, streams):
        self.streams = streams
        for fd in streams:
            os.set_blocking(fd, False)
            self.poller.register(fd, POLLIN)

    def has_ended(self):
        self.reap_children()
        return self.status is not None

    def wait_once(self, timeout_ms=None):
        ready = dict(self.poller.poll(timeout_ms))
        for fd in ready:
            if fd == self.child_ended:
                os.read(fd, 4096)
            else:
                self.forward(fd, LINE_MS)
        if self.burst.is_exhausted and self.child_ended not in ready:
            self.end_poller.poll(GATHER_MS)

    def forward(self, fd, line_ms=0):
        """Sends one chunk of output, with the rest of its last line if that follows in time. False if there is none now."""
        try:
            size = self.unsent.read(fd, self.streams[fd])
        except BlockingIOError:
            return False
        if not size:
            self.close(fd)
            return False
        self.burst.add(size)
        if line_ms:
            self.read_rest_of_line(fd, line_ms)
        self.flags |= self.unsent.send(self.exec_id, self.cap)
        return True

    def read_rest_of_line(self, fd, line_ms):
        until = time.monotonic() + line_ms / 1000
        while not self.unsent.is_whole_line and self.unsent.length < LARGE_BYTES and not self.burst.is_exhausted:
            left_ms = (until - time.monotonic()) * 1000
            if left_ms <= 0 or fd not in dict(self.poller.poll(left_ms)):
                break
            if not (size := self.unsent.read(fd, self.streams[fd])):
                break
            self.burst.add(size)

    def close(self, fd):
        self.poller.unregister(fd)
        del self.streams[fd]
        os.close(fd)

    def drain(self, fd):
        """Forwards what was written until now: a full pipe, 1 MiB at most. Other processes may write to it without end."""
        for _ in range(MAX_READS):
            if fd not in self.streams or not self.forward(fd):
                return

    def end_session(self, status):
        """Kills the processes in the session of the exec, and waits until they are gone. True if a process outside of the
        session lives on."""
        note = b''
        if self.reap_children():
            leftovers.wait_until_settled(self.worker, lambda: self.wait_once(SETTLE_MS))
            if left := leftovers.pids_in(self.worker):
                note = leftovers.note_about(left, status)
        self.kill_session(SIGKILL)
        if note:
            wire.send(self.exec_id, wire.STDERR, note)
        until = time.monotonic() + DEATH_SECONDS
        while self.reap_children():
            left = leftovers.pids_in(self.worker)
            if not left or time.monotonic() > until:
                return True
            for pid in left:
                processes.signal(pid, SIGKILL)
            time.sleep(0.0005)
        return False

    def kill_session(self, number):
        try:
            os.killpg(self.worker, number)
        except ProcessLookupError:
            pass

    def reap_children(self):
        """Waits for the children that have ended: the worker, and processes that this one has adopted. True if others live."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.worker and self.status is None:
                    self.status = status
        except ChildProcessError:
            return False

    def report_files(self, root):
        found, is_cut, latest = changed_files.changed_since(self.started_ns, root)
        self.last_change[0] = max(self.last_change[0], latest)
        for path, size in found:
            try:
                name = path.encode()
            except UnicodeEncodeError:  # the name is not text
                is_cut = True
                continue
            body = wire.FILE_BODY.pack(size, len(name)) + name + changed_files.media_type(path).encode()
            if len(body) > wire.MAX_PAYLOAD:
                is_cut = True
                continue
            wire.send(self.exec_id, wire.FILE, body)
        if is_cut:
            self.flags |= wire.FILES_TRUNCATED

    def report_end(self, code):
        body = wire.EXIT_BODY.pack(code if code >= 0 else 128 - code, self.flags)
        wire.send(self.exec_id, wire.EXIT, body)
        remove(self.folder)
