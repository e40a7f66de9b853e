"""The output of an exec that its reaper has read but not sent. It is in memory that the supervisor shares: if the reaper is
killed, as code does by `kill -9 -1`, the supervisor sends the rest.

Output is lost only if the reaper is killed between a system call and its record here: between `readv` and the new end, or
between the new start and the frame. If frames were recorded after they are written, much output would be sent twice, because
the server may run first.
"""
import mmap
import os
from _struct import calcsize
from select import POLLOUT, poll

import wire

READ_BYTES = 65536
#: Enough reads to empty a pipe, which contains at most 1 MiB.
MAX_READS = 17
#: Indexes of the numbers. The count of bytes sent of a stream is at the index of its frame kind.
KIND, START, END = 0, 1, 2
HEAD_BYTES = 8 * calcsize('q')
TRUNCATED = {wire.STDOUT: wire.STDOUT_TRUNCATED, wire.STDERR: wire.STDERR_TRUNCATED}


class UnsentOutput:
    def __init__(self):
        self.mapping = mmap.mmap(-1, HEAD_BYTES + 2 * READ_BYTES)
        self.all = memoryview(self.mapping)
        self.bytes = self.all[HEAD_BYTES:]
        self.numbers = self.all[:HEAD_BYTES].cast('q')

    def close(self):
        """Unmaps it in a process that must not have access to it."""
        for each in (self.numbers, self.bytes, self.all):
            each.release()
        self.mapping.close()

    def reset(self):
        """Prepares it for another exec."""
        for at in range(len(self.numbers)):
            self.numbers[at] = 0

    def read(self, fd, kind):
        """Reads a chunk of one stream, and appends it to the unsent output of that stream. Returns its length: 0 at the end
        of the stream.

        @throws BlockingIOError if there is nothing to read now."""
        numbers = self.numbers
        if numbers[START] >= numbers[END]:
            numbers[END] = 0  # before the start: nothing may look unsent between these lines
            numbers[START] = 0
            numbers[KIND] = kind
        end = numbers[END]
        size = os.readv(fd, [self.bytes[end : end + READ_BYTES]])
        numbers[END] = end + size
        return size

    @property
    def length(self):
        return self.numbers[END] - self.numbers[START]

    @property
    def is_whole_line(self):
        return self.bytes[self.numbers[END] - 1] == 10

    def send(self, exec_id, cap):
        """Sends all of it, but at most `cap` bytes of the stream. Returns the truncation flag of the stream if it is cut."""
        numbers, flag = self.numbers, 0
        kind = numbers[KIND]
        writable = poll()
        writable.register(wire.UP_FD, POLLOUT)
        while (start := numbers[START]) < numbers[END]:
            data = bytes(self.bytes[start : min(start + wire.MAX_PAYLOAD, numbers[END])])
            room = max(cap - numbers[kind], 0)
            if len(data) > room:
                flag = TRUNCATED[kind]
            if room:
                writable.poll()  # otherwise output would be recorded as sent while it waits for the server
            numbers[START] = start + len(data)
            numbers[kind] += min(len(data), room)
            if room:
                wire.send(exec_id, kind, data[:room])
        return flag

    def send_rest(self, exec_id, cap, pipes):
        """Sends the rest for a reaper that has ended, and the content of its output pipes, which are given by frame kind.
        Returns the truncation flags."""
        flags = self.send(exec_id, cap)
        for kind, fd in pipes.items():
            try:
                for _ in range(MAX_READS):
                    if not self.read(fd, kind):
                        break
                    flags |= self.send(exec_id, cap)
            except BlockingIOError:
                pass
        return flags
