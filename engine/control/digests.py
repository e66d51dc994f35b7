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

from progtrain.engine.errors import InputError
from progtrain.engine.files import GRAIN_NS, sha256_text, try_read_json, write_text
from progtrain.engine.workspace import Workspace

#: More files than that are not remembered, but read each time: some 100 MB of this process.
_MOST = 250_000
_WHOLE = re.compile(r"\d+ -?\d+ -?\d+ \d+ [0-9a-f]{64}")

#: workspace -> name of a file -> "size mtime ctime inode sha256"
_known: dict[Path, dict[str, str]] = {}
#: workspaces whose `.progtrain/digests.json` lacks something
_changed: set[Path] = set()


def of(ws: Workspace, path: Path) -> str:
    """As `files.sha256`: of a file's content, or of a folder's file names and contents.

    Raises `InputError` where it cannot be read.
    """
    if not path.is_dir():
        return of_file(ws, str(path))
    digest, top = hashlib.sha256(), str(path)
    for name, seen in walk(top):
        digest.update(os.fsencode(f"{name[len(top) + 1 :]}\0{of_file(ws, name, seen)}\n"))
    return digest.hexdigest()


def of_file(ws: Workspace, name: str, seen: os.stat_result | None = None) -> str:
    """Of one regular file; `seen` is how it is now, where that is known. Raises `InputError`."""
    known = _of_workspace(ws)
    short = _short(ws, name)
    try:
        signature = _signature(seen or Path(name).stat())
        had = known.get(short, "")
        if had.startswith(signature):
            return had[len(signature) :]
        return _read(ws, known, name, short)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=name, fix="see to it that it can") from error


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
    if ws.root not in _changed or not ws.own.is_dir():
        return
    known = _of_workspace(ws)
    if len(known) >= _MOST:
        # those of files that are gone make room for others
        known = _known[ws.root] = {name: value for name, value in known.items() if (ws.root / name).exists()}
    # without indentation: of a hundred thousand files that takes a tenth of the time
    write_text(ws.digests, json.dumps(known, ensure_ascii=False) + "\n")
    _changed.discard(ws.root)


def forget(ws: Workspace) -> None:
    """As a new process would begin."""
    _known.pop(ws.root, None)
    _changed.discard(ws.root)


def _of_workspace(ws: Workspace) -> dict[str, str]:
    if ws.root not in _known:
        stored = try_read_json(ws.digests)
        items = stored.items() if isinstance(stored, dict) else ()
        _known[ws.root] = {name: value for name, value in items if isinstance(value, str) and _WHOLE.fullmatch(value)}
    return _known[ws.root]


def _short(ws: Workspace, name: str) -> str:
    """Within the workspace its name there; as text that JSON can hold, whatever bytes it is made of."""
    root = f"{ws.root}/"
    short = name[len(root) :] if name.startswith(root) else name
    try:
        short.encode()
    except UnicodeEncodeError:
        return f"\0{sha256_text(ascii(short))}"
    return short


def _signature(now: os.stat_result) -> str:
    return f"{now.st_size} {now.st_mtime_ns} {now.st_ctime_ns} {now.st_ino} "


def _read(ws: Workspace, known: dict[str, str], name: str, short: str) -> str:
    begun = time.time_ns()
    # a pipe that took its place would let nobody go on
    handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise InputError("is no regular file", file=name, fix="move it away")
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(handle)
    settled = max(after.st_mtime_ns, after.st_ctime_ns) + GRAIN_NS < begun
    if settled and _signature(before) == _signature(after) and (short in known or len(known) < _MOST):
        known[short] = f"{_signature(after)}{digest}"
        _changed.add(ws.root)
    return digest
