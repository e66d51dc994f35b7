"""Reading and writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from progtrain.engine.errors import InputError, StorageError

_FREE = "free some space and start again: nothing that was finished is lost"
_PERMISSION = (
    "no permission to write",
    "give yourself write permission on the workspace, or look with progtrain-tui --readonly",
)
_STORAGE = {
    errno.ENOSPC: ("the disk is full", _FREE),
    errno.EDQUOT: ("the disk quota is used up", _FREE),
    errno.EFBIG: (
        "the file would become larger than is allowed here",
        "raise the limit (ulimit -f) and start again: nothing that was finished is lost",
    ),
    errno.EROFS: (
        "the file system is read-only",
        "use a workspace that can be written, or look with progtrain-tui --readonly",
    ),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
}


def full_disk(path: Path) -> StorageError:
    reason, fix = _STORAGE[errno.ENOSPC]
    return StorageError(reason, file=path, fix=fix)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns what a full or read-only disk raises into a `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _STORAGE:
            raise
        reason, fix = _STORAGE[error.errno]
        raise StorageError(reason, file=path, fix=fix) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Writes all of it or nothing. Raises `StorageError` when the disk is full or cannot be written."""
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write all of it or nothing: a temporary one beside `path`, synced, then renamed over it.

    Raises `StorageError` when the disk is full or cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        import tempfile  # 2 ms, which what only reads need not wait for

        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files that only the owner can read; a workspace is often shared with a group
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def append_line(path: Path, value: Any) -> None:
    """Appends one JSON line and syncs it. A torn line left by a crash is closed first."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(value, ensure_ascii=False).encode("utf-8") + b"\n"
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def read_text(path: Path) -> str:
    """Raises `InputError` when it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("the file does not exist", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", file=path, fix="save the file in UTF-8") from error


def read_json(path: Path) -> Any:
    """Raises `InputError` with line and column when it is missing or not JSON."""
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """`pairs` sees the keys of each object with their values, doubles included. Raises `InputError`."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON: {error.msg}",
            file=path,
            place=f"line {error.lineno}, column {error.colno}",
            fix="correct the JSON at that place",
        ) from error
    except RecursionError as error:
        raise InputError("not JSON that anybody wrote: nested too deeply", file=path, fix="correct it") from error


def try_read_json(path: Path) -> Any:
    """None when it is missing or torn: for files that another process may be writing."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hundreds are read in a row: a quarter less of the time
            return _value(file.read())
    except OSError:
        return None


class LineReader:
    """Reads a growing file of JSON lines: each call returns what is new and complete.

    A file that shrank or was replaced is read from the start again; lines that are not JSON objects
    are skipped, and so are those without the bytes that they are to be `having`.
    """

    def __init__(self, path: Path, having: bytes = b"") -> None:
        self.path = path
        self._having = having
        self._offset = 0
        self._inode = -1

    def restarted(self) -> bool:
        """Whether the file was replaced, cut or removed since the last read, so that it begins anew."""
        try:
            stat = self.path.stat()
        except OSError:
            return self._offset > 0
        return self._offset > 0 and (stat.st_size < self._offset or stat.st_ino != self._inode)

    def read(self) -> list[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if stat.st_size < self._offset or stat.st_ino != self._inode:
                    self._offset, self._inode = 0, stat.st_ino
                file.seek(self._offset)
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            self._offset = 0
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        return _objects([line for line in complete.splitlines() if self._having in line])


def _objects(lines: list[bytes]) -> list[dict[str, Any]]:
    try:
        # all at once takes a quarter of the time
        values = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        values = []
    if len(values) != len(lines):
        values = [_value(line) for line in lines]
    return [value for value in values if isinstance(value, dict)]


def _value(line: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def sha256_text(text: str) -> str:
    # its import loads a library of cryptography, for which the app's first frame need not wait
    import hashlib

    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256(path: Path) -> str:
    """Of a file's content, or of a folder's file names and contents."""
    import hashlib

    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
