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


def keep(stdin, job_fd=None, held_fd=None):
    """These are what a reaper keeps of the supervisor's descriptors, beside its way up and the fence."""
    os.dup2(stdin, wire.STDIN_FD)
    if job_fd is not None:
        os.dup2(job_fd, wire.JOB_FD)
        os.dup2(held_fd, wire.HELD_FD)
    os.close(wire.DOWN_FD)
    os.closerange(wire.HELD_FD + 1, 65536)
