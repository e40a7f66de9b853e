"""What an exec has made or changed below /workspace."""
import os
import stat
import time

CLOCK_REALTIME_COARSE = 5  # linux/time.h; Python has no name for it
ROOT = '/workspace'
MAX_SEEN = 20_000
MAX_TOLD = 100
#: Python's own, which it writes where code imports a file of the user.
IGNORED = '__pycache__'

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
    """The clock that file systems stamp changes with: it stands still between two ticks."""
    return time.clock_gettime_ns(CLOCK_REALTIME_COARSE)


def changed_since(since_ns, root):
    """([(path, size)], is_cut, latest change): regular files whose inode was changed since then. By ctime, which code
    cannot set, so that no list of before is needed."""
    found, latest, seen, folders, is_closed = [], 0, 0, [root], False
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MAX_SEEN:
                        return [], True, latest
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            if entry.name != IGNORED:
                                folders.append(entry.path)
                            continue
                        found_stat = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if found_stat.st_ctime_ns >= since_ns and stat.S_ISREG(found_stat.st_mode):
                        found.append((entry.path, found_stat.st_size))
                        latest = max(latest, found_stat.st_ctime_ns)
        except PermissionError:
            is_closed = True  # by the code
        except OSError:
            continue  # gone meanwhile
    found.sort()
    return found[:MAX_TOLD], is_closed or len(found) > MAX_TOLD, latest
