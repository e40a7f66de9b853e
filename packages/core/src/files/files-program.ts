/**
 * The Python program for file operations. Exec runs it inside the sandbox, so that links are resolved there and no path
 * can reach the host. It reads one JSON request and prints one JSON result after a random mark, which distinguishes the
 * result from other output, e.g. of a start-up script of the user.
 *
 * @module
 */

/** One operation and its arguments. */
export interface FileRequest {
  op: 'read' | 'write' | 'append' | 'commit' | 'discard' | 'list' | 'stat' | 'remove' | 'mkdir' | 'rename'
  path: string
  /** rename: the new path. write, append, commit, discard: the name of the temporary file in the target's folder. */
  to?: string
  /** write, append: the content as base64. Without it, the content comes from standard input. */
  data?: string
  /** read: the position of the first byte. append: the expected size of the temporary file. */
  offset?: number
  /** read: the number of bytes. */
  length?: number
  /** read: the largest allowed file in bytes. list: the largest number of entries. */
  limit?: number
  /** list: the largest number of characters of JSON. */
  maxChars?: number
  /** list: only entries after this name. */
  after?: string
  isRecursive?: boolean
}

/** The result of the program: a value, or the name of an errno. */
export type FileResult = { value: unknown } | { errno: string; message: string }

/*
 * Imports: PYTHONPATH contains /workspace. The program therefore removes all folders except Python's own from the search
 * path before it imports any module except sys, which is built in.
 *
 * Races: other code in the sandbox may replace a folder or a file by a link at any time. Links in the requested path are
 * followed, as by any program. Everything that the program finds itself (the content of a folder for `list` and `remove`,
 * the resolved folder for `write`) is opened from folder to folder by descriptors, and links are not followed.
 */
