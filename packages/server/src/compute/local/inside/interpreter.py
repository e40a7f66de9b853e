"""What an interpreter makes at its start, for one that has started with other flags, files and environment."""
import io
import os
import sys


def open_streams():
    for fd, name, mode, errors in (
        (0, 'stdin', 'r', 'surrogateescape'),
        (1, 'stdout', 'w', 'surrogateescape'),
        (2, 'stderr', 'w', 'backslashreplace'),
    ):
        buffer = open(fd, f'{mode}b', closefd=False)
        buffer.raw.name = f'<{name}>'
        stream = io.TextIOWrapper(buffer, 'utf-8', errors, line_buffering=name == 'stderr')
        stream.mode = mode
        setattr(sys, name, stream)
        setattr(sys, f'__{name}__', stream)


def hide_flags():
    """-S and -s are the supervisor's: multiprocessing and others hand them on to each Python that they start."""
    import ctypes
    import site

    site.ENABLE_USER_SITE = True
    api, flags, off = ctypes.pythonapi, ctypes.py_object(sys.flags), ctypes.py_object(0)
    for name in ('no_site', 'no_user_site'):
        api.Py_IncRef(off)  # the next call keeps it
        api.PyStructSequence_SetItem(flags, ctypes.c_ssize_t(sys.flags.__match_args__.index(name)), off)


def add_user_site():
    """Never in the supervisor: the folder is the user's, and its .pth files run code."""
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    folder = f'{os.environ.get("HOME", "")}/.local/lib/python{version}/site-packages'
    if os.path.isdir(folder):
        import site

        before = len(sys.path)
        site.addsitedir(folder)
        added = sys.path[before:]
        del sys.path[before:]
        system = site.getsitepackages()  # what the user has installed goes before it
        at = next((at for at, entry in enumerate(sys.path) if entry in system), before)
        sys.path[at:at] = added
