"""What the header of a GGUF claims, held against the size of its file before llama.cpp believes it.

llama.cpp makes room for a list before it reads it: a few bytes could ask for gigabytes. The layout is of versions 2
and 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

#: kind of a value -> its bytes; texts and lists say their length themselves
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST = 8, 9
#: bytes that the shortest one takes: of a text, of a value with its name, of what is said of a tensor
_LEAST_TEXT, _LEAST_VALUE, _LEAST_TENSOR = 8, 8 + 4 + 1, 8 + 4 + 4 + 8
_MOST_DIMENSIONS = 4
#: of a key, or of a tensor's name
_LONGEST_NAME = 1 << 16
_BLOCK = 1 << 16


def problem(path: Path) -> str | None:
    """Why no model can be in it; None where what its header claims is there. Raises `OSError`."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            return "it is no GGUF file"
        size = path.stat().st_size
        try:
            _walk(file, size)
        except ValueError as error:
            return str(error)
        except struct.error:
            return "its header ends in the middle"
    return None


def _number(file: BinaryIO, form: str = "<Q") -> int:
    found: int = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    return found


def _count(file: BinaryIO, size: int, least: int, what: str) -> int:
    """How many follow, of which each takes `least` bytes and more."""
    found = _number(file)
    if found * least > size - file.tell():
        raise ValueError(f"its header claims {found} {what}, which is more than the file holds")
    return found


def _walk(file: BinaryIO, size: int) -> None:
    """Raises `ValueError`, and `struct.error` at the end of the file."""
    version = _number(file, "<I")
    if version not in (2, 3):
        raise ValueError(f"it is a GGUF of version {version}, which llama.cpp does not read")
    tensors = _count(file, size, _LEAST_TENSOR, "tensors")
    values = _count(file, size, _LEAST_VALUE, "values")
    for _ in range(values):
        _text(file, size, _LONGEST_NAME)
        _value(file, size, _number(file, "<I"))
    for _ in range(tensors):
        _text(file, size, _LONGEST_NAME)
        dimensions = _number(file, "<I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"its header claims a tensor of {dimensions} dimensions")
        file.seek(dimensions * 8 + 4 + 8, 1)


def _text(file: BinaryIO, size: int, longest: int | None = None) -> None:
    length = _count(file, size, 1, "characters of a text")
    if longest is not None and length > longest:
        raise ValueError(f"its header claims a name of {length} characters")
    file.seek(length, 1)


def _value(file: BinaryIO, size: int, kind: int) -> None:
    if kind == _TEXT:
        _text(file, size)
    elif kind == _LIST:
        _list(file, size, _number(file, "<I"))
    elif kind in _BYTES:
        file.seek(_BYTES[kind], 1)
    else:
        raise ValueError(f"its header has a value of the unknown kind {kind}")


def _list(file: BinaryIO, size: int, kind: int) -> None:
    if kind == _TEXT:
        _texts(file, size, _count(file, size, _LEAST_TEXT, "texts"))
    elif kind in _BYTES:
        file.seek(_count(file, size, _BYTES[kind], "numbers") * _BYTES[kind], 1)
    else:
        # llama.cpp reads no lists of lists either
        raise ValueError(f"its header has a list of the kind {kind}, which llama.cpp does not read")


def _texts(file: BinaryIO, size: int, count: int) -> None:
    """A vocabulary has hundreds of thousands: by blocks, in a tenth of a second."""
    begin, at, block, length_at = file.tell(), 0, b"", struct.Struct("<Q").unpack_from
    for _ in range(count):
        if at + 8 > len(block):
            begin, at = begin + at, 0
            file.seek(begin)
            block = file.read(_BLOCK)
        at += 8 + length_at(block, at)[0]
        if begin + at > size:
            raise ValueError("its header claims a text that is longer than the file")
    file.seek(begin + at)
