"""Runs Python code in a warm interpreter, as `python3 path` would run it."""
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
    main = prepare_main(path, cwd, env)
    del cwd, env
    end(outcome.execute(path, code, main), main)


def end(status, main):
    """Does what the interpreter does at its end, but does not free the modules that every process here has: that takes longer
    than the rest of a small program."""
    threading._shutdown()  # waits for threads
    atexit._run_exitfuncs()
    is_flushed = flush()
    destroy(main)
    if not (is_flushed and flush()):
        status = OUTPUT_LOST
    if status == outcome.INTERRUPTED:
        handle(SIGINT, SIG_DFL)
        raise_signal(SIGINT)
    c_exit(status)  # runs the exit handlers of C code


def destroy(main):
    """Frees the objects of code, beginning with its main module: files that it did not close are written, and finalizers run."""
    own = list(itertools.takewhile(lambda module: module is not main, reversed(sys.modules.values())))
    for module in (main, *filter(is_of_code, own)):
        empty(module.__dict__)
    gc.collect()
    for obj in gc.get_objects():  # objects of modules that are not emptied
        # Not isinstance, which may call a property of the object.
        is_file = issubclass(type(obj), (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom))
        if is_file and obj is not sys.stdout and obj is not sys.stderr:
            try:
                obj.flush()
            except (OSError, ValueError):
                pass  # closed, or read-only


def import_for_end():
    """Imports ahead what `end` needs: even an import of a loaded module copies some pages."""
    global atexit, c_exit, io, itertools, threading
    import atexit
    import ctypes
    import io
    import itertools
    import threading

    # The exit of C, by a handle that keeps the GIL, so that no other Python thread continues.
    c_exit = ctypes.PyDLL(None).exit


def is_of_code(module):
    """True for a module from a file that is not part of the system."""
    file = getattr(module, '__file__', None)
    return isinstance(file, str) and not file.startswith('/usr/')


def empty(names):
    """Clears a module in the order of the interpreter: first the names with one underscore, then the others."""
    for name in [key for key in names if key[:1] == '_' and key[:2] != '__']:
        names[name] = None
    for name in [key for key in names if key != '__builtins__']:
        names[name] = None


#: The exit status of the interpreter if output could not be written.
OUTPUT_LOST = 120


def flush():
    """False if standard output could not be written; the error is printed on standard error."""
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


def prepare_main(path, cwd, env):
    """Turns this process into the process of the code. Returns its `__main__` module."""
    if not is_set_up:
        set_up()
    os.closerange(3, 65536)
    worker.drop_protection()
    titles.set_title('python3', f'{sys.executable} {path}')
    dispositions.restore_signals(is_python=True)
    handle(SIGINT, default_int_handler)
    worker.enter_folder(cwd)
    set_environment(env)
    del sys.path[0]
    main = make_main(path, own_names)
    gc.enable()
    return main


def make_main(path, own_names):
    """Makes the module that code runs in, and sets the paths of its imports. It runs nothing that earlier code has installed: no
    sitecustomize or usercustomize, and no line of a .pth file. They must not change a program that does not import them."""
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
    # A check of each module would copy its pages.
    for name in own_names:
        sys.modules.pop(name, None)
    sys.modules['__main__'] = main  # the last, so that every later module belongs to the code
    return main


current_environment = None


def set_environment(env):
    """Most execs have the environment that was set ahead."""
    global current_environment
    if env == current_environment:
        return
    os.environ.clear()
    for name, value in env.items():
        os.environ[os.fsdecode(name)] = os.fsdecode(value)
    time.tzset()
    current_environment = env


is_set_up = False
own_names = []


def own_module_names():
    """Names of our modules, which code must not see."""
    return [name for name, module in sys.modules.items() if getattr(module, '__file__', '').startswith('/opt/theazo/')]


def set_up():
    """Prepares this process as far as possible without a job."""
    global is_set_up, own_names
    prepare()
    import_for_end()
    interpreter.open_streams()
    interpreter.hide_flags()
    own_names = own_module_names()
    is_set_up = True


def set_up_for_copies(env):
    """The same for all forks of this process, which itself continues. The streams are opened on descriptors of the kind that the
    forks have, because a stream depends on the type of its file."""
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
        set_environment(env)
    gc.freeze()  # otherwise a collection in a forked process would copy all of it


def rehearse(env):
    """Does the work of an exec in a process that waits. It copies the pages that an exec writes, so that no page has to be copied
    or loaded while somebody waits."""
    if not is_set_up:
        set_up()
    if env is not None:
        set_environment(env)
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


#: The code of a rehearsal. It leaves nothing behind.
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
    """Loads the modules that most Python programs need; the supervisor does it ahead if there is time."""
    if is_prepared():
        return
    import site

    site.main()
    # Modules that most programs import, and that tracebacks need.
    import collections, contextlib, ctypes, datetime, functools, json, linecache, math, random, re, threading, traceback, typing  # noqa: E401, F401
