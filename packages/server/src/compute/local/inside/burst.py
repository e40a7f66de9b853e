"""Limits how fast small chunks of output are forwarded: each costs a frame and an event, whatever its length."""
import time

#: Chunks that are forwarded immediately; after them one chunk in GATHER_MS, with the output that was written until then.
CHUNKS, GATHER_MS = 32, 5
#: Output that ends in the middle of a line waits this long for the rest. Many programs write the end of a line
#: separately, and a busy machine may run others between the two writes. There is no wait when the program ends.
LINE_MS = 50
#: A chunk of this length costs no more than its bytes do.
LARGE_BYTES = 4096


class Burst:
    def __init__(self):
        self.left = CHUNKS
        self.at = 0.0

    def add(self, size):
        if size >= LARGE_BYTES:
            return
        now = time.monotonic()
        self.left = min(CHUNKS, self.left + (now - self.at) * 1000 / GATHER_MS) - 1
        self.at = now

    @property
    def is_exhausted(self):
        return self.left < 1
