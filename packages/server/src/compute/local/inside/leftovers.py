"""What an exec leaves running in its session at its end: it is killed then, and the caller is told so."""
import os
import time

import processes

#: How long it may take at most until all of it has settled.
SETTLE_SECONDS = 3.0
#: Of CPU time, in clock ticks (1/100 s). An interpreter needs less to start, or to end for want of input.
BUSY_TICKS = 50
#: Of /proc/PID/stat, counted from what follows the name (proc(5)).
STATE, USER_TICKS, SYSTEM_TICKS = 0, 11, 12
#: That are named in the note, and the length of a command line there.
MAX_NAMED, MAX_NAME = 5, 60


def pids_in(session):
    known = processes.table()
    return [pid for pid in processes.below(os.getpid(), known) if known[pid][1] == session]


def settle(session, wait):
    """Waits for what is about to leave the session, as `setsid CMD &` at the end of a script, and for what is about to end by
    itself, as a program that has just read the end of its input. Until it has done so it runs, or waits for a CPU. So this
    is over when all of it sleeps, or has used up more CPU time than that takes.

    @param wait for a moment, and reads output meanwhile: a program that cannot write sleeps, too."""
    until = time.monotonic() + SETTLE_SECONDS
    first_ticks, before = {}, None
    while time.monotonic() < until:
        looks = {pid: look for pid in pids_in(session) if (look := _look_at(pid))}
        if not looks:
            return
        for pid, (_is_running, ticks) in looks.items():
            first_ticks.setdefault(pid, ticks)
        is_active = any(is_running and ticks - first_ticks[pid] < BUSY_TICKS for pid, (is_running, ticks) in looks.items())
        if not is_active and looks == before:  # one look is no instant: they may have waited for each other
            return
        before = looks
        wait()


def _look_at(pid):
    """Whether it runs, and its CPU time. None if it is gone."""
    fields = _read(pid, 'stat').rpartition(b')')[2].split()
    if not fields:
        return None
    return fields[STATE] in (b'R', b'D'), int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])


def note_on(pids, status):
    """Read before they are killed.

    @param status that the code has ended with; below 0 the signal that has killed it, which it may not have meant to leave
    anything by, as other code of the sandbox can send one."""
    names = [_name_of(pid) for pid in pids[:MAX_NAMED]]
    if len(pids) > MAX_NAMED:
        names.append(f'and {len(pids) - MAX_NAMED} more')
    listed = ', '.join(names)
    if status < 0:
        return f'\nThe code was killed by signal {-status}, so the processes that it had started were ended: {listed}.\n'.encode()
    return (
        f'\nThe code has ended, so the processes that it left in the background were ended: {listed}. '
        'To keep one running, start it with setsid: setsid COMMAND > FILE 2>&1 &\n'
    ).encode()


def _name_of(pid):
    text = _read(pid, 'cmdline').replace(b'\0', b' ').decode(errors='replace')[: MAX_NAME + 1].strip()
    text = ''.join(char if char.isprintable() else '?' for char in text)
    return (text if len(text) <= MAX_NAME else f'{text[:MAX_NAME]}…') or 'a process'


def _read(pid, name):
    try:
        with open(f'/proc/{pid}/{name}', 'rb', buffering=0) as file:
            return file.read(4096)
    except OSError:
        return b''
