"""Lists processes, and kills those that an exec has started."""
import os
import time
from _signal import SIGCONT, SIGKILL, SIGSTOP

KILL_SECONDS = 5


def table():
    """{pid: (parent, session)} of all processes except zombies."""
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


def descendants(root, processes):
    """All descendants of a process."""
    children = {}
    for pid, (parent, _session) in processes.items():
        children.setdefault(parent, []).append(pid)
    found, remaining = [], list(children.get(root, ()))
    while remaining:
        pid = remaining.pop()
        found.append(pid)
        remaining.extend(children.get(pid, ()))
    return found


def signal(pid, number):
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def kill_descendants(root):
    """Kills all descendants of a process. They are stopped first, as a stopped process cannot fork. False if some remain after
    KILL_SECONDS."""
    until = time.monotonic() + KILL_SECONDS
    while True:
        known = set()
        while True:
            found = set(descendants(root, table()))
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
        signal(root, SIGCONT)  # it may have been stopped, and has to wait for them
        time.sleep(0.001)


def kill_tree(root):
    """Kills a process and its descendants. Only for the supervisor: if it fails, it exits, and the kernel kills everything in the
    sandbox with pid 1."""
    if not kill_descendants(root):
        os._exit(1)
    signal(root, SIGKILL)
