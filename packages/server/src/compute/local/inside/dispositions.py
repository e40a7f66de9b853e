"""Signal dispositions. Our processes ignore the signals that code sends to every process; code starts with none ignored."""
from _signal import SIG_DFL, SIG_IGN, SIGCHLD, SIGCONT, SIGKILL, SIGPIPE, SIGSTOP, SIGXFSZ
from _signal import signal as handle

#: Signals whose disposition a process may set; 32 and 33 are reserved by glibc.
SIGNALS = [number for number in range(1, 65) if number not in (SIGKILL, SIGSTOP, 32, 33)]
_needed = (SIGCHLD, SIGCONT)
#: Python ignores them at its start.
_ignored_by_python = (SIGPIPE, SIGXFSZ)


def ignore_signals():
    for number in SIGNALS:
        if number not in _needed:
            handle(number, SIG_IGN)


def restore_signals(is_python):
    """Restores the dispositions that a program has at its start."""
    for number in SIGNALS:
        if not (is_python and number in _ignored_by_python):
            handle(number, SIG_DFL)
