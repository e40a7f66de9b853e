"""Names of our processes. Code that ends `python3` or `node` by name or command line ends only its own processes."""
import os

import _ctypes  # see kernel.py

import kernel

INIT, REAPER, WAITING, EGRESS = 'theazo-init', 'theazo-reaper', 'theazo-waiting', 'theazo-egress'
PR_SET_NAME = 15
#: Indexes of the fields of /proc/PID/stat after the name (proc(5)): the addresses where the arguments begin and end.
ARG_START, ARG_END = 45, 46


class _Address(_ctypes._SimpleCData):
    """The same as c_void_p of ctypes."""

    _type_ = 'P'


def _find_arguments():
    with open('/proc/self/stat', 'rb') as file:
        fields = file.read().rpartition(b')')[2].split()
    return int(fields[ARG_START]), int(fields[ARG_END])


#: Also right in processes that are forked from the one that has loaded this module.
_start, _end = _find_arguments()


def set_title(name, command_line=None):
    """Sets the name of this process, and its command line, which is the name by default. If the last byte of the arguments is
    not null, the kernel shows them as one text that ends at its first null (setproctitle(3))."""
    kernel.call('prctl', PR_SET_NAME, name.encode(), 0, 0, 0)
    room = _end - _start
    if room > 1:
        text = os.fsencode(command_line or name)[: room - 2]
        kernel.call('memmove', _Address(_start), text.ljust(room - 1, b'\0') + b'.', room)
