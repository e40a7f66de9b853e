"""Runs `python3 FILE` in a new interpreter, with the code on descriptor 3. It is for code whose environment decides how an
interpreter starts, e.g. by PYTHONHASHSEED.

It is started with -S and -s, and without PYTHONPATH: before FILE runs, nothing is imported from a folder that code can write.
An interpreter that has PYTHONPATH loads even its encodings from there.
"""
import os
import sys
from _signal import SIG_DFL, SIGINT, raise_signal
from _signal import signal as handle


def start(python_path, path):
    folder = os.path.dirname(__file__)
    sys.path.insert(0, folder)  # not there with PYTHONSAFEPATH
    import interpreter
    import outcome
    import python
    import worker

    sys.path[:] = [entry for entry in sys.path if entry != folder]
    import site

    site.main()
    own_names = python.own_module_names()
    interpreter.hide_flags()
    interpreter.make_output_live()
    if python_path:
        os.environ['PYTHONPATH'] = python_path
    with open(worker.JOB_FD, 'rb') as file:
        code = file.read()
    status = outcome.execute(path, code, python.make_main(path, own_names))
    if status == outcome.INTERRUPTED:
        handle(SIGINT, SIG_DFL)
        raise_signal(SIGINT)
    sys.exit(status)


start(*sys.argv[1:])
