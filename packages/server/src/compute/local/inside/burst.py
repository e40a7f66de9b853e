"""How fast small pieces of output are passed on: each costs a frame, a chunk and an event, whatever its length."""
import time

#: Pieces that are passed on as they come; beyond them one in GATHER_MS, which holds what was written until then.
PIECES, GATHER_MS = 32, 5
#: What ends amid a line is held so long for its rest, as many programs write the end of a line by itself, and a busy machine
#: lets others run in between. Not where the program ends.
LINE_MS = 50
#: A piece of this length costs no more than its bytes do.
LARGE_BYTES = 4096


class Burst:
    def __init__(self):
        self.left = PIECES
        self.at = 0.0

    def add(self, size):
        if size >= LARGE_BYTES:
            return
        now = time.monotonic()
        self.left = min(PIECES, self.left + (now - self.at) * 1000 / GATHER_MS) - 1
        self.at = now

    @property
    def is_over(self):
        return self.left < 1
