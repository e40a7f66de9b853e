"""What our processes are called. Code that ends `python3` or `node` by name, or by its command line, hits its own alone."""
import os

import _ctypes  # see kernel.py

import kernel

INIT, REAPER, WAITING, EGRESS = 'theazo-init', 'theazo-reaper', 'theazo-waiting', 'theazo-egress'
PR_SET_NAME = 15
#: Of /proc/PID/stat, counted from what follows the name (proc(5)): where the arguments begin and end.
ARG_START, ARG_END = 45, 46


class _Address(_ctypes._SimpleCData):
    """What ctypes calls c_void_p."""

    _type_ = 'P'


def _find_arguments():
    with open('/proc/self/stat', 'rb') as file:
        fields = file.read().rpartition(b')')[2].split()
    return int(fields[ARG_START]), int(fields[ARG_END])


#: The same in all processes that are forked from the one which has loaded this.
_start, _end = _find_arguments()


def set_title(name, command_line=None):
    """The name of this process, and its command line where that is more. Where the last byte of the arguments is not null,
    the kernel takes them for one text that ends at its first null (setproctitle(3))."""
    kernel.call('prctl', PR_SET_NAME, name.encode(), 0, 0, 0)
    room = _end - _start
    if room > 1:
        text = os.fsencode(command_line or name)[: room - 2]
        kernel.call('memmove', _Address(_start), text.ljust(room - 1, b'\0') + b'.', room)
