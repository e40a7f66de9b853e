"""The end of Python code: its exit status, and the printed form of an error that it did not catch."""
import sys

#: No code can exit with this status.
INTERRUPTED = -1


def execute(path, code, main):
    """Runs the code of a file. Returns its exit status."""
    try:
        exec(compile(code, path, 'exec', dont_inherit=True), main.__dict__)
    except BaseException as error:
        failed = error
    else:
        failed = None
    return status_after(failed)


def status_after(failed):
    """Call it outside of the handler, so that code which runs later (excepthook, atexit) is not handling an exception."""
    if failed is None:
        return 0
    if isinstance(failed, SystemExit):
        return status_of(failed.code)
    try:
        print_error(failed)
    except SystemExit as error:
        return status_of(error.code)
    return INTERRUPTED if isinstance(failed, KeyboardInterrupt) else 1


def print_error(error):
    """Prints it as the interpreter does, without our own frames. An excepthook of the user may fail."""
    trace = without_own_frames(error.__traceback__.tb_next)
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except SystemExit:
        raise
    except BaseException as failure:
        for title, shown in ('Error in sys.excepthook', failure), ('\nOriginal exception was', error):
            if sys.stderr:
                sys.stderr.write(f'{title}:\n')
            trace = shown.__traceback__ and shown.__traceback__.tb_next if shown is failure else shown.__traceback__
            sys.__excepthook__(type(shown), shown.with_traceback(trace), trace)


def without_own_frames(trace):
    """Removes all frames of our files, also those of `print` in live_output.py."""
    first = last = None
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith('/opt/theazo/'):
            first = first or trace
            if last is not None:
                last.tb_next = trace
            last = trace
        trace = trace.tb_next
    if last is not None:
        last.tb_next = None
    return first


def status_of(code):
    """Converts the argument of `sys.exit` to a status, as the interpreter does."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(1 << 63) <= code < 1 << 63 else 0xFF
    print(code, file=sys.stderr)
    return 1
