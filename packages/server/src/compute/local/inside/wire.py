"""Frames between the server and the supervisor; the other side is frames.ts.

Down, from the server: `<IBI` exec id, kind, length of the payload. Up: `<IBH`. Several processes write up, so a frame
is never longer than PIPE_BUF: the kernel writes such a frame whole (pipe(7)).
"""
import os
from _struct import Struct

DOWN = Struct('<IBI')
UP = Struct('<IBH')
#: Descriptors of the supervisor and its reapers.
DOWN_FD, UP_FD, LANDLOCK_FD = 3, 4, 5
#: Of a reaper: the socket to the supervisor (control_socket.py).
CONTROL_FD = 6
MAX_PAYLOAD = 4096 - UP.size

# Down.
EXEC, KILL, PING, DEFAULTS = 1, 2, 3, 4
# Up.
READY, PONG, STDOUT, STDERR, FILE, EXIT, GONE, REFUSED, NO_FOLDER, LOST, CLOSED = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11

EXIT_BODY = Struct('<iB')
FILE_BODY = Struct('<QH')
EXEC_BODY = Struct('<BBQIB')
BLOB = Struct('<I')

STDOUT_TRUNCATED, STDERR_TRUNCATED, FILES_TRUNCATED = 1, 2, 4


def send(exec_id, kind, payload=b''):
    """Writes one frame up. Ends the process if nobody reads any longer."""
    try:
        os.write(UP_FD, UP.pack(exec_id, kind, len(payload)) + payload)
    except BrokenPipeError:
        os._exit(0)


def frame(exec_id, kind, body, *parts):
    """A frame as the server sends it. The parts are what `blobs` returns."""
    payload = body + b''.join(BLOB.pack(len(part)) + part for part in parts)
    return DOWN.pack(exec_id, kind, len(payload)) + payload


def take_frames(received):
    """Yields the whole frames at the start of a bytearray, and removes them from it."""
    while len(received) >= DOWN.size:
        exec_id, kind, length = DOWN.unpack_from(received)
        end = DOWN.size + length
        if len(received) < end:
            return
        payload = bytes(memoryview(received)[DOWN.size : end])
        del received[:end]
        yield exec_id, kind, payload


def blobs(payload, offset):
    """Splits a payload that is a sequence of length, bytes, length, bytes, …"""
    parts = []
    while offset < len(payload):
        (length,) = BLOB.unpack_from(payload, offset)
        offset += BLOB.size
        parts.append(payload[offset : offset + length])
        offset += length
    return parts
