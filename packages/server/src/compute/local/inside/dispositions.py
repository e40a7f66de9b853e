"""What becomes of signals. Our processes ignore those that code sends to all it sees; code starts with none ignored."""
from _signal import SIG_DFL, SIG_IGN, SIGCHLD, SIGCONT, SIGKILL, SIGPIPE, SIGSTOP, SIGXFSZ
from _signal import signal as handle

#: What a process may decide on; 32 and 33 are glibc's own.
SIGNALS = [number for number in range(1, 65) if number not in (SIGKILL, SIGSTOP, 32, 33)]
_needed = (SIGCHLD, SIGCONT)
#: Python ignores them in each of its programs.
_ignored_by_python = (SIGPIPE, SIGXFSZ)


def ignore_signals():
    for number in SIGNALS:
        if number not in _needed:
            handle(number, SIG_IGN)


def restore_signals(is_python):
    """As a program finds them at its start."""
    for number in SIGNALS:
        if not (is_python and number in _ignored_by_python):
            handle(number, SIG_DFL)
