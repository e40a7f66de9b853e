"""How Python code ends: its status, and what is printed of an error that it did not catch."""
import sys

#: A status that no code can have asked for.
INTERRUPTED = -1


def execute(path, code, main):
    """The status that the code of a file ends with."""
    try:
        exec(compile(code, path, 'exec', dont_inherit=True), main.__dict__)
    except BaseException as error:
        failed = error
    else:
        failed = None
    return status_after(failed)


def status_after(failed):
    """Outside of the handler: code that runs from here on is handling no exception."""
    if failed is None:
        return 0
    if isinstance(failed, SystemExit):
        return status_of(failed.code)
    try:
        tell(failed)
    except SystemExit as error:
        return status_of(error.code)
    return INTERRUPTED if isinstance(failed, KeyboardInterrupt) else 1


def tell(error):
    """As the interpreter does at its end, without our own frames. A hook of the user's may fail."""
    trace = without_ours(error.__traceback__.tb_next)
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


def without_ours(trace):
    """What print calls in live_output.py is no business of code either."""
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
    """As the interpreter takes what `sys.exit` was given."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(1 << 63) <= code < 1 << 63 else 0xFF
    print(code, file=sys.stderr)
    return 1
