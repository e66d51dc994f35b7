"""Reading and writing files so that nobody ever sees half of one, and none takes the reader's time or memory.

A workspace may come from anybody: where a file belongs there may be a pipe, a device, a folder, gigabytes of nothing,
or a number of a thousand digits. Whoever reads what others may have written opens it with `opened`, or by what stands
on it.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from progtrain.engine import json_text
from progtrain.engine.errors import InputError, ProgtrainError, StorageError
from progtrain.engine.modes import umask

#: the most bytes that are read of a script, a document, settings or JSON
MOST_TEXT = 64 << 20
#: and of a table or a log of lines, of one line of it, and of what people write as YAML, which is slow to read
MOST_TABLE = 512 << 20
MOST_LINE = 8 << 20
MOST_YAML = 2 << 20
#: of one log of lines, each of which is kept
MOST_LINES = 2_000_000
#: the coarsest clock of a file system: FAT counts in two seconds. A file that was written since may change once more
#: and have the same time
GRAIN_NS = 2_000_000_000

_FREE = "free some space and start again: nothing that was finished is lost"
_PERMISSION = (
    "no permission to write",
    "give yourself write permission on the workspace, or look with progtrain-tui --readonly",
)
_BROKEN = "see that the disk or the network folder works, and start again: nothing that was finished is lost"
_AWAY = ("the network folder does not answer", "start again when it is back: nothing that was finished is lost")
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
    errno.EIO: ("the disk or the network folder could not read or write it", _BROKEN),
    errno.ESTALE: ("the network folder is not the one any more that it was", _BROKEN),
    **dict.fromkeys(
        (errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ENODEV), _AWAY
    ),
}
#: bytes of the disk that a file is given beyond its end, for a last word when there are no others
_LAST_WORD = 4096
_FALLOC_FL_KEEP_SIZE = 1


def full_disk(path: Path) -> StorageError:
    reason, fix = _STORAGE[errno.ENOSPC]
    return StorageError(reason, file=path, fix=fix)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns what a full, read-only or dead disk raises into a `StorageError`."""
    try:
        yield
    except OSError as error:
        if (told := of_storage(error, path)) is None:
            raise
        raise told from error


def of_storage(error: OSError, path: Path | None = None) -> StorageError | None:
    """What it says of the disk; None where it is about something else. `path`: where it does not name a file."""
    if error.errno not in _STORAGE:
        return None
    reason, fix = _STORAGE[error.errno]
    return StorageError(reason, file=path or error.filename, fix=fix)


def keep_room(descriptor: int) -> None:
    """Keeps some of the disk for what is yet to be written to a file, whose size stays as it is.

    Linux only. Where the file system cannot do it, or has no room left, nothing is kept.
    """
    import ctypes  # what only reads need not wait for it

    with suppress(AttributeError, OSError):
        size = ctypes.c_long(os.fstat(descriptor).st_size)
        ctypes.CDLL(None).fallocate(descriptor, _FALLOC_FL_KEEP_SIZE, size, ctypes.c_long(_LAST_WORD))


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
            # mkstemp makes files that only the owner can read; a workspace is often shared with a group. Sticks and
            # some network folders have no modes, and say so
            with suppress(OSError):
                Path(name).chmod(0o666 & ~umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def is_there(path: Path) -> bool:
    """Whether there is something, as far as one may see."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Half a character, as JSON may hold one, becomes a question mark."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, _as_json(value, indent=2) + b"\n")


def _as_json(value: Any, indent: int | None = None) -> bytes:
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        # a file name that is not UTF-8, or half a character: so it comes back as it was
        return json.dumps(value, indent=indent).encode("ascii")


def append_line(path: Path, value: Any) -> None:
    """Appends one JSON line and syncs it, with room for a further one. A torn line left by a crash is closed first."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        line = _as_json(value) + b"\n"
        with path.open("ab+") as file:
            if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                raise InputError("it is no ordinary file", file=path, fix="take it away")
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)
            file.flush()
            keep_room(file.fileno())
            os.fsync(file.fileno())


def opened(path: Path | str, most: int | None = None) -> io.BufferedReader:
    """An ordinary file for reading: neither a pipe nor a device is waited for or read.

    Raises `OSError` as `open` does, and for what is no ordinary file or has more than `most` bytes; `unread` says it.
    """
    return os.fdopen(_handle(path, most)[0], "rb")


def _handle(path: Path | str, most: int | None) -> tuple[int, int]:
    """What to read it with, and how large it is."""
    try:
        _refuse(path, os.stat(path), most)  # noqa: PTH116 - a device is not even to be opened
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:
        # a zero byte or half a character in a name that came from a file
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error
    try:
        found = os.fstat(handle)
        _refuse(path, found, most)
    except BaseException:
        os.close(handle)
        raise
    return handle, found.st_size


def _refuse(path: Path | str, found: os.stat_result, most: int | None) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, no file", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
    if most is not None and found.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path | str, most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))


def read_bytes(path: Path | str, most: int = MOST_TEXT) -> bytes:
    """All of it. Raises `OSError` as `opened` does, also when it grows beyond `most` bytes meanwhile."""
    handle, size = _handle(path, most)
    try:
        # without a buffer: hundreds are read in a row
        data = os.read(handle, size + 1)
        while len(data) != size and len(data) <= most and (more := os.read(handle, most + 1 - len(data))):
            data += more
    finally:
        os.close(handle)
    if len(data) > most:
        raise _too_large(path, most)
    return data


