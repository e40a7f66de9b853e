"""One exec, seen from outside of its code: passes its output on, waits for its end, and tells it.

A process of its own for each exec. Whatever the code starts, however it detaches itself, stays below this process,
which adopts it: so the supervisor finds all of it when the exec is to be killed. The reaper stays as long as any does.
"""
import marshal
import os
import time
from _signal import SIG_DFL, SIGCHLD, SIGCONT, SIGKILL, set_wakeup_fd
from _signal import signal as handle
from select import POLLIN, poll

import changed_files
import kernel
import processes
import wire
from job import remove

READ_BYTES = 65536
#: How long one that waits has waited when it rehearses: where execs follow each other at once, nobody is to wait for it.
QUIET_MS = 15
#: How long killed processes may take to die; a disk may hold one for a while.
DEATH_SECONDS = 5
#: Of code, below the supervisor and reapers: however many processes it has, they get to run, and so to end it.
WORKER_NICENESS = 10
#: The status of a reaper whose process was killed while it waited: a job that it has been told by then has not begun.
NOT_TAKEN = 71


def watch_children():
    """A descriptor that becomes readable when a child has ended."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handle(SIGCHLD, lambda *_: None)
    set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


class Reaper:
    def __init__(self, last_change):
        kernel.adopt_orphans()
        self.last_change = last_change
        self.out, self.err = os.pipe(), os.pipe()
        self.ended = watch_children()
        self.waiting = poll()
        self.waiting.register(self.ended, POLLIN)
        self.worker = None
        self.told = None
        self.status = None

    def run(self, job):
        """Returns in the exec's own process only."""
        if self.start_worker():
            return
        self.see_through(*job.for_reaper())

    def run_ahead(self):
        """The same for one that is told its job later. Returns where it says that it has it: who is killed may have taken
        the job from a pipe all the same."""
        told = os.pipe()
        if self.start_worker():
            return told[1]
        os.close(told[1])
        self.told = told[0]
        self.waiting.register(wire.JOB_FD, POLLIN)
        patience = QUIET_MS
        while wire.JOB_FD not in (ready := dict(self.waiting.poll(patience))):
            if not ready:
                patience = None
                self.rehearse()
            elif self.has_ended():
                if wire.JOB_FD in dict(self.waiting.poll(0)):
                    break  # told before its end, which see_through makes out
                os._exit(NOT_TAKEN)
            else:
                os.read(self.ended, 4096)
        what = os.read(wire.JOB_FD, READ_BYTES)
        if not what:
            os._exit(0)  # not needed any more
        self.waiting.unregister(wire.JOB_FD)
        os.close(wire.JOB_FD)
        processes.signal(self.worker, SIGCONT)  # code may have stopped it while it waited
        self.see_through(*marshal.loads(what))

    def rehearse(self):
        """An exec without an exec. What it touches is this process's own from then on, and no page of it has to be copied,
        or found, while somebody waits."""
        self.waiting.unregister(wire.JOB_FD)
        up, wire.UP_FD = wire.UP_FD, os.open('/dev/null', os.O_WRONLY)
        self.begin(*marshal.loads(marshal.dumps((0, 1, '', 0))))
        read, write = os.pipe()
        self.follow({read: wire.STDOUT})
        os.write(write, b'.')
        os.close(write)
        while self.streams:
            self.wait_once()
        self.tell_files('/opt/theazo')
        self.tell_end(0)
        os.close(wire.UP_FD)
        wire.UP_FD = up
        self.waiting.register(wire.JOB_FD, POLLIN)

    def start_worker(self):
        """True in the new process."""
        self.worker = os.fork()
        if self.worker == 0:
            set_wakeup_fd(-1)
            handle(SIGCHLD, SIG_DFL)
            os.setsid()
            os.nice(WORKER_NICENESS)
            os.dup2(self.out[1], 1)
            os.dup2(self.err[1], 2)
            return True
        for fd in (self.out[1], self.err[1], wire.STDIN_FD, wire.FENCE_FD, wire.HELD_FD):
            os.close(fd)
        return False

    def see_through(self, *job):
        self.begin(*job)
        self.follow({self.out[0]: wire.STDOUT, self.err[0]: wire.STDERR})
        while not self.has_ended():
            self.wait_once()
        if self.told is not None and not os.read(self.told, 1):
            os._exit(NOT_TAKEN)
        is_left = self.end_session()
        for fd in list(self.streams):
            self.drain(fd)
        self.tell_files(changed_files.ROOT)
        self.tell_end(os.waitstatus_to_exitcode(self.status))
        self.cap = 0  # nobody hears what is written from now on, but who writes it must not stall
        while is_left:
            self.wait_once()
            is_left = self.bury()
        os._exit(0)

    def begin(self, exec_id, cap, folder, started_ns):
        self.exec_id, self.cap, self.folder, self.started_ns = exec_id, cap, folder, started_ns
        self.flags = 0
        self.sent = {wire.STDOUT: 0, wire.STDERR: 0}

    def follow(self, streams):
        self.streams = streams
        for fd in streams:
            os.set_blocking(fd, False)
            self.waiting.register(fd, POLLIN)

    def has_ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.worker, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def wait_once(self):
        for fd, _events in self.waiting.poll():
            if fd == self.ended:
                os.read(fd, 4096)
            else:
                self.pass_on(fd)

    def pass_on(self, fd):
        """Sends one piece of output. False where there is none now."""
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.waiting.unregister(fd)
            del self.streams[fd]
            os.close(fd)
            return False
        kind = self.streams[fd]
        room = max(self.cap - self.sent[kind], 0)
        if len(data) > room:
            self.flags |= wire.STDOUT_TRUNCATED if kind == wire.STDOUT else wire.STDERR_TRUNCATED
            data = data[:room]
        self.sent[kind] += len(data)
        for start in range(0, len(data), wire.MAX_PAYLOAD):
            wire.send(self.exec_id, kind, data[start : start + wire.MAX_PAYLOAD])
        return True

    def drain(self, fd):
        """What was written until now: a full pipe (1 MiB at most), and not what others go on writing for ever."""
        for _ in range(17):
            if fd not in self.streams or not self.pass_on(fd):
                return

    def end_session(self):
        """Kills what stayed in the exec's session, and waits until it is gone. True where something has left it."""
        try:
            os.killpg(self.worker, SIGKILL)
        except ProcessLookupError:
            pass
        until = time.monotonic() + DEATH_SECONDS
        while self.bury():
            known = processes.table()
            staying = [pid for pid in processes.below(os.getpid(), known) if known[pid][1] == self.worker]
            if not staying or time.monotonic() > until:
                return True
            for pid in staying:
                processes.signal(pid, SIGKILL)
            time.sleep(0.0005)
        return False

    @staticmethod
    def bury():
        """Takes leave of children that have ended. True where others live."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return False
        return True

    def tell_files(self, root):
        found, is_cut, latest = changed_files.changed_since(self.started_ns, root)
        self.last_change[0] = max(self.last_change[0], latest)
        for path, size in found:
            try:
                name = path.encode()
            except UnicodeEncodeError:  # it cannot be told as text
                is_cut = True
                continue
            body = wire.FILE_BODY.pack(size, len(name)) + name + changed_files.media_type(path).encode()
            if len(body) > wire.MAX_PAYLOAD:
                is_cut = True
                continue
            wire.send(self.exec_id, wire.FILE, body)
        if is_cut:
            self.flags |= wire.FILES_TRUNCATED

    def tell_end(self, code):
        body = wire.EXIT_BODY.pack(code if code >= 0 else 128 - code, self.flags)
        wire.send(self.exec_id, wire.EXIT, body)
        remove(self.folder)
