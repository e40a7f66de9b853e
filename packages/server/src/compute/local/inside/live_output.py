"""Standard output and standard error of Python code: what is printed leaves the process at once, so that it is seen while
the code runs, and is not lost if the code is killed. All else is as with the interpreter's own streams: what cannot be
written yet stays in the buffer, and is an error only where it would be one anyway.

A line stays whole beside those of other threads and processes: the interpreter's `print` writes each argument and the end
of the line by itself, so ours gathers what one call prints, and writes it at once.
"""
import builtins
import codecs
import io
import sys
from _thread import _local

_print = builtins.print
_write, _flush = io.TextIOWrapper.write, io.TextIOWrapper.flush
_write_bytes, _flush_bytes = io.BufferedWriter.write, io.BufferedWriter.flush

#: Whose characters are encoded one by one. Others may begin with a mark, or depend on what came before.
_PLAIN_ENCODINGS = ('utf-8', 'ascii', 'iso8859-1')


class Here(_local):
    """Of this thread."""

    #: What `print` is gathering, if it is.
    gathered = None


here = Here()


class Gathered:
    """What one call of `print` has written so far to a stream."""

    def __init__(self, stream):
        self.stream, self.pieces = stream, []
        self.write = self.pieces.append

    def pass_on(self):
        text = ''.join(self.pieces)
        self.pieces.clear()
        if text:
            self.stream.write(text)


class Print:
    """`print`. An object and no function, as that would be a method where a class has it as an attribute."""

    def __init__(self):
        self.__wrapped__ = _print
        for name in ('__module__', '__name__', '__qualname__', '__doc__'):
            setattr(self, name, getattr(_print, name))

    def __call__(self, *args, file=None, flush=False, **options):
        stream = getattr(sys, 'stdout', None) if file is None else file
        if type(stream) is not TextIOWrapper:
            return _print(*args, file=file, flush=flush, **options)
        gathered, outer = Gathered(stream), here.gathered
        here.gathered = gathered
        try:
            _print(*args, file=gathered, **options)
        finally:
            here.gathered = outer
            gathered.pass_on()
        if flush:
            stream.flush()

    def __repr__(self):
        return repr(_print)

    def __reduce__(self):
        return 'print'


class TextIOWrapper(io.TextIOWrapper):
    #: The text is encoded here, past the base's buffer: what another thread takes out of that might not be written yet when
    #: `write` returns.
    is_plain = False

    def write(self, text):
        outer = here.gathered
        if outer is not None and outer.stream is self:  # an argument of `print` prints as it becomes text
            here.gathered = None
            outer.pass_on()
            here.gathered = outer
        is_plain = self.is_plain and type(text) is str
        length = len(text) if is_plain else _write(self, text)
        try:
            if is_plain:
                self.buffer.write(text.encode(self.encoding, self.errors))
            else:
                _flush(self)
        except OSError:
            pass  # the next write tries again, and the end of the program says so
        except ValueError:
            if self.closed:
                raise ValueError('I/O operation on closed file.') from None
            raise
        return length

    def reconfigure(self, **options):
        super().reconfigure(**options)
        self.is_plain = self.is_plain and not options.keys() & {'encoding', 'newline'}


class BufferedWriter(io.BufferedWriter):
    """It writes past its base's buffer, which a signal handler that prints could not use while it is written."""

    #: What could not be written is in the buffer.
    has_rest = False

    def write(self, data):
        written = 0 if self.has_rest else self._write_now(data)
        if written is None:
            return _write_bytes(self, data)  # it says best what is wrong
        if type(data) is bytes and written == len(data):
            return written
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
                    count = self.raw.write(view[written:] if written else view)
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
    stream.is_plain = codecs.lookup(encoding).name in _PLAIN_ENCODINGS
    return stream


def live_again(stream):
    """The same for a stream that the interpreter has made, which is of no use afterwards."""
    encoding, errors, line_buffering = stream.encoding, stream.errors, stream.line_buffering
    buffer = stream.detach()
    return live(buffer.detach() if isinstance(buffer, io.BufferedWriter) else buffer, encoding, errors, line_buffering)


def print_at_once():
    """From now on `print` writes to such a stream as this file says."""
    builtins.print = Print()
