"""The end of the way for Python code: this process becomes what `python3 path` would have started."""
import gc
import marshal
import os
import sys
import time
from _signal import SIG_DFL, SIGINT, default_int_handler, raise_signal
from _signal import signal as handle

import dispositions
import interpreter
import outcome
import titles
import worker
from changed_files import ROOT


def run(path, code, cwd, env):
    """Never returns."""
    main = become(path, cwd, env)
    del cwd, env
    end(outcome.execute(path, code, main), main)


def end(status, main):
    """What the interpreter does at its end, but for the modules that every process here has: that takes longer than all
    the rest of a small program."""
    threading._shutdown()  # waits for threads
    atexit._run_exitfuncs()
    is_told = flush()
    destroy(main)
    if not (is_told and flush()):
        status = OUTPUT_LOST
    if status == outcome.INTERRUPTED:
        handle(SIGINT, SIG_DFL)
        raise_signal(SIGINT)
    c_exit(status)  # and what C code has left


def destroy(main):
    """What code has left, from its main module on: files that it did not close are written, and finalizers run."""
    own = list(itertools.takewhile(lambda module: module is not main, reversed(sys.modules.values())))
    for module in (main, *filter(is_of_code, own)):
        empty(module.__dict__)
    gc.collect()
    for left in gc.get_objects():  # by a module that is not emptied
        # Not by isinstance, which may ask an object of the code for its class.
        is_file = issubclass(type(left), (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom))
        if is_file and left is not sys.stdout and left is not sys.stderr:
            try:
                left.flush()
            except (OSError, ValueError):
                pass  # closed, or only read from


def import_for_end():
    """Not where it is used: a look at a module that is there has some of its pages copied, too."""
    global atexit, c_exit, io, itertools, threading
    import atexit
    import ctypes
    import io
    import itertools
    import threading

    # C's own; by a handle that keeps the lock, so that no other thread runs on meanwhile.
    c_exit = ctypes.PyDLL(None).exit


def is_of_code(module):
    """From a file that the system does not bring along."""
    file = getattr(module, '__file__', None)
    return isinstance(file, str) and not file.startswith('/usr/')


def empty(names):
    """In the interpreter's order: private names first, so that what is public outlives what it rests on least."""
    for name in [key for key in names if key[:1] == '_' and key[:2] != '__']:
        names[name] = None
    for name in [key for key in names if key != '__builtins__']:
        names[name] = None


#: The interpreter's own, for output that could not be written.
OUTPUT_LOST = 120


def flush():
    """False, and said on standard error, where standard output could not be written."""
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name, None)  # code may have deleted it
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException as error:
            if name == 'stdout':
                print(f'Exception ignored in: {stream!r}\n{type(error).__name__}: {error}', file=sys.stderr)
                return False
    return True


def become(path, cwd, env):
    """Its `__main__`."""
    if not is_set_up:
        set_up()
    os.closerange(3, 65536)
    worker.open_up()
    titles.set_title('python3', f'{sys.executable} {path}')
    dispositions.restore_signals(is_python=True)
    handle(SIGINT, default_int_handler)
    worker.enter(cwd)
    furnish(env)
    del sys.path[0]
    main = make_main(path, ours)
    gc.enable()
    return main


def make_main(path, ours):
    """The module that code runs in, where it finds its own modules. Nothing of what code has left runs here: no
    sitecustomize or usercustomize, and no line of a .pth file. A program that does not ask for them is to be run as it is."""
    import builtins

    sys.argv[:] = [path]
    sys.orig_argv[:] = [sys.executable, path]
    sys.path[0:0] = [os.path.abspath(entry) for entry in os.environ.get('PYTHONPATH', '').split(':') if entry]
    interpreter.add_user_site()
    sys.meta_path.append(interpreter.LateUserSite)
    main = type(sys)('__main__')
    main.__file__ = path
    main.__cached__ = None
    main.__annotations__ = {}
    main.__builtins__ = builtins
    # To look at each module would have its pages copied.
    for name in ours:
        sys.modules.pop(name, None)
    sys.modules['__main__'] = main  # the last, so that what comes after it is of the code
    return main


furnished = None


def furnish(env):
    """The environment of most execs is given ahead."""
    global furnished
    if env == furnished:
        return
    os.environ.clear()
    for name, value in env.items():
        os.environ[os.fsdecode(name)] = os.fsdecode(value)
    time.tzset()
    furnished = env


is_set_up = False
ours = []


def names_of_ours():
    """Of modules that are no business of code."""
    return [name for name, module in sys.modules.items() if getattr(module, '__file__', '').startswith('/opt/theazo/')]


def set_up():
    """As far as it goes without a job."""
    global is_set_up, ours
    prepare()
    import_for_end()
    interpreter.open_streams()
    interpreter.hide_flags()
    ours = names_of_ours()
    is_set_up = True


def set_up_for_copies(env):
    """The same for all copies of this process, which goes on itself. On descriptors like those that copies have: a stream
    looks at what it is on."""
    kept, stdin, pipe = [os.dup(fd) for fd in range(3)], os.memfd_create('stdin'), os.pipe()
    try:
        for fd, place in ((stdin, 0), (pipe[1], 1), (pipe[1], 2)):
            os.dup2(fd, place)
        set_up()
    finally:
        for place, fd in enumerate(kept):
            os.dup2(fd, place)
        for fd in (*kept, stdin, *pipe):
            os.close(fd)
    if env is not None:
        furnish(env)
    gc.freeze()  # or a collection in a copy would copy all of it


def rehearse(env):
    """In a process that waits. What is touched here is its own by then, and no page of it has to be copied, or found,
    while the code is waited for."""
    if not is_set_up:
        set_up()
    if env is not None:
        furnish(env)
    marshal.loads(marshal.dumps((1, '/', ROOT, env, False, b'')))
    os.path.isdir('/nowhere')
    os.path.abspath(os.environ.get('HOME', '/'))
    with open('/dev/null', 'rb') as nothing, open('/dev/null', 'w') as out:
        nothing.read()
        main = type(sys)('__main__')
        sys.modules['__rehearsal__'] = main
        main.out = out
        exec(compile(REHEARSAL, '', 'exec', dont_inherit=True), main.__dict__)
        outcome.status_after(None)
        out.flush()
        destroy(main)
    del sys.modules['__rehearsal__']


#: Nothing that is left behind.
REHEARSAL = """
def each(*names, **more):
    try:
        return [f'{name!r:>4}' for name in names if more.get(name) is None] + [str(1 + 2.5)]
    finally:
        del names
class Some:
    at = {'one': each('one')}
with __import__('contextlib').suppress(KeyError):
    for one in sorted(Some.at.items()):
        print(2 + len(one), file=out)
        Some.at['two']
"""


def is_prepared():
    return 'site' in sys.modules


def prepare():
    """What every Python program needs; done ahead in the supervisor where there was time."""
    if is_prepared():
        return
    import site

    site.main()
    # Not what -S alone would leave out, but what most programs import, and tracebacks need.
    import collections, contextlib, ctypes, datetime, functools, json, linecache, math, random, re, threading, traceback, typing  # noqa: E401, F401
