"""Processes that still run in the session of an exec when it ends. They are killed, and a note for the caller names them."""
import os
import time

import processes

#: The longest time to wait until they have settled.
SETTLE_SECONDS = 3.0
#: CPU time in clock ticks (1/100 s). An interpreter needs less to start, or to end when its input has ended.
BUSY_TICKS = 50
#: Indexes of the fields of /proc/PID/stat after the name (proc(5)).
STATE, USER_TICKS, SYSTEM_TICKS = 0, 11, 12
#: How many processes the note names, and the length of a command line there.
MAX_NAMED, MAX_NAME = 5, 60


def pids_in(session):
    known = processes.table()
    return [pid for pid in processes.descendants(os.getpid(), known) if known[pid][1] == session]


def wait_until_settled(session, wait):
    """Waits for processes that are about to leave the session, such as `setsid CMD &` at the end of a script, and for processes
    that are about to end, such as a program that has just read the end of its input. Until then they run, or wait for a CPU.
    So the wait is over when all of them sleep, or have used more CPU time than that takes.

    @param wait waits a moment, and reads output: a program that cannot write sleeps, too."""
    until = time.monotonic() + SETTLE_SECONDS
    first_ticks, previous = {}, None
    while time.monotonic() < until:
        checks = {pid: check for pid in pids_in(session) if (check := _check(pid))}
        if not checks:
            return
        for pid, (_is_running, ticks) in checks.items():
            first_ticks.setdefault(pid, ticks)
        is_active = any(is_running and ticks - first_ticks[pid] < BUSY_TICKS for pid, (is_running, ticks) in checks.items())
        if not is_active and checks == previous:  # twice: a check takes time, and they may have waited for each other
            return
        previous = checks
        wait()


def _check(pid):
    """Whether the process runs, and its CPU time. None if it is gone."""
    fields = _read(pid, 'stat').rpartition(b')')[2].split()
    if not fields:
        return None
    return fields[STATE] in (b'R', b'D'), int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])


def note_about(pids, status):
    """The note for the caller. It reads the command lines, so the processes must not have been killed yet.

    @param status of the code. Below 0 it is the signal that killed the code; other code in the sandbox may have sent that, so the
    code may not have meant to leave anything."""
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
