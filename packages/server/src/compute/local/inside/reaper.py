"""One exec, seen from outside of its code: passes its output on, waits for its end, and tells it.

A process for each exec that runs, and for each that is waited for; it serves one after the other. Whatever the code
starts, however it detaches itself, stays below this process, which adopts it: so the supervisor finds all of it when the
exec is to be killed. As long as any of it stays, so does the reaper, and serves nobody else.
"""
import marshal
import os
import time
from _signal import SIGCHLD, SIGCONT, SIGKILL, set_wakeup_fd
from _signal import signal as handle
from select import POLLIN, poll

import changed_files
import kernel
import leftovers
import lines
import processes
import spawn
import wire
import worker
from burst import GATHER_MS, LARGE_BYTES, LINE_MS, Burst
from job import remove, was_read
from unsent import MAX_READS, READ_BYTES, Unsent

#: How long one that waits has waited when it rehearses: where execs follow each other at once, nobody is to wait for it.
QUIET_MS = 15
#: Between two looks at what an exec has left running.
SETTLE_LOOK_MS = 1
#: How long killed processes may take to die; a disk may hold one for a while.
DEATH_SECONDS = 5
#: Statuses of one whose process was killed while it waited, or could not be started: a job that it has been told by then
#: has not begun.
NOT_TAKEN, NOT_STARTED = 71, 72
#: And of one that could not read its code, as other code had closed it.
NOT_READ = worker.NOT_READ
#: Statuses of a shell that cannot read its script.
UNREADABLE = (126, 127)
#: What it says on its line when it can have another process: just before an end is told, as another exec may follow at once.
FREE = b'f'


