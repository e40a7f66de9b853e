"""Which processes there are, and the end of those that an exec has started."""
import os
import time
from _signal import SIGCONT, SIGKILL, SIGSTOP

KILL_SECONDS = 5


def table():
    """{pid: (parent, session)} of all that are not zombies."""
    found = {}
    for name in os.listdir('/proc'):
        if not name.isdecimal():
            continue
        try:
            fd = os.open(f'/proc/{name}/stat', os.O_RDONLY)
        except OSError:
            continue
        try:
            text = os.read(fd, 4096)
        except OSError:
            continue
        finally:
            os.close(fd)
        state, parent, _group, session = text[text.rindex(b')') + 2 :].split(None, 4)[:4]
        if state not in (b'Z', b'X'):
            found[int(name)] = (int(parent), int(session))
    return found


def below(root, processes):
    """All descendants of a process."""
    children = {}
    for pid, (parent, _session) in processes.items():
        children.setdefault(parent, []).append(pid)
    found, left = [], list(children.get(root, ()))
    while left:
        pid = left.pop()
        found.append(pid)
        left.extend(children.get(pid, ()))
    return found


def signal(pid, number):
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def kill_below(root):
    """Ends all descendants of a process, also those that fork on meanwhile: what is stopped makes no more. False where
    some are left after a while."""
    until = time.monotonic() + KILL_SECONDS
    while True:
        known = set()
        while True:
            found = set(below(root, table()))
            new = found - known
            if not new:
                break
            for pid in new:
                signal(pid, SIGSTOP)
            known |= new
        if not known:
            return True
        for pid in known:
            signal(pid, SIGKILL)
        if time.monotonic() > until:
            return False
        signal(root, SIGCONT)  # it may have been stopped, and has to bury them
        time.sleep(0.001)


def kill_tree(root):
    """The process too. By the supervisor, which ends where it cannot: the kernel can, and nothing here outlives pid 1."""
    if not kill_below(root):
        os._exit(1)
    signal(root, SIGKILL)
