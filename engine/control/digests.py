"""What files hold, as sha256: read once, and afterwards known by size, times, and inode.

`.progtrain/digests.json` keeps what is known from one runner to the next, so that data of many gigabytes are read for
the first version alone. A file whose mtime was set back has another ctime, which no program can set. What was changed
within the clock's grain of its reading is not remembered: it could be changed once more and look the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from progtrain.engine.files import GRAIN_NS, object_in, opened, unread, write_text
from progtrain.engine.workspace import Workspace

#: More files than that are not remembered, but read each time: some 100 MB of this process.
_MOST = 250_000
_SHA256 = re.compile(r"[0-9a-f]{64}")

#: workspace -> "size mtime ctime inode name" of a file -> its sha256. Repeats and experiments have workspaces of their
#: own, whose links lead to the same data: what one has read the others know
_known: dict[Path, dict[str, str]] = {}
#: workspaces whose `.progtrain/digests.json` lacks something
_changed: set[Path] = set()


def of(ws: Workspace, path: Path) -> str:
    """As `files.sha256`: of a file's content, or of a folder's file names and contents.

    Raises `InputError` or `StorageError` where it cannot be read.
    """
    if not path.is_dir():
        return of_file(ws, str(path))
    digest, top = hashlib.sha256(), str(path)
    for name, seen in walk(top):
        digest.update(os.fsencode(f"{name[len(top) + 1 :]}\0{of_file(ws, name, seen)}\n"))
    return digest.hexdigest()


def of_file(ws: Workspace, name: str, seen: os.stat_result | None = None) -> str:
    """Of one regular file; `seen` is how it is now, where that is known. Raises as `of`."""
    if ws.root not in _known:
        _known[ws.root] = _stored(ws)
    try:
        signature = _signature(name, seen or Path(name).stat())
        for known in (_known[ws.root], *_known.values()):
            if (digest := known.get(signature)) is not None:
                return digest
        return _read(ws, name)
    except OSError as error:
        raise unread(error, name) from error


def walk(
    top: str, *, linked: bool = False, above: tuple[tuple[int, int], ...] = ()
) -> Iterator[tuple[str, os.stat_result]]:
    """The regular files below a folder with how they are, in the order that sorted paths have.

    `linked`: those of folders too that links lead to. `above`: device and inode of the folders around it.
    """
    now = Path(top).stat()
    if (here := (now.st_dev, now.st_ino)) in above:
        return  # a link to a folder that it lies in
    with os.scandir(top) as entries:
        there = sorted(entries, key=lambda entry: entry.name)
    for entry in there:
        try:
            found = entry.stat()
        except OSError:  # a link to nothing
            continue
        if stat.S_ISREG(found.st_mode):
            yield entry.path, found
        elif stat.S_ISDIR(found.st_mode) and (linked or not entry.is_symlink()):
            yield from walk(entry.path, linked=linked, above=(*above, here))


def keep(ws: Workspace) -> None:
    """For whoever holds the runner's lock: writes down what is known. Raises `StorageError`."""
    if ws.root in _changed and ws.own.is_dir():
        # without indentation: of a hundred thousand files that takes a tenth of the time
        write_text(ws.digests, json.dumps(_known[ws.root]) + "\n")
        _changed.discard(ws.root)


def forget(ws: Workspace) -> None:
    """As a new process would begin."""
    _known.pop(ws.root, None)
    _changed.discard(ws.root)


def _stored(ws: Workspace) -> dict[str, str]:
    items = object_in(ws.digests).items()
    found = {name: value for name, value in items if isinstance(value, str) and _SHA256.fullmatch(value)}
    # full, it may be of files that have gone since: all are read once more
    return found if len(found) < _MOST else {}


def _signature(name: str, now: os.stat_result) -> str:
    return f"{now.st_size} {now.st_mtime_ns} {now.st_ctime_ns} {now.st_ino} {name.rpartition('/')[2]}"


def _read(ws: Workspace, name: str) -> str:
    begun = time.time_ns()
    with opened(name) as file:
        before = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    settled = max(after.st_mtime_ns, after.st_ctime_ns) + GRAIN_NS < begun
    known, signature = _known[ws.root], _signature(name, after)
    if settled and signature == _signature(name, before) and len(known) < _MOST:
        known[signature] = digest
        _changed.add(ws.root)
    return digest