def watch_children():
    """A descriptor that becomes readable when a child has ended."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handle(SIGCHLD, lambda *_: None)
    set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


class Reaper:
    def __init__(self, last_change, kinds, unsent):
        kernel.adopt_orphans()
        self.last_change, self.kinds, self.unsent = last_change, kinds, unsent
        self.ended = watch_children()
        self.waiting = poll()
        self.waiting.register(self.ended, POLLIN)
        #: For the end alone.
        self.ending = poll()
        self.ending.register(self.ended, POLLIN)
        #: A fork has made every page one to be copied, of this process too; see rehearse.
        self.has_forked = True

    def serve(self):
        """Exec after exec, until one leaves something behind. Returns in a copy of this process only, which is to be the
        next Python."""
        while True:
            order, fds = lines.receive(wire.LINE_FD)
            if not order:
                os._exit(0)  # not needed any more
            number, folder = marshal.loads(order)
            try:
                if self.start_worker(self.kinds.all[number], folder, *fds):
                    return
            except OSError:
                os._exit(NOT_STARTED)
            self.see_through(*self.wait_for_job())

    def start_worker(self, kind, folder, held, stdin, out, err, out_end, err_end):
        """True in a copy of this process. It waits for what comes out of `held`."""
        self.status = None
        self.out, self.err, (self.told, told_end) = out, err, os.pipe()
        given = stdin, out_end, err_end, held, told_end
        if kind.is_forked:
            self.kinds.prepare_copies()
            self.worker = os.fork()
            if self.worker == 0:
                self.unsent.close()
                worker.leave(*given)
                return True
            self.has_forked = True
        else:
            self.worker = spawn.spawn(*kind.program(folder), given)
        for fd in given:
            os.close(fd)
        return False

    def wait_for_job(self):
        """Until what waits says that it has it: who is killed may have taken the job from a pipe all the same."""
        self.waiting.register(wire.LINE_FD, POLLIN)
        patience = QUIET_MS if self.has_forked else None
        while wire.LINE_FD not in (ready := dict(self.waiting.poll(patience))):
            if not ready:
                patience = None
                self.rehearse()
            elif self.has_ended():
                if wire.LINE_FD in dict(self.waiting.poll(0)):
                    break  # told before its end, which see_through makes out
                os._exit(NOT_TAKEN)
            else:
                os.read(self.ended, 4096)
        what = os.read(wire.LINE_FD, READ_BYTES)
        if not what:
            os._exit(0)  # not needed any more
        self.waiting.unregister(wire.LINE_FD)
        processes.signal(self.worker, SIGCONT)  # code may have stopped it while it waited
        return marshal.loads(what)

    def rehearse(self):
        """An exec without an exec. What it touches is this process's own from then on, and no page of it has to be copied,
        or found, while somebody waits."""
        self.has_forked = False
        self.waiting.unregister(wire.LINE_FD)
        unsent, self.unsent = self.unsent, Unsent()
        up, wire.UP_FD = wire.UP_FD, os.open('/dev/null', os.O_WRONLY)
        self.begin(*marshal.loads(marshal.dumps((0, 1, '', '', 0))))
        read, write = os.pipe()
        self.follow({read: wire.STDOUT})
        os.write(write, b'.')
        os.close(write)
        while self.streams:
            self.wait_once()
        self.has_ended()
        self.kill_session(0)
        self.tell_files('/opt/theazo')
        self.tell_end(0)
        os.close(wire.UP_FD)
        wire.UP_FD, self.unsent = up, unsent
        self.waiting.register(wire.LINE_FD, POLLIN)

    def see_through(self, *job):
        """Returns where the exec has left nothing. Else it stays as long as that does, and ends."""
        self.begin(*job)
        self.follow({self.out: wire.STDOUT, self.err: wire.STDERR})
        while not self.has_ended():
            self.wait_once()
        status = os.waitstatus_to_exitcode(self.status)
        if not os.read(self.told, 1):
            os._exit(NOT_READ if status == NOT_READ else NOT_TAKEN)
        os.close(self.told)
        if status in UNREADABLE and self.script and not was_read(self.script):
            os._exit(NOT_READ)
        is_left = self.end_session(status)
        for fd in list(self.streams):
            self.drain(fd)
        self.tell_files(changed_files.ROOT)
        if not is_left:
            os.write(wire.LINE_FD, FREE)
        self.tell_end(status)
        if not is_left:
            for fd in list(self.streams):
                self.close(fd)
            return
        self.cap = 0  # nobody hears what is written from now on, but who writes it must not stall
        while self.bury():
            self.wait_once()
        os._exit(0)

    def begin(self, exec_id, cap, folder, script, started_ns):
        self.exec_id, self.cap, self.folder, self.script, self.started_ns = exec_id, cap, folder, script, started_ns
        self.flags = 0
        self.burst = Burst()

    def follow(self, streams):
        self.streams = streams
        for fd in streams:
            os.set_blocking(fd, False)
            self.waiting.register(fd, POLLIN)

    def has_ended(self):
        self.bury()
        return self.status is not None

    def wait_once(self, at_most_ms=None):
        ready = dict(self.waiting.poll(at_most_ms))
        for fd in ready:
            if fd == self.ended:
                os.read(fd, 4096)
            else:
                self.pass_on(fd, LINE_MS)
        if self.burst.is_over and self.ended not in ready:
            self.ending.poll(GATHER_MS)

    def pass_on(self, fd, line_ms=0):
        """Sends one piece of output, with the rest of its last line if that follows so soon. False where there is none now."""
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
        while not self.unsent.is_whole_line and self.unsent.length < LARGE_BYTES and not self.burst.is_over:
            left_ms = (until - time.monotonic()) * 1000
            if left_ms <= 0 or fd not in dict(self.waiting.poll(left_ms)):
                break
            if not (size := self.unsent.read(fd, self.streams[fd])):
                break
            self.burst.add(size)

    def close(self, fd):
        self.waiting.unregister(fd)
        del self.streams[fd]
        os.close(fd)

    def drain(self, fd):
        """What was written until now: a full pipe (1 MiB at most), and not what others go on writing for ever."""
        for _ in range(MAX_READS):
            if fd not in self.streams or not self.pass_on(fd):
                return

    def end_session(self, status):
        """Kills what stayed in the exec's session, and waits until it is gone. True where something has left it."""
        note = b''
        if self.bury():
            leftovers.settle(self.worker, lambda: self.wait_once(SETTLE_LOOK_MS))
            if staying := leftovers.pids_in(self.worker):
                note = leftovers.note_on(staying, status)
        self.kill_session(SIGKILL)
        if note:
            wire.send(self.exec_id, wire.STDERR, note)
        until = time.monotonic() + DEATH_SECONDS
        while self.bury():
            staying = leftovers.pids_in(self.worker)
            if not staying or time.monotonic() > until:
                return True
            for pid in staying:
                processes.signal(pid, SIGKILL)
            time.sleep(0.0005)
        return False

    def kill_session(self, number):
        try:
            os.killpg(self.worker, number)
        except ProcessLookupError:
            pass

    def bury(self):
        """Takes leave of children that have ended: the worker, and what this process has adopted, which nobody else can wait
        for. True where others live."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.worker and self.status is None:
                    self.status = status
        except ChildProcessError:
            return False

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
