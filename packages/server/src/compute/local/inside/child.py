"""The first steps of a process that the supervisor has forked."""
import os

import wire

#: A reaper's own failure, told on standard error.
FAILED = 70


class child:
    """Whatever goes wrong in the block ends the process: nothing of it reaches code that is the supervisor's."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _traceback):
        if error is None:
            return
        os.write(2, f'reaper: {kind.__name__}: {error}\n'.encode())
        os._exit(FAILED)


def keep(line):
    """What a reaper keeps of the supervisor's descriptors, beside its way up and the fence. No program gets any of them."""
    os.dup2(line, wire.LINE_FD)
    os.closerange(wire.LINE_FD + 1, 65536)
    os.dup2(wire.LINE_FD, wire.DOWN_FD)  # taken, so that no pipe gets a number that a program knows one by
    for fd in range(wire.DOWN_FD, wire.LINE_FD + 1):
        os.set_inheritable(fd, False)