const program = `
import sys
sys.path[:] = [p for p in sys.path if p.startswith((sys.base_prefix + '/lib', sys.base_exec_prefix + '/lib'))]
import binascii, errno, json, os, stat

PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC # only a starting point for paths: it cannot be read
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
INNER = FOLDER | os.O_NOFOLLOW
MAX_PATH_BYTES = 4095

def describe(path, name, folder=None):
    s = os.lstat(path, dir_fd=folder)
    m = s.st_mode
    kind = 'directory' if stat.S_ISDIR(m) else 'symlink' if stat.S_ISLNK(m) else 'file' if stat.S_ISREG(m) else 'other'
    return {'name': name, 'type': kind, 'sizeBytes': s.st_size,
            'modifiedAt': s.st_mtime_ns // 1000000, 'mode': stat.S_IMODE(m)}

def fail(code, path, message=None):
    raise OSError(code, message or os.strerror(code), path)

def fail_special(path):
    # A read or a write of a pipe or a socket may never end.
    fail(errno.EINVAL, path, 'it is neither a file nor a folder: a pipe, a socket or a device')

def open_real(path):
    # Opens a folder by a path that realpath has resolved. A link that was put there since then is an error.
    fd = os.open('/', PLACE)
    for name in filter(None, path.split('/')):
        inner = os.open(name, PLACE | os.O_NOFOLLOW, dir_fd=fd)
        os.close(fd)
        fd = inner
    return fd

def open_target(path):
    # Returns a descriptor of the folder to write to, and the name of the file in it. A link is replaced by its target.
    folder, name = os.path.split(os.path.realpath(path))
    try: os.makedirs(folder, exist_ok=True)
    except FileExistsError: fail(errno.ENOTDIR, folder)
    return open_real(folder), name

def existing_file(folder, name):
    # Returns the stat of the file that would be replaced, or None. Fails if it must not be replaced.
    try: s = os.lstat(name, dir_fd=folder)
    except FileNotFoundError: return None
    if stat.S_ISDIR(s.st_mode): fail(errno.EISDIR, name)
    if stat.S_ISLNK(s.st_mode): fail(errno.ELOOP, name) # a circle of links, or a link that was created just now
    if not stat.S_ISREG(s.st_mode): fail_special(name)
    return s

def commit(folder, source, name):
    s = existing_file(folder, name)
    if not stat.S_ISREG(os.lstat(source, dir_fd=folder).st_mode): fail(errno.EIO, source)
    if s:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        os.fchmod(fd, stat.S_IMODE(s.st_mode))
        os.close(fd)
    os.replace(source, name, src_dir_fd=folder, dst_dir_fd=folder)

def append(folder, source, data, offset):
    new = os.O_CREAT | os.O_EXCL if offset == 0 else 0
    fd = os.open(source, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | new, 0o666, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or os.lseek(fd, 0, os.SEEK_END) != offset: fail(errno.EIO, source)
        left = memoryview(data)
        while left: left = left[os.write(fd, left):]
    finally: os.close(fd)

def content_of(q):
    return binascii.a2b_base64(q['data']) if 'data' in q else sys.stdin.buffer.read()

def absolute(text):
    path = os.path.join('/workspace', text)
    if '..' in path.split('/'): # '..' after a link is the parent of its target: normpath would be wrong
        head, name = os.path.split(path)
        path = os.path.realpath(path) if name in ('', '.', '..') else os.path.join(os.path.realpath(head), name)
    path = os.path.normpath(path)
    if text.endswith('/') and os.path.lexists(path) and not os.path.isdir(path): fail(errno.ENOTDIR, path)
    return path

class Walk:
    # Only one folder is open at a time: a tree may be deeper than the limit on open files.
    def __init__(self, path):
        self.path, self.root = path, os.open(path, FOLDER)
        self.fd, self.at = self.root, ()

    def go_to(self, names):
        if names[:len(self.at)] != self.at: self.enter(self.root, ())
        for name in names[len(self.at):]: self.enter(os.open(name, INNER, dir_fd=self.fd), self.at + (name,))

    def enter(self, fd, at):
        if self.fd != self.root: os.close(self.fd)
        self.fd, self.at = fd, at

    def entries(self, names):
        self.go_to(names)
        found = [(names + (os.fsencode(e.name),), e.is_dir(follow_symlinks=False)) for e in os.scandir(self.fd)]
        return sorted(found, reverse=True)

    def describe(self, names):
        name = '/'.join(map(os.fsdecode, names))
        if len(os.fsencode(self.path)) + len(os.fsencode(name)) + 1 > MAX_PATH_BYTES: fail(errno.ENAMETOOLONG, name)
        self.go_to(names[:-1])
        return describe(names[-1], name, self.fd)

def walk(path, recursive, after):
    # A folder comes before its content, and names are in the order of their bytes. The name of the last entry therefore
    # determines where the next page begins.
    start = tuple(os.fsencode(after).split(b'/')) if after is not None else ()
    tree = Walk(path)
    stack = tree.entries(())
    while stack:
        names, is_folder = stack.pop()
        if names <= start and names != start[:len(names)]: continue # it and its content are before the page
        try:
            if names > start: yield tree.describe(names)
            if recursive and is_folder: stack += tree.entries(names)
        except OSError: pass # removed or replaced by a link since it was listed, no permission, or a path too long for any call

def remove(path, recursive):
    if not stat.S_ISDIR(os.lstat(path).st_mode): os.unlink(path)
    elif not recursive: os.rmdir(path)
    else: remove_tree(path)

def remove_tree(path):
    # Goes from folder to folder: a tree may be deeper than the call stack, and its paths too long for any call.
    fd, stack = os.open(os.path.dirname(path), PLACE), []
    def enter(name):
        nonlocal fd
        s = os.fstat(fd)
        inner = os.open(name, INNER, dir_fd=fd)
        os.close(fd)
        fd, folders = inner, []
        for entry in list(os.scandir(fd)):
            if entry.is_dir(follow_symlinks=False): folders.append(entry.name)
            else: os.unlink(entry.name, dir_fd=fd)
        stack.append((name, folders, (s.st_dev, s.st_ino)))
    enter(os.path.basename(path))
    while stack:
        name, folders, parent = stack[-1]
        if folders: enter(folders.pop())
        else:
            outer = os.open('..', PLACE, dir_fd=fd)
            s = os.fstat(outer)
            if (s.st_dev, s.st_ino) != parent: fail(errno.EBUSY, name) # other code moved it to another parent, which must not be removed
            os.close(fd)
            fd = outer
            os.rmdir(name, dir_fd=fd)
            stack.pop()

def main(q):
    op, path = q['op'], absolute(q['path'])
    if op == 'read':
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            s = os.fstat(fd)
            if stat.S_ISDIR(s.st_mode): fail(errno.EISDIR, path)
            if not stat.S_ISREG(s.st_mode): fail_special(path)
            data, at, end = [], q['offset'], q['offset'] + q['length']
            if s.st_size > q['limit']: end = at # too large: return the size without content
            while at < end:
                chunk = os.pread(fd, end - at, at)
                if not chunk: break
                data.append(chunk); at += len(chunk)
            return {'sizeBytes': s.st_size, 'version': '%d %d %d' % (s.st_dev, s.st_ino, s.st_mtime_ns),
                    'data': binascii.b2a_base64(b''.join(data), newline=False).decode()}
        finally: os.close(fd)
    if op in ('write', 'append', 'commit', 'discard'):
        if q['path'].endswith('/') or os.path.isdir(path): fail(errno.EISDIR, path)
        source = q['to']
        folder, name = open_target(path)
        if op == 'discard':
            try: os.unlink(source, dir_fd=folder)
            except FileNotFoundError: pass
            return None
        try:
            if op != 'commit':
                if not q.get('offset'): existing_file(folder, name) # fail before the client sends more chunks
                append(folder, source, content_of(q), q.get('offset', 0))
            if op != 'append': commit(folder, source, name)
        except BaseException:
            try: os.unlink(source, dir_fd=folder)
            except OSError: pass
            raise
        return None
    if op == 'list':
        found, room, more = [], q['maxChars'], 'none'
        for entry in walk(path, q['isRecursive'], q.get('after')):
            if len(found) == q['limit']: more = 'limit'; break
            room -= len(json.dumps(entry)) + 2
            if room < 0 and found: more = 'size'; break
            found.append(entry)
        return {'folder': path, 'entries': found, 'more': more}
    if op == 'stat': return {'folder': path, 'entry': describe(path, os.path.basename(path))}
    if op == 'remove': return remove(path, q['isRecursive'])
    if op == 'mkdir': return os.makedirs(path, exist_ok=True)
    if op == 'rename':
        target = absolute(q['to'])
        if os.path.isdir(target) and not os.path.islink(target): fail(errno.EISDIR, target)
        return os.rename(path, target)

def result(q):
    try: return {'value': main(q)}
    except RecursionError: return {'errno': 'ELOOP', 'message': 'the folders are nested too deeply'}
    except OSError as e: return {'errno': errno.errorcode.get(e.errno, 'EIO'), 'message': e.strerror or str(e)}
    except UnicodeEncodeError: return {'errno': 'EILSEQ', 'message': 'the path has half of a surrogate pair, which is not a character'}
    except ValueError as e: return {'errno': 'EINVAL', 'message': str(e)}
`

/** The program with its request. The text is pure ASCII, so that no encoding on the way can change a name. */
export function fileProgram(request: FileRequest, mark: string): string {
  const text = ascii(JSON.stringify(request))
  // An ASCII JSON string is also a Python string. json.loads joins the escaped halves of surrogate pairs.
  return `${program}\nsys.stdout.write('${mark}' + json.dumps(result(json.loads(${ascii(JSON.stringify(text))}))) + '\\n')\n`
}

/** Finds the result after its mark; undefined if the program ended before it printed one. */
export function fileResult(stdout: string, mark: string): FileResult | undefined {
  const at = stdout.lastIndexOf(mark)
  if (at === -1) return undefined
  const end = stdout.indexOf('\n', at) // an exit handler of the user may print more
  try {
    return JSON.parse(stdout.slice(at + mark.length, end)) as FileResult // trusted: our own program wrote it
  } catch {
    return undefined // the output was cut
  }
}

function ascii(json: string): string {
  return json.replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
