"""The process of an exec, on its way from a copy of the supervisor to the user's code."""
import os
from _signal import SIG_DFL, SIGINT, SIGPIPE, SIGXFSZ, default_int_handler
from _signal import signal as handle

import kernel
import wire

PYTHON_PATH, NODE_PATH, BASH_PATH = '/usr/bin/python3', '/opt/node/bin/node', '/bin/bash'

#: Far above the supervisor's, so that the code goes first when memory runs out; lowering it needs a capability.
OOM_SCORE = b'500'
NODE_JOB_FD = 3


def leave():
    """Gives up what only the supervisor may have."""
    os.dup2(wire.STDIN_FD, 0)
    try:
        fd = os.open('/proc/self/oom_score_adj', os.O_WRONLY)
        os.write(fd, OOM_SCORE)
        os.close(fd)
    except OSError:
        pass  # a container may have closed it
    kernel.enter_fence(wire.FENCE_FD)


def run_program(argv, cwd, env, job_fd=None):
    """Never returns."""
    if job_fd is not None:
        os.dup2(job_fd, NODE_JOB_FD)
    os.closerange(NODE_JOB_FD if job_fd is None else NODE_JOB_FD + 1, 65536)
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


def become_python(path, cwd, env):
    """Makes this interpreter look like `python3 path`, just started. Returns its `__main__`."""
    import builtins
    import gc
    import io
    import sys

    prepare_python()
    os.closerange(3, 65536)
    kernel.open_to_others()
    handle(SIGINT, default_int_handler)
    enter(cwd)
    os.environ.clear()
    for name, value in env.items():
        os.environ[os.fsdecode(name)] = os.fsdecode(value)
    for fd, name, mode, errors in ((0, 'stdin', 'r', 'strict'), (1, 'stdout', 'w', 'strict'), (2, 'stderr', 'w', 'backslashreplace')):
        buffer = open(fd, f'{mode}b')
        buffer.raw.name = f'<{name}>'
        stream = io.TextIOWrapper(buffer, 'utf-8', errors, line_buffering=name == 'stderr')
        stream.mode = mode
        setattr(sys, name, stream)
        setattr(sys, f'__{name}__', stream)
    sys.argv[:] = [path]
    sys.orig_argv[:] = [sys.executable, path]
    entries = [entry for entry in os.environ.get('PYTHONPATH', '').split(':') if entry]
    sys.path[0:1] = entries
    add_user_site(sys)
    customize(sys, entries)
    main = type(sys)('__main__')
    main.__file__ = path
    main.__builtins__ = builtins
    for name, module in list(sys.modules.items()):
        if getattr(module, '__file__', '').startswith('/opt/theazo/'):
            del sys.modules[name]
    sys.modules['__main__'] = main
    gc.enable()
    return main


def prepare_python():
    """What every Python program needs; done ahead in the supervisor where there was time."""
    import sys

    if 'site' in sys.modules:
        return
    import site

    site.main()
    # Not what -S alone would leave out, but what most programs import, and tracebacks need.
    import collections, contextlib, datetime, functools, json, linecache, math, random, re, threading, traceback, typing  # noqa: E401, F401


def customize(sys, entries):
    """What a start of Python would import by itself, where code has put it on its path."""
    for name in ('sitecustomize', 'usercustomize'):
        if any(os.path.isfile(f'{entry}/{name}.py') for entry in entries):
            sys.modules.pop(name, None)
            __import__(name)


def add_user_site(sys):
    """Never in the supervisor: the folder is the user's, and its .pth files run code."""
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    folder = f'{os.environ.get("HOME", "")}/.local/lib/python{version}/site-packages'
    if os.path.isdir(folder):
        import site

        site.addsitedir(folder)
