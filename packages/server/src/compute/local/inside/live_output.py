"""Standard output and standard error of Python code: what is printed leaves the process at once, so that it is seen while
the code runs, and is not lost if the code is killed. All else is as with the interpreter's own streams: what cannot be
written yet stays in the buffer, and is an error only where it would be one anyway.

A line stays whole beside those of other threads and processes: `print` writes a line and its end one after the other, so
where others may write in between, the line is kept until its end.
"""
import io
import os
from _thread import _count as count_threads

_write, _flush = io.TextIOWrapper.write, io.TextIOWrapper.flush
_write_bytes, _flush_bytes = io.BufferedWriter.write, io.BufferedWriter.flush

#: False in a process that the code has forked.
is_first_process = True


class TextIOWrapper(io.TextIOWrapper):
    def write(self, text):
        length = _write(self, text)
        if '\n' in text or (is_first_process and count_threads() == 0):
            try:
                _flush(self)
            except OSError:
                pass  # the next write tries again, and the end of the program says so
        return length


class BufferedWriter(io.BufferedWriter):
    """It writes past its base's buffer, which a signal handler that prints could not use while it is written."""

    #: What could not be written is in the buffer.
    has_rest = False

    def write(self, data):
        written = 0 if self.has_rest else self._write_now(data)
        if written is None:
            return _write_bytes(self, data)  # it says best what is wrong
        rest = memoryview(data).cast('B')[written:]
        if rest:
            self.has_rest = True
            _write_bytes(self, rest)
            try:
                _flush_bytes(self)
                self.has_rest = False
            except OSError:
                pass  # see above
        return written + len(rest)

    def _write_now(self, data):
        """How many bytes are written. None if this is no data, or a closed file."""
        written = 0
        try:
            with memoryview(data).cast('B') as view:
                while written < len(view):
                    count = self.raw.write(view[written:])
                    if count is None:  # it would have to wait
                        break
                    written += count
        except OSError:
            pass
        except (TypeError, ValueError):
            return None
        return written


def live(raw, encoding, errors, line_buffering):
    """A text stream that writes to this file."""
    stream = TextIOWrapper(BufferedWriter(raw), encoding, errors, line_buffering=line_buffering)
    stream.mode = 'w'
    return stream


def live_again(stream):
    """The same for a stream that the interpreter has made, which is of no use afterwards."""
    encoding, errors, line_buffering = stream.encoding, stream.errors, stream.line_buffering
    buffer = stream.detach()
    return live(buffer.detach() if isinstance(buffer, io.BufferedWriter) else buffer, encoding, errors, line_buffering)


def watch_forks():
    """From now on a fork is one that the code has made."""
    os.register_at_fork(after_in_child=_note_fork)


def _note_fork():
    global is_first_process
    is_first_process = False
