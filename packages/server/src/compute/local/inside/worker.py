"""The process of an exec, on its way from a copy of the supervisor to the user's code."""
import marshal
import os
import resource
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ
from _signal import signal as handle
from select import POLLIN, poll

import kernel
import wire
from job import BASH, TYPESCRIPT, file_with

PYTHON_PATH, NODE_PATH, BASH_PATH = '/usr/bin/python3', '/opt/node/bin/node', '/bin/bash'

#: Above the supervisor's, so that code goes first when memory runs out.
OOM_SCORE = b'500'
#: Where a process that waits is told its job, and where it says that it has it.
JOB_FD, TOLD_FD, END_OF_HELD = 3, 4, 5
#: Beyond what code may have, so that there is always room for an exec that ends the others (running-sandbox.ts).
SPARE_PROCESSES = 16


def leave():
    """Gives up what only the supervisor may have."""
    os.dup2(wire.STDIN_FD, 0)
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1] - SPARE_PROCESSES
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    kernel.enter_fence(wire.FENCE_FD)


def open_up():
    """Once nothing of the supervisor's is left to be reached: an ordinary process, and the first to go for memory."""
    kernel.open_to_others()  # until then /proc/self is root's
    try:
        fd = os.open('/proc/self/oom_score_adj', os.O_WRONLY)
        os.write(fd, OOM_SCORE)
        os.close(fd)
    except OSError:
        pass  # a container may have closed it


def hold(told_fd, job_fd=wire.HELD_FD):
    """Keeps these two of all descriptors but the standard ones and the fence."""
    os.dup2(job_fd, JOB_FD)
    os.dup2(told_fd, TOLD_FD)
    os.closerange(wire.STDIN_FD + 1, 65536)


def run_program(argv, cwd, env, first_closed=3):
    """Never returns."""
    os.closerange(first_closed, 65536)
    open_up()
    handle(SIGPIPE, SIG_DFL)  # Python ignores these two, and a program would inherit it
    handle(SIGXFSZ, SIG_DFL)
    enter(cwd)
    try:
        os.execve(argv[0], argv, env)
    except OSError as error:
        os.write(2, f'{argv[0]}: {error.strerror}\n'.encode())
        os._exit(126)


def enter(cwd):
    try:
        try:
            os.chdir(cwd)
        except PermissionError:
            os.chmod('/workspace', 0o700)  # code may have closed it, and nothing would start there any more
            os.chdir(cwd)
    except OSError as error:
        os.write(2, f'{cwd}: {error.strerror}\n'.encode())
        os._exit(126)


def start(job, typescript):
    """Never returns, but with what Python code needs: path, folder, environment."""
    if job.lang == TYPESCRIPT:
        hold(os.open('/dev/null', os.O_WRONLY), file_with('job', job.for_node()))
        run_program(typescript, job.cwd, job.env, END_OF_HELD)
    return become(job.lang, job.path, job.cwd, job.env, job.needs_fresh_interpreter)


def take_job(rehearse, quiet_ms):
    """The same in a process that was started ahead. It calls `rehearse` where it has to wait."""
    waiting = poll()
    waiting.register(JOB_FD, POLLIN)
    if not waiting.poll(quiet_ms):
        rehearse()
    with open(JOB_FD, 'rb') as pipe:
        what = pipe.read()
    if not what:
        os._exit(0)  # it is not needed any more
    os.write(TOLD_FD, b'.')
    return become(*marshal.loads(what))


def become(lang, path, cwd, env, needs_fresh_interpreter):
    if lang == BASH:
        run_program([BASH_PATH, path], cwd, env)
    if needs_fresh_interpreter:
        run_program([PYTHON_PATH, path], cwd, env)
    return path, cwd, env
