"""The worker: the process of an exec, from the fork of the reaper to the start of the user's code."""
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

FRESH_INTERPRETER = '/opt/theazo/fresh_interpreter.pyc'
#: See typescript.mjs. The entry is not a file, and code cannot create one there.
NODE_PRELOAD, NODE_ENTRY = 'file:///opt/theazo/typescript.mjs', '/opt/theazo/main.ts'
PYTHON_PATH, NODE_PATH, BASH_PATH = '/usr/bin/python3', '/opt/node/bin/node', '/bin/bash'

#: Higher than that of the supervisor, so that the kernel kills code first when memory runs out.
OOM_SCORE = b'500'
#: Of code. The supervisor and the reapers have priority, so they can end code however many processes it has.
NICENESS = 10
#: A waiting worker reads its job from JOB_FD, and writes a byte to ACCEPTED_FD when it has it. Further descriptors are closed.
JOB_FD, ACCEPTED_FD, FIRST_UNUSED_FD = 3, 4, 5
#: Exit status of a worker that could not read its code. It has not accepted the job then.
NOT_READ = 73
#: Processes in excess of the limit of code, so that an exec which ends the others can always start (server-limits.ts).
SPARE_PROCESSES = 16

#: The command that starts Node (supervisor.py).
node_command = []
#: A bash script that sets the limits of code, and then replaces bash by the program in its arguments.
LIMITED_COMMAND = f'ulimit -u "$0"; {{ echo {OOM_SCORE.decode()} > /proc/self/oom_score_adj; }} 2> /dev/null; exec "$@"'


def set_limits(max_files, max_processes, max_file_bytes):
    """Sets the limits of the supervisor, which its children inherit. The process limit of code is lower; see process_limit."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, max_files),
        (resource.RLIMIT_NPROC, max_processes + SPARE_PROCESSES),
        (resource.RLIMIT_FSIZE, max_file_bytes),
    ):
        resource.setrlimit(limit, (value, value))


def process_limit():
    return resource.getrlimit(resource.RLIMIT_NPROC)[1] - SPARE_PROCESSES


def become_worker(stdin, out, err, job_fd, accepted_fd):
    """Turns a fork of a reaper into a worker: sets the limits of code, and keeps only these descriptors."""
    set_wakeup_fd(-1)
    handle(SIGCHLD, SIG_DFL)
    os.setsid()
    os.nice(NICENESS)
    limit = process_limit()
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    kernel.enter_landlock(wire.LANDLOCK_FD)
    for place, fd in enumerate((stdin, out, err, job_fd, accepted_fd)):
        os.dup2(fd, place)
    os.closerange(FIRST_UNUSED_FD, 65536)


def drop_protection():
    """Turns this process into an ordinary one, which the kernel kills first when memory runs out. It must not contain
    anything of the supervisor by then."""
    kernel.make_dumpable()  # until then /proc/self belongs to root
    try:
        fd = os.open('/proc/self/oom_score_adj', os.O_WRONLY)
        os.write(fd, OOM_SCORE)
        os.close(fd)
    except OSError:
        pass  # a container may forbid it


def run_program(argv, cwd, env, first_closed=3):
    """Never returns."""
    os.closerange(first_closed, 65536)
    drop_protection()
    dispositions.restore_signals(is_python=False)
    enter_folder(cwd, argv[-1] if argv[0] == BASH_PATH else None)
    try:
        os.execve(argv[0], argv, env)
    except OSError as error:
        os.write(2, f'{argv[0]}: {error.strerror}\n'.encode())
        os._exit(126)


def change_folder(cwd):
    for _ in range(OPEN_TRIES):
        try:
            return os.chdir(cwd)
        except PermissionError:
            os.chmod('/workspace', 0o700)  # code may have closed it, and no program could start there
    os.chdir(cwd)


def enter_folder(cwd, path=None):
    """Changes to the folder, or exits with an error message."""
    try:
        change_folder(cwd)
    except OSError as error:
        os.write(2, f'{cwd}: {error.strerror}\n'.encode())
        if path is not None:
            read_code(path)  # marks the script as read; otherwise the reaper would report it as unreadable
        os._exit(126)


def wait_for_job(rehearse, quiet_ms):
    """Returns only for Python code: path, code, folder, environment. Calls `rehearse` if it has to wait."""
    titles.set_title(titles.WAITING)
    poller = poll()
    poller.register(JOB_FD, POLLIN)
    if not poller.poll(quiet_ms):
        rehearse()
    with open(JOB_FD, 'rb') as pipe:
        job = pipe.read()
    if not job:
        os._exit(0)  # no longer needed
    lang, path, *others, for_node = marshal.loads(job)
    try:
        code = read_code(path) if lang == PYTHON else for_node and with_sources(for_node)
    except OSError:
        os._exit(NOT_READ)
    os.write(ACCEPTED_FD, b'.')
    return run_job(lang, path, code, *others)


def with_sources(for_node):
    """The job of a Node process, with its source code, so that Node need not read the files."""
    import json

    job = json.loads(for_node)
    paths = [job['path'], *([job['compiled']['path']] if job['compiled'] else [])]
    return json.dumps({**job, 'texts': [read_code(path).decode() for path in paths]}).encode()


def run_job(lang, path, code, cwd, env, needs_fresh_interpreter):
    if lang == BASH:
        run_program([BASH_PATH, path], cwd, env)
    if lang == TYPESCRIPT:
        for fd, place in ((file_with('job', code), JOB_FD), (os.open('/dev/null', os.O_WRONLY), ACCEPTED_FD)):
            os.dup2(fd, place)
            os.set_inheritable(place, True)  # also if it was this number already
        run_program(node_command, cwd, env, FIRST_UNUSED_FD)
    if needs_fresh_interpreter:
        python_path = env.pop(b'PYTHONPATH', b'')
        os.dup2(file_with('code', code), JOB_FD)
        os.set_inheritable(JOB_FD, True)
        run_program([PYTHON_PATH, '-S', '-s', FRESH_INTERPRETER, python_path, path], cwd, env, ACCEPTED_FD)
    return path, code, cwd, env
