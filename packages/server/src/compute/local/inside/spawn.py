"""Starts a program below a reaper without a fork: a fork takes long, and each page that the reaper writes later is copied."""
import os
from _thread import allocate_lock, start_new_thread

import dispositions
import kernel
import wire
import worker


def spawn(argv, cwd, env, fds):
    """Returns the pid. A new thread starts the program, which inherits the Landlock domain and the niceness of that thread. The
    program has the limits of the supervisor; it must set the limits of code before it runs any: `worker.LIMITED_COMMAND`,
    shell.sh."""
    worker.change_folder(cwd)
    actions = [(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in enumerate(fds)]
    is_done, results = allocate_lock(), []

    def run():
        try:
            os.nice(worker.NICENESS)
            kernel.enter_landlock(wire.LANDLOCK_FD)
            results.append(os.posix_spawn(argv[0], argv, env, file_actions=actions, setsid=True, setsigdef=dispositions.SIGNALS))
        except BaseException as error:
            results.append(error)
        finally:
            is_done.release()

    is_done.acquire()
    try:
        start_new_thread(run, ())
    except RuntimeError as error:
        raise BlockingIOError('no thread can be started') from error
    is_done.acquire()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]
