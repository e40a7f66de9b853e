"""The first steps of a process that the supervisor has forked."""
import os

import wire

#: Exit status of a process that failed by itself; it reports the error on standard error.
FAILED = 70


class exit_on_error:
    """An error in the block ends the process, so that a forked process never runs code of the supervisor."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _traceback):
        if error is None:
            return
        os.write(2, f'reaper: {kind.__name__}: {error}\n'.encode())
        os._exit(FAILED)


def keep_control_socket(fd):
    """Keeps this descriptor of the supervisor's, the one for frames up, and the Landlock ruleset. Closes all others. No program
    inherits any of them."""
    os.dup2(fd, wire.CONTROL_FD)
    os.closerange(wire.CONTROL_FD + 1, 65536)
    os.dup2(wire.CONTROL_FD, wire.DOWN_FD)  # reserves the number: a program expects its own pipe there
    for fd in range(wire.DOWN_FD, wire.CONTROL_FD + 1):
        os.set_inheritable(fd, False)
