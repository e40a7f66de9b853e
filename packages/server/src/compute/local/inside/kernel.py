"""System calls that Python does not offer: prctl(2) and Landlock."""
import os
from _struct import Struct

import _ctypes  # not ctypes, which takes long to load; it has used these calls since Python 2.5

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
    """Calls the C library. None is a null pointer, bytes are passed by address, numbers are C's int. Returns C's int."""
    return _ctypes.call_function(_ctypes.dlsym(libc, name), arguments)


def make_undumpable():
    """Afterwards no process of the same user can open our descriptors or memory through /proc."""
    call('prctl', PR_SET_DUMPABLE, 0, 0, 0, 0)


def make_dumpable():
    call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0)


def adopt_orphans():
    """Descendants that lose their parent become children of this process."""
    call('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def make_landlock_ruleset():
    """A ruleset for code. It protects processes of other Landlock domains (the ptrace hook of Landlock also guards /proc/PID/fd).
    Code can write only to the folders that it may write to anyway, except the one in which the code of an exec waits to be read.
    None if the kernel does not support it (before 5.19)."""
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


def enter_landlock(ruleset):
    """Has no effect if there is no ruleset."""
    call('syscall', LANDLOCK_RESTRICT_SELF, ruleset, 0)
