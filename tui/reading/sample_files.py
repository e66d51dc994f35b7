"""A sample as it can be looked at: what the evaluation kept of it, or where it lies in the prepared data.

Prepared data has no fixed form. What is not understood is said, never guessed.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progtrain.engine import arrays
from progtrain.engine.files import lines_of, object_in, opened
from progtrain.engine.json_text import loaded
from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.pictures import Picture, draw_values, read_picture

_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}
_TEXTS = {".txt", ".json", ".md", ".yaml", ".yml"}
_TABLES = {".csv": ",", ".tsv": "\t"}
_MOST_BYTES = 200_000_000
_MOST_TEXT = 20_000
#: files of a kept sample, in the order in which they are shown
_ORDER = ("input", "output", "gt", "viz", "summary", "meta")


@dataclass(frozen=True)
class Shown:
    """A file, row or item: where it was found, and what can be shown of it."""

    source: str
    text: str = ""
    picture: Picture | None = None
    #: between the cells of a table; "": the text is none
    delimiter: str = ""


def kept_ids(workspace: Workspace, version: str) -> dict[str, Path]:
    """Sample id -> its folder below `infer_samples/`."""
    found: dict[str, Path] = {}
    try:
        folders = sorted(path for path in workspace.version(version).infer_samples.iterdir() if path.is_dir())
    except OSError:
        return found
    for path in folders:
        found.setdefault(str(object_in(path / "meta.json").get("sample_id", path.name)), path)
    return found


def read_kept(folder: Path, columns: int, lines: int) -> tuple[Shown, ...]:
    """The files of one kept sample; pictures fitted into `columns` x `lines` cells."""
    try:
        paths = [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return ()
    places = {name: place for place, name in enumerate(_ORDER)}
    paths.sort(key=lambda path: (places.get(path.name.partition(".")[0], len(_ORDER)), path.name))
    return tuple(_whole_file(path, columns, lines) for path in paths)


def find_raw(workspace: Workspace, dataset_id: str, sample_id: str, columns: int, lines: int) -> tuple[Shown, ...]:
    """Empty where the id leads to nothing. May read a whole table: call it from a thread."""
    folder = workspace.split(dataset_id, "valid")
    try:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError:
        return ()
    for path in paths:
        if path.stem == sample_id or str(path.relative_to(folder)) == sample_id:
            return (_whole_file(path, columns, lines),)
    for path in paths:
        try:
            found = _inside(path, sample_id, columns, lines)
        except (OSError, ValueError, csv.Error):
            continue
        if found is not None:
            return (found,)
    return ()


def _whole_file(path: Path, columns: int, lines: int) -> Shown:
    suffix = path.suffix.casefold()
    if suffix in _PICTURES:
        return Shown(path.name, picture=read_picture(path, columns, lines))
    if suffix not in _TEXTS | _TABLES.keys():
        return Shown(path.name)
    try:
        with opened(path) as file:
            text = file.read(_MOST_TEXT).decode("utf-8", "replace")
    except OSError as error:
        return Shown(path.name, f"cannot be read: {error.strerror}")
    return Shown(path.name, _plain_json(text) if suffix == ".json" else text, delimiter=_TABLES.get(suffix, ""))


def _plain_json(text: str) -> str:
    """`key: value` lines; the text itself where it is no JSON object."""
    try:
        data: Any = loaded(text)
    except ValueError:
        return text
    if not isinstance(data, dict):
        return json.dumps(data, ensure_ascii=False)
    return "\n".join(f"{key}: {_short_value(value)}" for key, value in data.items())


def _short_value(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
        shown = ", ".join(f"{v:.4g}" for v in value[:12])
        return f"{shown}, … ({len(value)})" if len(value) > 12 else shown
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _inside(path: Path, sample_id: str, columns: int, lines: int) -> Shown | None:
    suffix = path.suffix.casefold()
    if path.stat().st_size > _MOST_BYTES:
        return None
    if suffix in _TABLES:
        return _of_table(path, sample_id, _TABLES[suffix])
    return _of_arrays(path, sample_id, columns, lines) if suffix == ".npz" else None


def _of_table(path: Path, sample_id: str, delimiter: str) -> Shown | None:
    """The row that begins with the id."""
    table = csv.reader(lines_of(path, _MOST_BYTES), delimiter=delimiter)
    header = next(table, [])
    for row in table:
        if row and row[0] == sample_id:
            pairs = zip(header, row, strict=False)
            return Shown(path.name, "\n".join(f"{name}: {value}" for name, value in pairs))
    return None


def _of_arrays(path: Path, sample_id: str, columns: int, lines: int) -> Shown | None:
    """An array of ids says which item of the others it is. numpy is imported by the first look at such a file."""
    held = arrays.read(path, _MOST_BYTES)
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
    return Shown(f"{path.name}, item {at}", "\n".join(text), picture)


def _place(values: Any, sample_id: str) -> tuple[int, int] | None:
    """The id's index in an array of ids, and how many ids there are."""
    if values.ndim != 1 or values.dtype.kind not in "US":
        return None
    wanted = sample_id.encode() if values.dtype.kind == "S" else sample_id
    found = (values == wanted).nonzero()[0]
    return (int(found[0]), len(values)) if len(found) else None
