"""Arrays of numpy that others may have written: what a header claims is held against what is there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from progtrain.engine.files import opened

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def read(path: Path, most: int) -> dict[str, Array]:
    """Those of a `.npz` by their names, or that of a `.npy` by the file's; read-only.

    Raises `OSError` as `files.opened` does, and `ValueError` for what is none, or comes to more than `most` bytes.
    """
    import zipfile

    with opened(path, most) as file:
        try:
            if path.suffix == ".npy":
                return {path.stem: _array(file, most)}
            with zipfile.ZipFile(file) as archive:
                parts = [part for part in archive.infolist() if part.filename.endswith(".npy")]
                if sum(part.file_size for part in parts) > most:
                    raise ValueError("its arrays are too large")
                return {part.filename.removesuffix(".npy"): _array(archive.open(part), most) for part in parts}
        except Exception as error:  # numpy, zipfile and what it unpacks with have many ways to say it
            raise ValueError(f"it holds no arrays that can be read: {error}") from error


def _array(file: IO[bytes], most: int) -> Array:
    import numpy as np
    from numpy.lib import format as form

    header = form.read_array_header_1_0 if form.read_magic(file) == (1, 0) else form.read_array_header_2_0
    shape, columns_first, kind = header(file)
    size = math.prod(shape) * kind.itemsize
    # of nothing there may be any number
    if kind.hasobject or not kind.itemsize or min(shape, default=0) < 0 or size > most:
        raise ValueError("no plain numbers or texts, or too many of them")
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it ends in the middle")
    return np.frombuffer(data, kind).reshape(shape, order="F" if columns_first else "C")
