"""Files that an exec has created or changed below /workspace."""
import os
import stat
import time
from collections import deque

CLOCK_REALTIME_COARSE = 5  # linux/time.h; Python has no name for it
ROOT = '/workspace'
MAX_SEEN = 20_000
MAX_REPORTED = 100
#: Python writes it when code imports a file of the user.
IGNORED = '__pycache__'
#: Dependencies, histories and caches of tools: many files that nobody wants listed. A virtual environment (PEP 405) is similar.
NOT_LISTED = frozenset(
    '.git .hg .svn .jj .bzr node_modules bower_components jspm_packages .pnpm-store .yarn .npm .venv venv site-packages '
    'dist-packages __pypackages__ .tox .nox .eggs .mypy_cache .pytest_cache .ruff_cache .ipynb_checkpoints .cache '
    '.gradle .m2 .cargo .bundle .terraform .next .nuxt .turbo .parcel-cache'.split()
)

_types = {
    'csv': 'text/csv', 'gif': 'image/gif', 'gz': 'application/gzip', 'htm': 'text/html', 'html': 'text/html',
    'jpeg': 'image/jpeg', 'jpg': 'image/jpeg', 'js': 'text/javascript', 'json': 'application/json',
    'md': 'text/markdown', 'mp3': 'audio/mpeg', 'mp4': 'video/mp4', 'pdf': 'application/pdf', 'png': 'image/png',
    'svg': 'image/svg+xml', 'tar': 'application/x-tar', 'tsv': 'text/tab-separated-values', 'txt': 'text/plain',
    'wav': 'audio/wav', 'webp': 'image/webp', 'xml': 'text/xml', 'zip': 'application/zip',
    'xlsx': 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    'docx': 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'pptx': 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
}  # fmt: skip


def media_type(path):
    return _types.get(path.rpartition('.')[2].lower(), '')


def now_ns():
    """The clock that file systems use for the times of changes. It stands still between two ticks."""
    return time.clock_gettime_ns(CLOCK_REALTIME_COARSE)


def changed_since(since_ns, root):
    """([(path, size)], is_cut, latest change): regular files whose inode was changed since then. It compares the ctime, which code
    cannot set, so it needs no earlier list. Images come first, then files near the top, so that a list that is cut contains the
    files that a person would look for. Dependencies and histories are not listed; a change in them marks the list as cut."""
    walk = Walk(since_ns)
    folders, set_aside = deque([root]), deque()
    while folders and walk.has_room():
        walk.visit(folders.popleft(), folders, set_aside)
    found = sorted(walk.found, key=rank)
    is_cut = walk.was_denied or len(found) > MAX_REPORTED
    walk.found = []
    while set_aside and not walk.found and walk.has_room():
        walk.visit(set_aside.popleft(), set_aside, set_aside)
    if walk.found or not walk.has_room():
        is_cut = True
        walk.latest = now_ns()  # for the files that were not checked
    return found[:MAX_REPORTED], is_cut, walk.latest


def rank(found):
    path = found[0]
    return not media_type(path).startswith('image/'), path.count('/'), path


class Walk:
    """Visits folders, and counts and collects files."""

    def __init__(self, since_ns):
        self.since_ns = since_ns
        self.found = []
        self.latest = 0
        self.seen = 0
        self.was_denied = False

    def has_room(self):
        return self.seen <= MAX_SEEN

    def visit(self, folder, folders, set_aside):
        """Collects the changed files of a folder, and adds its folders to one of the two lists."""
        inner, is_environment = [], False
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.seen += 1
                    if not self.has_room():
                        return
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            inner.append(entry)
                        else:
                            is_environment = is_environment or entry.name == 'pyvenv.cfg'
                            self.check(entry)
                    except OSError:
                        continue
        except PermissionError:
            self.was_denied = True  # code has closed the folder
        except OSError:
            return  # removed since it was found
        for entry in inner:
            if entry.name != IGNORED:
                (set_aside if is_environment or entry.name in NOT_LISTED else folders).append(entry.path)

    def check(self, entry):
        status = entry.stat(follow_symlinks=False)
        if status.st_ctime_ns >= self.since_ns and stat.S_ISREG(status.st_mode):
            self.found.append((entry.path, status.st_size))
            self.latest = max(self.latest, status.st_ctime_ns)
