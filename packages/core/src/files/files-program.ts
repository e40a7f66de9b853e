/**
 * The program that works on files, run by exec inside the sandbox: links are the sandbox's own there, and no path of the
 * host can be meant. One JSON request in, one JSON answer out, behind a mark of its own: what a start-up script of the
 * user prints is not taken for it.
 *
 * @module
 */

/** One operation and what it needs. */
export interface FileRequest {
  op: 'read' | 'write' | 'append' | 'commit' | 'discard' | 'list' | 'stat' | 'remove' | 'mkdir' | 'rename'
  path: string
  /** rename: the new path; append, commit, discard: the name of the temporary file beside the target. */
  to?: string
  /** write, append: base64; without it the bytes come as standard input. */
  data?: string
  /** read: where the piece begins; append: what the temporary file must hold already. */
  offset?: number
  length?: number
  limit?: number
  /** list: characters of JSON at most. */
  maxChars?: number
  /** list: only entries that come after this name. */
  after?: string
  isRecursive?: boolean
}

/** What the program answers: a value, or the name of an errno. */
export type FileAnswer = { value: unknown } | { errno: string; message: string }

/*
 * sys is built in. PYTHONPATH is /workspace, so only the folders of Python itself are left on the path before any other
 * module is looked for.
 *
 * Code may run beside this and put a link where a folder or a file was a moment ago. Links of the path that was asked for
 * are followed, as by any program of the sandbox. What is found by itself is reached from folder to folder by descriptors,
 * and no link is followed there: by `list` and `remove` what is in a folder, by `write` all that the path has led to.
 */
