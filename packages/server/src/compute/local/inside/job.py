"""The job of an exec, and the files that its code is read from."""
import marshal
import os

import wire

PYTHON, TYPESCRIPT, BASH = 1, 2, 3
#: How the server has compiled TypeScript: 2 is transformed, 1 is with blanks in place of the types, 0 is not at all.
TRANSFORMED = 2
FOLDER = '/run/theazo'
_names = {PYTHON: 'main.py', TYPESCRIPT: 'main.ts', BASH: 'main.sh'}
#: Prefixes of variables that an interpreter, its libraries or the loader read at the start. An exec that sets one needs a fresh
#: interpreter.
_read_at_start = {PYTHON: (b'PYTHON', b'LC_', b'LD_'), TYPESCRIPT: (b'NODE_', b'LC_', b'LD_')}

#: Variables with such a prefix that a warm interpreter still applies (interpreter.py, live_output.py).
_applied_later = (b'PYTHONPATH', b'PYTHONUNBUFFERED')

#: The variables of a sandbox with network access (egress.py). They are in the environment of code, and of warm Node processes.
network_variables = {}

#: How often to open a folder again that code closes at the same time.
OPEN_TRIES = 100
#: The mtime of a script, later than its atime of 0: with relatime (mount(8)), the kernel then updates the atime when the
#: script is read.
UNREAD = 1


class Job:
    def __init__(self, exec_id, payload):
        self.id = exec_id
        self.lang, has_stdin, self.cap, env_count, self.mode = wire.EXEC_BODY.unpack_from(payload)
        cwd, stdin, self.code, self.compiled, *env = wire.blobs(payload, wire.EXEC_BODY.size)
        self.cwd = os.path.join('/workspace', os.fsdecode(cwd))
        self.stdin = stdin if has_stdin else b''
        self.env = environment_from(env[:env_count])
        self.folder = f'{FOLDER}/{exec_id}'
        #: When it begins, on the clock of file changes.
        self.started_ns = 0

    @property
    def path(self):
        return f'{self.folder}/{_names[self.lang]}'

    @property
    def compiled_path(self):
        return f'{self.folder}/main.js'

    def move_to(self, folder):
        for _ in range(OPEN_TRIES):
            try:
                os.rename(self.folder, folder)
                break
            except PermissionError:
                reopen(self.folder)
        else:
            os.rename(self.folder, folder)
        self.folder = folder

    @property
    def needs_fresh_interpreter(self):
        prefixes = _read_at_start.get(self.lang)
        return prefixes is not None and (
            any(name.startswith(prefixes) and name not in (*_applied_later, *network_variables) for name in self.env)
            or self.env.get(b'PYTHONUNBUFFERED') == b''
            or self.env.get(b'LANG') != os.environb[b'LANG']
            or (self.lang == TYPESCRIPT and any(self.env.get(name) != value for name, value in network_variables.items()))
        )

    def write_code(self):
        """@throws PermissionError if code keeps closing the folder."""
        error = self.try_to_write_code()
        for _ in range(OPEN_TRIES):
            if not isinstance(error, PermissionError):
                break
            reopen(self.folder)
            remove(self.folder)
            error = self.try_to_write_code()
        if error and not isinstance(error, PermissionError):  # code may have filled the folder
            for name in os.listdir(FOLDER):
                remove(f'{FOLDER}/{name}')
            error = self.try_to_write_code()
        if error:
            raise error

    def try_to_write_code(self):
        """Returns the error if there is one."""
        try:
            os.mkdir(self.folder, 0o700)
            _write_file(self.path, self.code)
            if self.lang == BASH:
                os.utime(self.path, (0, UNREAD))
            if self.mode:
                _write_file(self.compiled_path, self.compiled)
        except OSError as error:
            return error
        return None

    def for_reaper(self):
        return self.id, self.cap, self.folder, self.path if self.lang == BASH else '', self.started_ns

    def for_copy(self):
        for_node = self.for_node() if self.lang == TYPESCRIPT else b''
        return marshal.dumps((self.lang, self.path, self.cwd, self.env, self.needs_fresh_interpreter, for_node))

    def for_node(self):
        import json

        env = {os.fsdecode(name): os.fsdecode(value) for name, value in self.env.items()}
        compiled = {'path': self.compiled_path, 'isTransformed': self.mode == TRANSFORMED} if self.mode else None
        return json.dumps({'path': self.path, 'compiled': compiled, 'cwd': self.cwd, 'env': env}).encode()

    def forget_inputs(self):
        """Frees the data that only the worker needs."""
        self.code = self.compiled = self.stdin = b''
        self.env = {}


def environment_from(entries):
    """The environment of these entries, with the network variables. A given variable takes precedence in upper and in lower case,
    because programs differ in which of the two they read first."""
    env = dict(entry.split(b'=', 1) for entry in entries)
    if network_variables:
        given = {name.lower() for name in env}
        env.update({name: value for name, value in network_variables.items() if name.lower() not in given})
    return env


def reopen(folder):
    """Code has the same user, and may have closed the folder of an exec, or FOLDER."""
    for path in (FOLDER, folder):
        try:
            os.chmod(path, 0o700)
        except OSError:
            pass


def read_code(path):
    """@throws OSError if code keeps closing its folder."""
    folder = os.path.dirname(path)
    for tries in range(OPEN_TRIES + 1):
        try:
            with open(path, 'rb') as file:
                return file.read()
        except PermissionError:
            if tries == OPEN_TRIES:
                raise
            reopen(folder)
            try:
                os.chmod(path, 0o600)
            except OSError:
                pass


def was_read(path):
    """Whether a process has read the script. The exit status does not show this: a program may end with the same status as a
    shell that could not read its script."""
    for _ in range(OPEN_TRIES):
        try:
            return os.stat(path).st_atime != 0
        except PermissionError:
            reopen(os.path.dirname(path))
        except OSError:
            break
    return False


def file_with(name, content):
    """A descriptor of a file with this content, which has no path."""
    fd = os.memfd_create(name)
    fill(fd, content)
    return fd


def fill(fd, content):
    _write_all(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)


def _write_file(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write_all(fd, data)
    finally:
        os.close(fd)


def _write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def remove(path):
    """Removes what can be removed; follows no link. Inner folders are moved up first: code may have nested them deeper than the
    limits for the length of a path and for recursion."""
    remaining = [path]
    while remaining:
        path = remaining.pop()
        try:
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            for name in os.listdir(path):
                inner = f'{path}/{name}'
                if os.path.isdir(inner) and not os.path.islink(inner):
                    os.chmod(inner, 0o700)  # otherwise it cannot be moved
                    moved = f'{FOLDER}/{os.urandom(8).hex()}'
                    os.rename(inner, moved)
                    remaining.append(moved)
                else:
                    os.unlink(inner)
            os.rmdir(path)
        except OSError:
            pass
