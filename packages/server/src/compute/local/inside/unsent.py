"""What a reaper has read of the output of an exec and has not sent yet, in memory that the supervisor has, too: that one
sends the rest where the reaper is killed, as code does by `kill -9 -1`.

Lost is only what the reaper is killed with between a system call and the note of it: between `readv` and the new end, and
between the new start and the frame. To note a frame after it is written would have many told twice: the server may run first.
"""
import mmap
import os
from _struct import calcsize
from select import POLLOUT, poll

import wire

READ_BYTES = 65536
#: A pipe holds at most 1 MiB.
MAX_READS = 17
#: Where the numbers are. The bytes sent of a stream are at its kind.
KIND, START, END = 0, 1, 2
HEAD_BYTES = 8 * calcsize('q')
TRUNCATED = {wire.STDOUT: wire.STDOUT_TRUNCATED, wire.STDERR: wire.STDERR_TRUNCATED}


class Unsent:
    def __init__(self):
        self.mapping = mmap.mmap(-1, HEAD_BYTES + 2 * READ_BYTES)
        self.all = memoryview(self.mapping)
        self.bytes = self.all[HEAD_BYTES:]
        self.numbers = self.all[:HEAD_BYTES].cast('q')

    def close(self):
        """In a process that has no business with it."""
        for each in (self.numbers, self.bytes, self.all):
            each.release()
        self.mapping.close()

    def reset(self):
        """For another exec."""
        for at in range(len(self.numbers)):
            self.numbers[at] = 0

    def read(self, fd, kind):
        """A piece of one stream, after what is unsent of it. Its length: 0 at the end of the stream.

        @throws BlockingIOError where there is none now."""
        numbers = self.numbers
        if numbers[START] >= numbers[END]:
            numbers[END] = 0  # first, as nothing is unsent between these lines either
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
        """All of it, as far as `cap` allows. The flag to be told if that is less."""
        numbers, flag = self.numbers, 0
        kind = numbers[KIND]
        way_up = poll()
        way_up.register(wire.UP_FD, POLLOUT)
        while (start := numbers[START]) < numbers[END]:
            data = bytes(self.bytes[start : min(start + wire.MAX_PAYLOAD, numbers[END])])
            room = max(cap - numbers[kind], 0)
            if len(data) > room:
                flag = TRUNCATED[kind]
            if room:
                way_up.poll()  # or what waits for the server would be noted as told
            numbers[START] = start + len(data)
            numbers[kind] += min(len(data), room)
            if room:
                wire.send(exec_id, kind, data[:room])
        return flag

    def send_rest(self, exec_id, cap, pipes):
        """For a reaper that has ended, with what is left in its pipes, by kind. All flags."""
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
