"""What Python has no call for: prctl(2) and Landlock."""
import ctypes
import os

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # all architectures
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
#: linux/landlock.h: write a file; remove, make and move anything.
CHANGES = sum(1 << bit for bit in (1, *range(4, 14)))
TRUNCATE = 1 << 14
WRITABLE = ('/workspace', '/home/agent', '/tmp', '/dev', '/proc')

libc = ctypes.CDLL(None, use_errno=True)


def close_to_others():
    """No process of the same user can then open our descriptors or memory through /proc."""
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def open_to_others():
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def adopt_orphans():
    """Descendants that lose their parent become ours."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [('allowed_access', ctypes.c_uint64), ('parent_fd', ctypes.c_int32)]


def make_fence():
    """A Landlock ruleset for code. It guards processes behind another fence (Landlock's ptrace hook is asked for
    /proc/PID/fd too), and lets code write only where it may anyway, but not where an exec's code waits to be read. None
    where the kernel has none (before 5.19)."""
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version < 2:
        return None
    access = CHANGES | (TRUNCATE if version >= 3 else 0)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, (ctypes.c_uint64 * 1)(access), 8, 0)
    if ruleset < 0:
        return None
    for path in WRITABLE:
        folder = os.open(path, os.O_PATH)
        rule = PathBeneath(access, folder)
        added = libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(folder)
        if added != 0:
            return None
    return ruleset


def exit(status):
    """C's own; by a handle that keeps the lock, so that no other thread runs on meanwhile."""
    ctypes.PyDLL(None).exit(status)


def enter_fence(ruleset):
    """Without effect where there is none to enter."""
    libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
