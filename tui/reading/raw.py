"""A validation sample as it lies in the prepared data, if its id leads to a file, a table's row or an array's item.

Prepared data has no fixed form. What is not understood is said, never guessed.
"""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.pictures import Picture, draw_values, read_picture

_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}
_TEXTS = {".txt", ".json", ".md", ".yaml", ".yml"}
_TABLES = {".csv": ",", ".tsv": "\t"}
_MOST_BYTES = 200_000_000
_MOST_TEXT = 20_000


@dataclass(frozen=True)
class Raw:
    """Where it was found, and what can be shown of it."""

    source: str
    text: str = ""
    picture: Picture | None = None


def find_raw(workspace: Workspace, dataset_id: str, sample_id: str, columns: int, lines: int) -> Raw | None:
    """May read a whole table: call it from a thread."""
    folder = workspace.split(dataset_id, "valid")
    try:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError:
        return None
    for path in paths:
        if path.stem == sample_id or str(path.relative_to(folder)) == sample_id:
            return _of_file(path, columns, lines)
    for path in paths:
        try:
            found = _inside(path, sample_id, columns, lines)
        except (OSError, ValueError, csv.Error, zipfile.BadZipFile, KeyError):
            continue
        if found is not None:
            return found
    return None


def _of_file(path: Path, columns: int, lines: int) -> Raw | None:
    suffix = path.suffix.casefold()
    if suffix in _PICTURES:
        return Raw(path.name, picture=read_picture(path, columns, lines))
    if suffix in _TEXTS:
        with path.open("rb") as file:
            return Raw(path.name, file.read(_MOST_TEXT).decode("utf-8", "replace"))
    return None


def _inside(path: Path, sample_id: str, columns: int, lines: int) -> Raw | None:
    suffix = path.suffix.casefold()
    if path.stat().st_size > _MOST_BYTES:
        return None
    if suffix in _TABLES:
        return _of_table(path, sample_id, _TABLES[suffix])
    return _of_arrays(path, sample_id, columns, lines) if suffix == ".npz" else None


def _of_table(path: Path, sample_id: str, delimiter: str) -> Raw | None:
    """The row that begins with the id."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        header = next(rows, [])
        for row in rows:
            if row and row[0] == sample_id:
                pairs = zip(header, row, strict=False)
                return Raw(path.name, "\n".join(f"{name}: {value}" for name, value in pairs))
    return None


def _of_arrays(path: Path, sample_id: str, columns: int, lines: int) -> Raw | None:
    """An array of ids says which item of the others it is. numpy is imported by the first look at such a file."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        held: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    place = next((found for a in held.values() if (found := _place(a, sample_id)) is not None), None)
    if place is None:
        return None
    at, count = place
    text, picture = [], None
    for name, values in held.items():
        if values.ndim == 0 or len(values) != count:
            continue
        item = values[at]
        if item.ndim in (2, 3) and item.dtype.kind in "uif" and picture is None:
            picture = draw_values(item.tolist(), columns, lines)
        elif item.size <= 64:
            text.append(f"{name}: {item.tolist()}")
    return Raw(f"{path.name}, item {at}", "\n".join(text), picture)


def _place(values: Any, sample_id: str) -> tuple[int, int] | None:
    if values.ndim != 1 or values.dtype.kind not in "US":
        return None
    wanted = sample_id.encode() if values.dtype.kind == "S" else sample_id
    found = (values == wanted).nonzero()[0]
    return (int(found[0]), len(values)) if len(found) else None
