"""What a training script writes, moves or deletes on its way to fit() is put back, also after an evaluation that was
killed. Standard library only: the engine looks here too.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_PREFIX, _LIST = ".evaluating-", "list.jsonl"
_MOST_BYTES = 64 * 1024 * 1024


class Untouched:
    """What the script writes, moves or deletes in the workspace on its way to fit() is put back afterwards."""

    #: path -> its copy; None: it was not there
    before: dict[Path, Path | None] = {}  # noqa: RUF012 - one at a time

    def __init__(self, root: Path) -> None:
        self.root, self.active = root, False
        # what a link that is removed says
        self.says: dict[Path, Path] = {}
        # two at once would each take what the other's script writes for that of their own
        self.lock = os.open(root, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            _put_back_left(root)
        self.kept = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        self.before.clear()

    def __enter__(self) -> None:
        self.active = True
        sys.addaudithook(self.audit)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        told = ("open", "os.remove", "os.rename", "os.mkdir", "os.truncate", "shutil.rmtree")
        if not self.active or event not in told:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.active = False  # what is done here is not the script's doing
        try:
            for path in args[: 2 if event == "os.rename" else 1]:
                if isinstance(path, (str, bytes, os.PathLike)):
                    path = Path(os.fsdecode(path)).absolute()
                    if event != "os.mkdir" or not path.exists():
                        self.note(path, gone=event in ("os.remove", "shutil.rmtree"))
        finally:
            self.active = True

    def note(self, path: Path, *, gone: bool) -> None:
        """Keeps a file as it is: by a link where its name alone goes, else what is written would reach the link too."""
        if path in self.before or not path.is_relative_to(self.root) or path.is_relative_to(self.kept):
            return
        if path.is_dir():
            for file in path.rglob("*"):
                if file.is_file():
                    self.note(file, gone=gone)
            return
        copy = self.kept / f"{len(self.before)}"
        self.before[path] = copy if path.is_file() else None
        if not path.is_file():
            self.record(path, None)
        try:
            if path.is_symlink() and gone:
                self.says[path] = path.readlink()
                copy.symlink_to(path.resolve())
                self.record(path, copy)
            elif path.is_file():
                self.keep(path, copy, gone)
                self.record(path, copy)
        except OSError:
            self.before.pop(path)

    def record(self, path: Path, copy: Path | None) -> None:
        """For whoever comes after this one, should it be killed: once the copy is whole, before the script goes on."""
        says = str(self.says[path]) if path in self.says else None
        told = [str(path.relative_to(self.root)), copy and copy.name, says]
        with suppress(OSError), (self.kept / _LIST).open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")

    @staticmethod
    def keep(path: Path, copy: Path, gone: bool) -> None:
        if gone:
            # not every file system has links
            with suppress(OSError):
                os.link(path, copy)
                return
        shutil.copyfile(path, copy)
        # nor modes
        with suppress(OSError):
            shutil.copystat(path, copy)

    def __exit__(self, *_: object) -> None:
        self.active = False
        _put_back(self.before, self.says)
        self.before.clear()
        shutil.rmtree(self.kept, ignore_errors=True)
        os.close(self.lock)


def _put_back(before: dict[Path, Path | None], says: dict[Path, Path]) -> None:
    for path, copy in sorted(before.items(), reverse=True):
        if copy is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            copy.replace(path)
            if path in says:
                path.unlink()
                path.symlink_to(says[path])
        elif path.is_dir():
            with suppress(OSError):
                path.rmdir()
        else:
            path.unlink(missing_ok=True)


def put_back_left(root: Path) -> None:
    """What evaluations of this workspace that were killed have not put back; nothing while one is at work."""
    with suppress(OSError):
        lock = os.open(root, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _put_back_left(root)
        finally:
            os.close(lock)


def _put_back_left(root: Path) -> None:
    home = root.resolve()
    for kept in [path for path in sorted(root.glob(f"{_PREFIX}*")) if path.is_dir() and not path.is_symlink()]:
        before: dict[Path, Path | None] = {}
        says: dict[Path, Path] = {}
        for name, copy, link in _recorded(kept / _LIST):
            path, held = root / name, kept / copy if copy else None
            # a folder of anybody's: nothing outside of it is touched, whatever stands there
            inside = ".." not in path.parts and path.parent.resolve().is_relative_to(home)
            if inside and (held is None or (held.parent == kept and held.is_file())):
                before[path] = held
                if link:
                    says[path] = Path(link)
        with suppress(OSError):
            _put_back(before, says)
        shutil.rmtree(kept, ignore_errors=True)


def _recorded(file: Path) -> Iterator[tuple[str, str | None, str | None]]:
    """(path, its copy, what it says where it is a link); the last line may be torn."""
    try:
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        with suppress(ValueError, TypeError):
            path, copy, link = json.loads(line)
            if isinstance(path, str) and all(one is None or isinstance(one, str) for one in (copy, link)):
                yield path, copy, link
