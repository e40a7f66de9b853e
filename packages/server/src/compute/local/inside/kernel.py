"""What Python has no call for: prctl(2) and Landlock."""
import os
from _struct import Struct

import _ctypes  # and not ctypes, which takes long to load; that rests on these calls since Python 2.5

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # all architectures
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
#: linux/landlock.h: write a file; remove, make and move anything.
CHANGES = sum(1 << bit for bit in (1, *range(4, 14)))
TRUNCATE = 1 << 14
WRITABLE = ('/workspace', '/home/agent', '/tmp', '/dev', '/proc')

#: struct landlock_ruleset_attr, as far as it is used, and struct landlock_path_beneath_attr.
RULESET, PATH_BENEATH = Struct('=Q'), Struct('=Qi')

libc = _ctypes.dlopen(None, os.RTLD_NOW)


def call(name, *arguments):
    """Of the C library: None is a null pointer, bytes are passed by address, and numbers are C's int, as is what it gives."""
    return _ctypes.call_function(_ctypes.dlsym(libc, name), arguments)


def close_to_others():
    """No process of the same user can then open our descriptors or memory through /proc."""
    call('prctl', PR_SET_DUMPABLE, 0, 0, 0, 0)


def open_to_others():
    call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0)


def adopt_orphans():
    """Descendants that lose their parent become ours."""
    call('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def make_fence():
    """A Landlock ruleset for code. It guards processes behind another fence (Landlock's ptrace hook is asked for
    /proc/PID/fd too), and lets code write only where it may anyway, but not where an exec's code waits to be read. None
    where the kernel has none (before 5.19)."""
    version = call('syscall', LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version < 2:
        return None
    access = CHANGES | (TRUNCATE if version >= 3 else 0)
    ruleset = call('syscall', LANDLOCK_CREATE_RULESET, RULESET.pack(access), RULESET.size, 0)
    if ruleset < 0:
        return None
    for path in WRITABLE:
        folder = os.open(path, os.O_PATH)
        rule = PATH_BENEATH.pack(access, folder)
        added = call('syscall', LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0)
        os.close(folder)
        if added != 0:
            return None
    return ruleset


def enter_fence(ruleset):
    """Without effect where there is none to enter."""
    call('syscall', LANDLOCK_RESTRICT_SELF, ruleset, 0)
