"""Starts a program below a reaper without a fork, which takes long and has each page of the reaper copied afterwards."""
import os
from _thread import allocate_lock, start_new_thread

import dispositions
import kernel
import wire
import worker


def spawn(argv, cwd, env, fds):
    """Its pid. By a thread of its own, as a program is started in the Landlock domain and with the niceness of a thread. It
    has the supervisor's limits, and has to take on those of code before it runs any: `worker.LIMITED`, shell.sh."""
    worker.go_to(cwd)
    actions = [(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in enumerate(fds)]
    is_done, made = allocate_lock(), []

    def run():
        try:
            os.nice(worker.NICENESS)
            kernel.enter_fence(wire.FENCE_FD)
            made.append(os.posix_spawn(argv[0], argv, env, file_actions=actions, setsid=True, setsigdef=dispositions.SIGNALS))
        except BaseException as error:
            made.append(error)
        finally:
            is_done.release()

    is_done.acquire()
    try:
        start_new_thread(run, ())
    except RuntimeError as error:
        raise BlockingIOError('no thread can be started') from error
    is_done.acquire()
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]
