"""Files and links of a run, put where they belong: never through a link to what is not the run's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from progtrain.engine.files import read_bytes, storage_errors, write_text


def put(files: Mapping[Path, str], links: Mapping[Path, Path], top: Path) -> None:
    """Makes both, as often as asked; `top` is the folder that all of them are in. Raises `StorageError`."""
    for path, text in files.items():
        _make_way(path.parent, top)
        if path.is_symlink() or not path.is_file() or read_bytes(path) != text.encode("utf-8"):
            write_text(path, text)
    for path, target in links.items():
        _make_way(path.parent, top)
        _link(path, target)


def remove(path: Path, top: Path) -> None:
    """A file or link that is not needed any more; what a link on the way leads to is not the run's. As above."""
    if not any(folder.is_symlink() for folder in _between(path.parent, top)):
        with storage_errors(path):
            path.unlink(missing_ok=True)


def leading(path: Path, target: Path) -> Path:
    """What a link at `path` says: relative where both lie in one folder, so that a project may be moved as a whole."""
    here, there = path.parent.resolve(), target.parent.resolve() / target.name
    shared = os.path.commonpath([here, there])
    return Path(os.path.relpath(there, here)) if shared != os.path.sep else there


def _between(folder: Path, top: Path) -> list[Path]:
    """Folders below `top`, the outermost first."""
    return [part for part in reversed([folder, *folder.parents]) if part != top and part.is_relative_to(top)]


def _make_way(parent: Path, top: Path) -> None:
    """A folder of the run's own, also where a link to one of the user's was."""
    with storage_errors(parent):
        for folder in _between(parent, top):
            if folder.is_symlink():
                folder.unlink()
        parent.mkdir(parents=True, exist_ok=True)


def _link(path: Path, target: Path) -> None:
    with storage_errors(path):
        if path.is_symlink():
            if path.readlink() == target:
                return
        elif path.is_dir():
            if any(path.iterdir()):
                return  # what a script has made there is the run's own
            path.rmdir()
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
