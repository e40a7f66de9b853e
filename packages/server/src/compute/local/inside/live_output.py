"""Standard output and standard error of Python code. Output is written immediately: the caller sees it while the code runs, and
it is not lost if the code is killed. Otherwise the streams behave like those of the interpreter: output that cannot be written
yet stays in the buffer, and an error is raised only if the interpreter would raise it.

A line is not mixed with lines of other threads and processes. The `print` of the interpreter writes each argument and the end
of the line separately; ours collects the output of one call, and writes it as a whole.
"""
import builtins
import codecs
import io
import sys
from _thread import _local

_print = builtins.print
_write, _flush = io.TextIOWrapper.write, io.TextIOWrapper.flush
_write_bytes, _flush_bytes = io.BufferedWriter.write, io.BufferedWriter.flush

#: Encodings without state. Others may begin with a byte order mark, or depend on earlier characters.
_PLAIN_ENCODINGS = ('utf-8', 'ascii', 'iso8859-1')


class ThreadState(_local):
    #: What the current call of `print` has collected; None outside of a call.
    collected = None


thread_state = ThreadState()


class Collected:
    """The output of one call of `print` to a stream, so far."""

    def __init__(self, stream):
        self.stream, self.parts = stream, []
        self.write = self.parts.append

    def write_out(self):
        text = ''.join(self.parts)
        self.parts.clear()
        if text:
            self.stream.write(text)


class Print:
    """`print`. It is an object: a function would become a method if a class has it as an attribute."""

    def __init__(self):
        self.__wrapped__ = _print
        for name in ('__module__', '__name__', '__qualname__', '__doc__'):
            setattr(self, name, getattr(_print, name))

    def __call__(self, *args, file=None, flush=False, **options):
        stream = getattr(sys, 'stdout', None) if file is None else file
        if type(stream) is not TextIOWrapper:
            return _print(*args, file=file, flush=flush, **options)
        collected, outer = Collected(stream), thread_state.collected
        thread_state.collected = collected
        try:
            _print(*args, file=collected, **options)
        finally:
            thread_state.collected = outer
            collected.write_out()
        if flush:
            stream.flush()

    def __repr__(self):
        return repr(_print)

    def __reduce__(self):
        return 'print'


class TextIOWrapper(io.TextIOWrapper):
    #: True if the text is encoded here, without the buffer of the base class. Another thread could remove text from that buffer
    #: and not have written it when `write` returns.
    is_plain = False

    def write(self, text):
        outer = thread_state.collected
        if outer is not None and outer.stream is self:  # converting an argument of `print` to text prints, too
            thread_state.collected = None
            outer.write_out()
            thread_state.collected = outer
        is_plain = self.is_plain and type(text) is str
        length = len(text) if is_plain else _write(self, text)
        try:
            if is_plain:
                self.buffer.write(text.encode(self.encoding, self.errors))
            else:
                _flush(self)
        except OSError:
            pass  # the next write tries again, and the end of the program reports the error
        except ValueError:
            if self.closed:
                raise ValueError('I/O operation on closed file.') from None
            raise
        return length

    def reconfigure(self, **options):
        super().reconfigure(**options)
        self.is_plain = self.is_plain and not options.keys() & {'encoding', 'newline'}


class BufferedWriter(io.BufferedWriter):
    """It writes without the buffer of its base class: a signal handler that prints cannot use that buffer during a write."""

    #: True if the buffer contains data that could not be written.
    has_rest = False

    def write(self, data):
        written = 0 if self.has_rest else self._write_now(data)
        if written is None:
            return _write_bytes(self, data)  # it raises the right error
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
        """How many bytes were written. None if `data` is not bytes, or the file is closed."""
        written = 0
        try:
            with memoryview(data).cast('B') as view:
                while written < len(view):
                    count = self.raw.write(view[written:] if written else view)
                    if count is None:  # the write would block
                        break
                    written += count
        except OSError:
            pass
        except (TypeError, ValueError):
            return None
        return written


def live(raw, encoding, errors, line_buffering):
    """A text stream that writes to this file immediately."""
    stream = TextIOWrapper(BufferedWriter(raw), encoding, errors, line_buffering=line_buffering)
    stream.mode = 'w'
    stream.is_plain = codecs.lookup(encoding).name in _PLAIN_ENCODINGS
    return stream


def replace_stream(stream):
    """The same for a stream that the interpreter has opened. The old stream is unusable afterwards."""
    encoding, errors, line_buffering = stream.encoding, stream.errors, stream.line_buffering
    buffer = stream.detach()
    return live(buffer.detach() if isinstance(buffer, io.BufferedWriter) else buffer, encoding, errors, line_buffering)


def replace_print():
    """From now on, `print` writes whole lines to such a stream."""
    builtins.print = Print()
