"""The rows of prepared data and of additions, as the engine reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from progtrain.engine import prepared_data, values
from progtrain.engine.additions import own
from progtrain.engine.additions.folder import AdditionFolder
from progtrain.engine.additions.tools.progtrain_additions_rows import FormatError, Rows, is_picture, read
from progtrain.engine.errors import InputError
from progtrain.engine.workspace import Workspace


def train(ws: Workspace, dataset_id: str, python: str | None = None) -> Rows:
    """The training split. Raises `InputError`, which names the formats that are known.

    `python`: interpreter of the user's scripts, for rows in a format of their own.
    """
    if prepared_data.elsewhere(ws, dataset_id) and not ws.split(dataset_id, "train").is_dir():
        reason = "the data lie elsewhere and there is no train/: rows cannot be added to what is not there"
        raise InputError(reason, file=ws.data(dataset_id), fix="write train/ and valid/ there in your data pipeline")
    found = _read(
        own.place(ws, dataset_id, "train", python), prepared_data.read_stats(ws.stats(dataset_id)), None, ws.root
    )
    doubled = {name for name in found.ids if found.ids.count(name) > 1} if len(set(found.ids)) < len(found) else ()
    if doubled:
        reason = f"the id {sorted(doubled)[0]!r} stands in train more than once"
        raise InputError(reason, file=ws.split(dataset_id, "train"), fix="give each row an id of its own")
    return found


def held_out(ws: Workspace, dataset_id: str, like: Rows, python: str | None = None) -> dict[str, Rows]:
    """Validation and test rows, as far as there are such: for checks alone. Raises `InputError`."""
    stats = prepared_data.read_stats(ws.stats(dataset_id))
    there = [name for name in ("valid", "test") if ws.split(dataset_id, name).is_dir()]
    return {name: _read(own.place(ws, dataset_id, name, python), stats, like, ws.root) for name in there}


def of_addition(folder: AdditionFolder, like: Rows, root: Path) -> Rows:
    """Rows of an addition, with the training's columns, as the file has them. Raises `InputError`."""
    place = folder.rows
    return _read(place if place.is_dir() else folder.path, {}, like, root)


def where_it_lies(rows: Rows, folder: AdditionFolder, place: str) -> Rows:
    """The same with paths of its own pictures as they are now: in the file they begin with `place`, where the addition
    is to lie in the end.
    """
    columns = dict(rows.columns)
    for name in (name for name, kind in rows.kinds.items() if kind == "picture" and rows.format != "folders"):
        cells = [str(cell) for cell in columns[name]]
        columns[name] = [
            str(folder.path.absolute() / cell[len(place) + 1 :]) if cell.startswith(f"{place}/") else cell
            for cell in cells
        ]
    return replace(rows, columns=columns)


def _read(folder: Path, stats: Mapping[str, Any], like: Rows | None, root: Path) -> Rows:
    try:
        return read(folder, stats, like, root)
    except FormatError as error:
        fix = (
            "write the split as one file: .npz (arrays), .csv, .jsonl, or a folder for each class; or have 05_rows.py "
        )
        fix += "read and write rows: progtrain docs evidence"
        raise InputError(str(error), file=folder, fix=fix) from error


def is_regression(rows: Rows, stats: Mapping[str, Any]) -> bool:
    """What stats.json states; else whether labels are numbers with something behind the point."""
    stated = (prepared_data.task_in(stats) or "").casefold()
    if stated:
        return "regress" in stated
    numbers = [values.number(label) for label in rows.labels]
    return all(value is not None for value in numbers) and any((value or 0) % 1 for value in numbers)


def kind_of(rows: Rows) -> str:
    """ "picture", "table" or "text": what can be done with such rows."""
    arrays = [rows.columns[name] for name, kind in rows.kinds.items() if kind == "array"]
    if "picture" in rows.kinds.values() or any(
        one.dtype.kind in "biuf" and is_picture(one.shape[1:]) for one in arrays
    ):
        return "picture"
    if "number" in rows.kinds.values() or any(one.dtype.kind in "biuf" for one in arrays):
        return "text" if "text" in rows.kinds.values() else "table"
    return "text"