const program = `
import sys
sys.path[:] = [p for p in sys.path if p.startswith((sys.base_prefix + '/lib', sys.base_exec_prefix + '/lib'))]
import binascii, errno, json, os, stat

PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC # to be named by, and not to be read
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
INNER = FOLDER | os.O_NOFOLLOW
LONGEST = 4095 # of a path

def describe(path, name, folder=None):
    s = os.lstat(path, dir_fd=folder)
    m = s.st_mode
    kind = 'directory' if stat.S_ISDIR(m) else 'symlink' if stat.S_ISLNK(m) else 'file' if stat.S_ISREG(m) else 'other'
    return {'name': name, 'type': kind, 'sizeBytes': s.st_size,
            'modifiedAt': s.st_mtime_ns // 1000000, 'mode': stat.S_IMODE(m)}

def fail(code, path, message=None):
    raise OSError(code, message or os.strerror(code), path)

def fail_special(path):
    # Of a pipe or a socket a read or a write may never end.
    fail(errno.EINVAL, path, 'it is neither a file nor a folder: a pipe, a socket or a device')

def open_real(path):
    # A path that had no link in it.
    fd = os.open('/', PLACE)
    for name in filter(None, path.split('/')):
        inner = os.open(name, PLACE | os.O_NOFOLLOW, dir_fd=fd)
        os.close(fd)
        fd = inner
    return fd

def target_of(path):
    # Where to write: the folder, open, and the name in it. Of a link the file that it links to.
    folder, name = os.path.split(os.path.realpath(path))
    try: os.makedirs(folder, exist_ok=True)
    except FileExistsError: fail(errno.ENOTDIR, folder)
    return open_real(folder), name

def replaced(folder, name):
    # What is there already, if it may be replaced.
    try: s = os.lstat(name, dir_fd=folder)
    except FileNotFoundError: return None
    if stat.S_ISDIR(s.st_mode): fail(errno.EISDIR, name)
    if stat.S_ISLNK(s.st_mode): fail(errno.ELOOP, name) # a circle, or put there now
    if not stat.S_ISREG(s.st_mode): fail_special(name)
    return s

def commit(folder, source, name):
    s = replaced(folder, name)
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

def given(q):
    return binascii.a2b_base64(q['data']) if 'data' in q else sys.stdin.buffer.read()

def place(text):
    path = os.path.join('/workspace', text)
    if '..' in path.split('/'): # the parent of what a link links to, which normpath does not know
        head, name = os.path.split(path)
        path = os.path.realpath(path) if name in ('', '.', '..') else os.path.join(os.path.realpath(head), name)
    path = os.path.normpath(path)
    if text.endswith('/') and os.path.lexists(path) and not os.path.isdir(path): fail(errno.ENOTDIR, path)
    return path

class Walk:
    # One folder is open at a time: a tree may be deeper than a process may have files open.
    def __init__(self, path):
        self.path, self.root = path, os.open(path, FOLDER)
        self.fd, self.at = self.root, ()

    def go_to(self, names):
        if names[:len(self.at)] != self.at: self.hold(self.root, ())
        for name in names[len(self.at):]: self.hold(os.open(name, INNER, dir_fd=self.fd), self.at + (name,))

    def hold(self, fd, at):
        if self.fd != self.root: os.close(self.fd)
        self.fd, self.at = fd, at

    def entries(self, names):
        self.go_to(names)
        found = [(names + (os.fsencode(e.name),), e.is_dir(follow_symlinks=False)) for e in os.scandir(self.fd)]
        return sorted(found, reverse=True)

    def describe(self, names):
        name = '/'.join(map(os.fsdecode, names))
        if len(os.fsencode(self.path)) + len(os.fsencode(name)) + 1 > LONGEST: fail(errno.ENAMETOOLONG, name)
        self.go_to(names[:-1])
        return describe(names[-1], name, self.fd)

def walk(path, recursive, after):
    # A folder comes before what is in it, names in the order of their bytes: so the names alone say where a page begins.
    start = tuple(os.fsencode(after).split(b'/')) if after is not None else ()
    tree = Walk(path)
    stack = tree.entries(())
    while stack:
        names, is_folder = stack.pop()
        if names <= start and names != start[:len(names)]: continue # all in it comes before the page
        try:
            if names > start: yield tree.describe(names)
            if recursive and is_folder: stack += tree.entries(names)
        except OSError: pass # gone meanwhile, a link by now, closed, or its path is too long for any call

def remove(path, recursive):
    if not stat.S_ISDIR(os.lstat(path).st_mode): os.unlink(path)
    elif not recursive: os.rmdir(path)
    else: remove_tree(path)

def remove_tree(path):
    # From folder to folder: a tree may be deeper than the stack, and its paths longer than any call takes.
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
            if (s.st_dev, s.st_ino) != parent: fail(errno.EBUSY, name) # it was moved, and its parent is not to be removed
            os.close(fd)
            fd = outer
            os.rmdir(name, dir_fd=fd)
            stack.pop()

def main(q):
    op, path = q['op'], place(q['path'])
    if op == 'read':
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            s = os.fstat(fd)
            if stat.S_ISDIR(s.st_mode): fail(errno.EISDIR, path)
            if not stat.S_ISREG(s.st_mode): fail_special(path)
            data, at, end = [], q['offset'], q['offset'] + q['length']
            if s.st_size > q['limit']: end = at # refused by its size: nothing need be moved
            while at < end:
                piece = os.pread(fd, end - at, at)
                if not piece: break
                data.append(piece); at += len(piece)
            return {'sizeBytes': s.st_size, 'version': '%d %d %d' % (s.st_dev, s.st_ino, s.st_mtime_ns),
                    'data': binascii.b2a_base64(b''.join(data), newline=False).decode()}
        finally: os.close(fd)
    if op in ('write', 'append', 'commit', 'discard'):
        if q['path'].endswith('/') or os.path.isdir(path): fail(errno.EISDIR, path)
        source = q['to']
        folder, name = target_of(path)
        if op == 'discard':
            try: os.unlink(source, dir_fd=folder)
            except FileNotFoundError: pass
            return None
        try:
            if op != 'commit':
                if not q.get('offset'): replaced(folder, name) # before much is sent
                append(folder, source, given(q), q.get('offset', 0))
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
        target = place(q['to'])
        if os.path.isdir(target) and not os.path.islink(target): fail(errno.EISDIR, target)
        return os.rename(path, target)

def answer(q):
    try: return {'value': main(q)}
    except RecursionError: return {'errno': 'ELOOP', 'message': 'the folders are nested too deeply'}
    except OSError as e: return {'errno': errno.errorcode.get(e.errno, 'EIO'), 'message': e.strerror or str(e)}
    except UnicodeEncodeError: return {'errno': 'EILSEQ', 'message': 'half a surrogate pair is no character'}
    except ValueError as e: return {'errno': 'EINVAL', 'message': str(e)}
`

/** The program with its request: a text that is ASCII alone, so that no name is changed on its way. */
export function fileProgram(request: FileRequest, mark: string): string {
  const text = ascii(JSON.stringify(request))
  // A JSON string is a Python string where all beyond ASCII is escaped; surrogates are joined by json.loads.
  return `${program}\nsys.stdout.write('${mark}' + json.dumps(answer(json.loads(${ascii(JSON.stringify(text))}))) + '\\n')\n`
}

/** Finds the answer behind its mark; undefined where the program did not come so far. */
export function fileAnswer(stdout: string, mark: string): FileAnswer | undefined {
  const at = stdout.lastIndexOf(mark)
  if (at === -1) return undefined
  const end = stdout.indexOf('\n', at) // code of the user's may print at the exit
  try {
    return JSON.parse(stdout.slice(at + mark.length, end)) as FileAnswer // our own program's
  } catch {
    return undefined // it was cut
  }
}

function ascii(json: string): string {
  return json.replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