def read_loosely(path: Path | str, most: int = MOST_TEXT) -> str:
    """Text, whatever bytes are in it. Raises `OSError` as `opened` does."""
    return _as_text(read_bytes(path, most).decode("utf-8-sig", "replace"))


def _as_text(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def lines_of(path: Path | str, most: int = MOST_TABLE) -> Iterator[str]:
    """Lines of a table, for `csv`. Raises `OSError` as `opened` does, and for a line longer than `MOST_LINE`."""
    with opened(path, most) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", "replace", newline="")
        left = most
        while line := text.readline(MOST_LINE):
            left -= len(line)
            if left < 0:
                raise _too_large(path, most)
            if len(line) == MOST_LINE:
                raise OSError(errno.EFBIG, f"a line is longer than {MOST_LINE >> 20} MiB", str(path))
            # csv takes no zero bytes
            yield line.replace("\0", "") if "\0" in line else line


def unread(error: OSError, path: Path | str, fix: str | None = None) -> ProgtrainError:
    """What kept a file from being read, for who has to put it right: wrong input, or a storage that gives nothing."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return InputError("the file does not exist", file=path, fix=fix)
    if isinstance(error, PermissionError):
        return StorageError(
            "no permission to read", file=path, fix="have its owner give you read permission, or take the file away"
        )
    reason = f"cannot be read: {error.strerror or error}"
    if error.errno in (errno.EISDIR, errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG):
        return InputError(reason, file=path, fix=fix or "put an ordinary file there, or take it away")
    return StorageError(reason, file=path, fix=fix or "see that it can be read, and start again")


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Raises `InputError` when it is missing, no ordinary file, too large or not UTF-8, `StorageError` when it may not
    be read.
    """
    try:
        return _as_text(read_bytes(path, most).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", file=path, fix="save the file in UTF-8") from error
    except OSError as error:
        raise unread(error, path) from error


def read_json(path: Path) -> Any:
    """Raises `InputError` with line and column when it is missing or not JSON."""
    return json_text.parse_json(read_text(path), path)


def try_read_json(path: Path | str, keys: Sequence[str] = ()) -> Any:
    """The object in it, of which the `keys` will do; None when it is missing, torn, or something else: for files that
    another process writes."""
    try:
        data = read_bytes(path)
    except OSError:
        return None
    found = (json_text.values_of(data, keys) if keys else None) or _value(data)
    return found if isinstance(found, dict) else None


def object_in(path: Path | str) -> dict[str, Any]:
    """As `try_read_json`; empty for what it gives None for."""
    return try_read_json(path) or {}


class LineReader:
    """Reads a growing file of JSON lines: each call returns what is new and complete.

    A file that shrank or was replaced is read from the start again; lines that are not JSON objects
    are skipped, and so are those without the bytes that they are to be `having`.
    """

    def __init__(self, path: Path, having: bytes = b"") -> None:
        self.path = path
        self._having = having
        #: why the last `look` saw nothing
        self.problem: ProgtrainError | None = None
        self._offset = self._lines = 0
        self._inode = -1

    def restarted(self) -> bool:
        """Whether the file was replaced, cut or removed since the last read, so that it begins anew."""
        try:
            stat = self.path.stat()
        except OSError:
            return self._offset > 0
        return self._offset > 0 and (stat.st_size < self._offset or stat.st_ino != self._inode)

    def read(self) -> list[dict[str, Any]]:
        """Of a file that is larger than any log, the beginning alone. Raises `InputError` for what is no ordinary file,
        `StorageError` where it cannot be read.
        """
        found: list[dict[str, Any]] = []
        try:
            with opened(self.path) as file:
                stat = os.fstat(file.fileno())
                if stat.st_size < self._offset or stat.st_ino != self._inode:
                    self._offset, self._lines, self._inode = 0, 0, stat.st_ino
                file.seek(self._offset)
                while self._offset < MOST_TABLE and (data := file.read(MOST_LINE)):
                    end = data.rfind(b"\n") + 1
                    if not end or self._lines > MOST_LINES:
                        break  # a last line that is torn, or longer than any line is: what follows it is no log
                    self._offset += end
                    self._lines += data.count(b"\n")
                    file.seek(self._offset)
                    found += _objects([line for line in data[:end].splitlines() if self._having in line])
                    if len(data) < MOST_LINE:
                        break
        except (FileNotFoundError, NotADirectoryError):
            self._offset = self._lines = 0
        except OSError as error:
            raise unread(error, self.path) from error
        return found

    def look(self) -> list[dict[str, Any]]:
        """As `read`, for who only shows it: empty, with `problem`, where it cannot be read."""
        self.problem = None
        try:
            return self.read()
        except ProgtrainError as error:
            self.problem = error
            return []


def _objects(lines: list[bytes]) -> list[dict[str, Any]]:
    whole = b"[" + b",".join(lines) + b"]"
    try:
        # all at once takes a quarter of the time
        values = [] if json_text.has_giant(whole) or any(map(json_text.may_be_deep, lines)) else json.loads(whole)
    except (ValueError, RecursionError):
        values = []
    if len(values) != len(lines):
        values = [_value(line) for line in lines]
    return [value for value in values if isinstance(value, dict)]


def _value(line: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return json_text.loaded(line)
    except ValueError:
        return None


def sha256_text(text: str | bytes) -> str:
    # its import loads a library of cryptography, for which the app's first frame need not wait
    import hashlib

    return hashlib.sha256(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256(path: Path) -> str:
    """Of a file's content, or of a folder's file names and contents."""
    import hashlib

    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(os.fsencode(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n"))
        return digest.hexdigest()
    with opened(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
