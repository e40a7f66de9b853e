"""Redoes the start of an interpreter, for one that was started with other flags, files and environment."""
import io
import os
import sys

from live_output import live, replace_stream, replace_print

#: How many characters of a .pth file are read.
MAX_PTH = 65536


def open_streams():
    stdin = io.TextIOWrapper(_open_standard(0, 'stdin', 'rb'), 'utf-8', 'surrogateescape')
    stdin.mode = 'r'
    _set_standard('stdin', stdin)
    for fd, name, errors in (1, 'stdout', 'surrogateescape'), (2, 'stderr', 'backslashreplace'):
        raw = _open_standard(fd, name, 'wb').detach()
        _set_standard(name, live(raw, 'utf-8', errors, line_buffering=name == 'stderr'))
    replace_print()


def _open_standard(fd, name, mode):
    buffer = open(fd, mode, closefd=False)
    buffer.raw.name = f'<{name}>'
    return buffer


def _set_standard(name, stream):
    setattr(sys, name, stream)
    setattr(sys, f'__{name}__', stream)


def make_output_live():
    """Replaces the streams that the interpreter has opened, unless PYTHONUNBUFFERED is empty, which asks for buffers."""
    if os.environ.get('PYTHONUNBUFFERED') == '':
        return
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if stream is not None:  # it was closed
            _set_standard(name, replace_stream(stream))
    replace_print()


def hide_flags():
    """Hides our own flags -S and -s: multiprocessing and others pass flags on to each Python that they start."""
    import ctypes
    import site

    site.ENABLE_USER_SITE = True
    api, flags, off = ctypes.pythonapi, ctypes.py_object(sys.flags), ctypes.py_object(0)
    for name in ('no_site', 'no_user_site'):
        api.Py_IncRef(off)  # the next call takes over one reference
        api.PyStructSequence_SetItem(flags, ctypes.c_ssize_t(sys.flags.__match_args__.index(name)), off)


class LateUserSite:
    """The last finder of `sys.meta_path`. It finds packages that the program itself installs after its start."""

    @staticmethod
    def find_spec(name, path=None, _target=None):
        if path is not None or not add_user_site():
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name)


def add_user_site():
    """Adds the user's packages to `sys.path`. Runs none of their code: ignores lines of a .pth file that name no folder. True if
    anything was added."""
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    base = os.environ.get('PYTHONUSERBASE') or f'{os.environ.get("HOME", "")}/.local'
    folder = f'{base}/lib/python{version}/site-packages'
    if 'PYTHONNOUSERSITE' in os.environ or not os.path.isdir(folder):
        return False
    import site

    added = [entry for entry in (folder, *_folders_of_pth(folder)) if entry not in sys.path]
    system = site.getsitepackages()  # the user's packages come before these
    at = next((at for at, entry in enumerate(sys.path) if entry in system), len(sys.path))
    sys.path[at:at] = dict.fromkeys(added)
    return bool(added)


def _folders_of_pth(folder):
    """The paths in the .pth files of the folder (see Python's `site`)."""
    for name in sorted(os.listdir(folder)):
        path = f'{folder}/{name}'
        if not name.endswith('.pth') or name.startswith('.') or not os.path.isfile(path):
            continue
        try:
            with open(path, encoding='utf-8', errors='surrogateescape') as file:
                lines = file.read(MAX_PTH).splitlines()
        except OSError:
            continue
        for line in filter(None, map(str.rstrip, lines)):
            if line.startswith(('#', 'import ', 'import\t')) or '\0' in line:
                continue
            entry = os.path.abspath(f'{folder}/{line}' if not line.startswith('/') else line)
            if os.path.exists(entry):
                yield entry
