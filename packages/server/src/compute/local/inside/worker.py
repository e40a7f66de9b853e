"""The process of an exec, on its way from a copy of the supervisor to the user's code."""
import marshal
import os
import resource
from _signal import SIG_DFL, SIGCHLD, set_wakeup_fd
from _signal import signal as handle
from select import POLLIN, poll

import dispositions
import kernel
import titles
import wire
from job import BASH, OPEN_TRIES, PYTHON, TYPESCRIPT, file_with, read_code

FRESH = '/opt/theazo/fresh.pyc'
#: See typescript.mjs. The entry is no file, and code cannot make it one.
NODE_PRELOAD, NODE_ENTRY = 'file:///opt/theazo/typescript.mjs', '/opt/theazo/main.ts'
PYTHON_PATH, NODE_PATH, BASH_PATH = '/usr/bin/python3', '/opt/node/bin/node', '/bin/bash'

#: Above the supervisor's, so that code goes first when memory runs out.
OOM_SCORE = b'500'
#: Of code, below the supervisor and reapers: however many processes it has, they get to run, and so to end it.
NICENESS = 10
#: Where a process that waits is told its job, and where it says that it has it.
JOB_FD, TOLD_FD, END_OF_HELD = 3, 4, 5
#: Its status if it could not read its code, and so was not told to have it.
NOT_READ = 73
#: Beyond what code may have, so that there is always room for an exec that ends the others (running-sandbox.ts).
SPARE_PROCESSES = 16

#: How a node is started (supervisor.py).
node_command = []
#: By bash, which has no process for it: the limits of code, and then what is to run with them.
LIMITED = f'ulimit -u "$0"; {{ echo {OOM_SCORE.decode()} > /proc/self/oom_score_adj; }} 2> /dev/null; exec "$@"'


def set_limits(max_files, max_processes, max_file_bytes):
    """Of the supervisor, for all that it starts. Code has less of processes; see process_limit."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, max_files),
        (resource.RLIMIT_NPROC, max_processes + SPARE_PROCESSES),
        (resource.RLIMIT_FSIZE, max_file_bytes),
    ):
        resource.setrlimit(limit, (value, value))


def process_limit():
    return resource.getrlimit(resource.RLIMIT_NPROC)[1] - SPARE_PROCESSES


def leave(stdin, out, err, job_fd, told_fd):
    """A copy of a reaper gives up what only the supervisor may have, and keeps these of all descriptors."""
    set_wakeup_fd(-1)
    handle(SIGCHLD, SIG_DFL)
    os.setsid()
    os.nice(NICENESS)
    most = process_limit()
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    kernel.enter_fence(wire.FENCE_FD)
    for place, fd in enumerate((stdin, out, err, job_fd, told_fd)):
        os.dup2(fd, place)
    os.closerange(END_OF_HELD, 65536)


def open_up():
    """Once nothing of the supervisor's is left to be reached: an ordinary process, and the first to go for memory."""
    kernel.open_to_others()  # until then /proc/self is root's
    try:
        fd = os.open('/proc/self/oom_score_adj', os.O_WRONLY)
        os.write(fd, OOM_SCORE)
        os.close(fd)
    except OSError:
        pass  # a container may have closed it


def run_program(argv, cwd, env, first_closed=3):
    """Never returns."""
    os.closerange(first_closed, 65536)
    open_up()
    dispositions.restore_signals(is_python=False)
    enter(cwd, argv[-1] if argv[0] == BASH_PATH else None)
    try:
        os.execve(argv[0], argv, env)
    except OSError as error:
        os.write(2, f'{argv[0]}: {error.strerror}\n'.encode())
        os._exit(126)


def go_to(cwd):
    for _ in range(OPEN_TRIES):
        try:
            return os.chdir(cwd)
        except PermissionError:
            os.chmod('/workspace', 0o700)  # code may have closed it, and nothing would start there any more
    os.chdir(cwd)


def enter(cwd, path=None):
    try:
        go_to(cwd)
    except OSError as error:
        os.write(2, f'{cwd}: {error.strerror}\n'.encode())
        if path is not None:
            read_code(path)  # or this would count as a script that could not be read
        os._exit(126)


def take_job(rehearse, quiet_ms):
    """Never returns, but with what Python code needs: path, code, folder, environment. Calls `rehearse` if it has to wait."""
    titles.set_title(titles.WAITING)
    waiting = poll()
    waiting.register(JOB_FD, POLLIN)
    if not waiting.poll(quiet_ms):
        rehearse()
    with open(JOB_FD, 'rb') as pipe:
        what = pipe.read()
    if not what:
        os._exit(0)  # it is not needed any more
    lang, path, *others, for_node = marshal.loads(what)
    try:
        code = read_code(path) if lang == PYTHON else for_node and with_texts(for_node)
    except OSError:
        os._exit(NOT_READ)
    os.write(TOLD_FD, b'.')
    return become(lang, path, code, *others)


def with_texts(for_node):
    """What a node is told, so that it need not read its code."""
    import json

    job = json.loads(for_node)
    paths = [job['path'], *([job['compiled']['path']] if job['compiled'] else [])]
    return json.dumps({**job, 'texts': [read_code(path).decode() for path in paths]}).encode()


def become(lang, path, code, cwd, env, needs_fresh_interpreter):
    if lang == BASH:
        run_program([BASH_PATH, path], cwd, env)
    if lang == TYPESCRIPT:
        for fd, place in ((file_with('job', code), JOB_FD), (os.open('/dev/null', os.O_WRONLY), TOLD_FD)):
            os.dup2(fd, place)
            os.set_inheritable(place, True)  # also if it was this number already
        run_program(node_command, cwd, env, END_OF_HELD)
    if needs_fresh_interpreter:
        python_path = env.pop(b'PYTHONPATH', b'')
        os.dup2(file_with('code', code), JOB_FD)
        os.set_inheritable(JOB_FD, True)
        run_program([PYTHON_PATH, '-S', '-s', FRESH, python_path, path], cwd, env, TOLD_FD)
    return path, code, cwd, env
