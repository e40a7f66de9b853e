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
  /** write, append: base64. */
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
 * binascii, errno, os and sys are built in or loaded before any user's module can take their name; PYTHONPATH is
 * /workspace, so the path is cleared of it before json is looked for.
 */
const program = `
import sys
sys.path[:] = [p for p in sys.path if p and not p.startswith(('/workspace', '/home'))]
import binascii, errno, json, os, stat

def describe(path, name):
    s = os.lstat(path)
    m = s.st_mode
    kind = 'directory' if stat.S_ISDIR(m) else 'symlink' if stat.S_ISLNK(m) else 'file' if stat.S_ISREG(m) else 'other'
    return {'name': name, 'type': kind, 'sizeBytes': s.st_size,
            'modifiedAt': s.st_mtime_ns // 1000000, 'mode': stat.S_IMODE(m)}

def fail(code, path):
    raise OSError(code, os.strerror(code), path)

def temporary(path, name):
    return os.path.join(os.path.dirname(os.path.realpath(path)), name)

def commit(source, path):
    target = os.path.realpath(path)
    if os.path.isdir(target): fail(errno.EISDIR, path)
    try: os.chmod(source, stat.S_IMODE(os.stat(target).st_mode))
    except FileNotFoundError: pass
    os.replace(source, target)

def append(source, data, offset):
    folder = os.path.dirname(source)
    try: os.makedirs(folder, exist_ok=True)
    except FileExistsError: fail(errno.ENOTDIR, folder)
    with open(source, 'xb' if offset == 0 else 'r+b') as f:
        if f.seek(0, os.SEEK_END) != offset: fail(errno.EIO, source)
        f.write(binascii.a2b_base64(data))

def place(text):
    path = os.path.join('/workspace', text)
    if '..' in path.split('/'): # the parent of what a link links to, which normpath does not know
        head, name = os.path.split(path)
        path = os.path.realpath(path) if name in ('', '.', '..') else os.path.join(os.path.realpath(head), name)
    path = os.path.normpath(path)
    if text.endswith('/') and os.path.lexists(path) and not os.path.isdir(path): fail(errno.ENOTDIR, path)
    return path

def entries(folder, parents):
    return sorted(((parents + (os.fsencode(e.name),), e) for e in os.scandir(folder)), key=lambda p: p[0], reverse=True)

def walk(path, recursive, after):
    # A folder comes before what is in it, names in the order of their bytes: so the names alone say where a page begins.
    start = tuple(os.fsencode(after).split(b'/')) if after is not None else ()
    stack = entries(path, ())
    while stack:
        names, entry = stack.pop()
        if names > start: yield entry.path, '/'.join(map(os.fsdecode, names))
        elif names != start[:len(names)]: continue # all in it comes before the page
        if recursive and entry.is_dir(follow_symlinks=False):
            try: stack += entries(entry.path, names)
            except OSError: pass

def remove(path, recursive):
    if not stat.S_ISDIR(os.lstat(path).st_mode): os.unlink(path)
    elif not recursive: os.rmdir(path)
    else: remove_tree(path)

def remove_tree(path):
    # From folder to folder: a tree may be deeper than the stack, and its paths longer than any call takes.
    stack = []
    def enter(name):
        os.chdir(name)
        folders = []
        for entry in list(os.scandir('.')):
            if entry.is_dir(follow_symlinks=False): folders.append(entry.name)
            else: os.unlink(entry.name)
        stack.append((name, folders))
    os.chdir(os.path.dirname(path))
    enter(os.path.basename(path))
    while stack:
        name, folders = stack[-1]
        if folders: enter(folders.pop())
        else:
            os.chdir('..')
            os.rmdir(name)
            stack.pop()

def main(q):
    op, path = q['op'], place(q['path'])
    if op == 'read':
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            s = os.fstat(fd)
            if stat.S_ISDIR(s.st_mode): fail(errno.EISDIR, path)
            if not stat.S_ISREG(s.st_mode): fail(errno.EINVAL, path)
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
        source = temporary(path, q['to'])
        if op == 'discard':
            try: os.unlink(source)
            except FileNotFoundError: pass
            return None
        try:
            if op != 'commit': append(source, q['data'], q.get('offset', 0))
            if op != 'append': commit(source, path)
        except BaseException:
            try: os.unlink(source)
            except OSError: pass
            raise
        return None
    if op == 'list':
        found, room, more = [], q['maxChars'], 'none'
        for at, name in walk(path, q['isRecursive'], q.get('after')):
            if len(found) == q['limit']: more = 'limit'; break
            try: entry = describe(at, name)
            except OSError: continue # gone meanwhile, or its path is too long for any call
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
