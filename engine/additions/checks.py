"""What is checked of the rows of an addition before any version trains with them.

A row that is a validation or test row, or nearly one, is dropped and named. One that comes from no training row, whose
id is taken, or that is not like the training's rows stops the whole: then the way in which rows were made is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine import prepared_data, values
from progtrain.engine.additions import folder as folders
from progtrain.engine.additions import near, splits
from progtrain.engine.additions.tools.progtrain_additions_rows import FormatError, Rows, chosen, digests, number
from progtrain.engine.errors import InputError
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace

#: the checks that drop a row; each other one stops the action
DROPS = ("exact", "near")
SPLITS = {"train": "training", "valid": "validation", "test": "test"}


class Report(NamedTuple):
    """`refused`: of each row that is not as it should be, `{row, check, reason, against}`, at most one a row."""

    refused: list[dict[str, str]]
    limits: dict[str, Any]
    #: split -> rows that it was compared with
    compared: dict[str, int]
    #: content of each row, in their order
    digests: list[str]

    @property
    def dropped(self) -> list[dict[str, str]]:
        return [one for one in self.refused if one["check"] in DROPS]

    @property
    def problems(self) -> list[dict[str, str]]:
        """What stops the action."""
        return [one for one in self.refused if one["check"] not in DROPS]


def hashes(ws: Workspace, dataset_id: str) -> dict[str, str | None]:
    """Of the three splits as they are now."""
    return {f"{name}_sha256": prepared_data.split_sha256(ws, dataset_id, name) for name in SPLITS}


def look(
    ws: Workspace, manifest: Sequence[Mapping[str, Any]], rows: Rows, train: Rows, held: Mapping[str, Rows]
) -> Report:
    """All checks. `manifest`: what it says of each row. Raises `InputError` where a row cannot be read."""
    if len(manifest) != len(rows):
        reason = f"the manifest names {len(manifest)} rows, the file holds {len(rows)}"
        raise InputError(reason, fix="make the addition anew")
    try:
        content = digests(rows, ws.root)
        limit = near.limits(train, ws.root)
        found = dict[int, dict[str, str]]()
        stages = (
            _origin(manifest, train, held),
            _ids(manifest, rows, train, held),
            _schema(rows, train),
            _faithful(manifest, rows, train, content, ws.root),
            _exact(content, held, ws.root),
            _near(rows, held, train, limit, ws.root),
        )
        for stage in stages:
            for at, check, reason, against in stage:
                name = str(manifest[at].get("id"))
                told = {"row": name, "check": check, "reason": clean_line(reason), "against": against}
                found.setdefault(at, told)
    except FormatError as error:
        raise InputError(str(error), fix="make the addition anew") from error
    refused = [found[at] for at in sorted(found)]
    return Report(refused, limit.told(), {name: len(one) for name, one in held.items()}, content)


#: place of the row, name of the check, why, id of the other row
_Refusals = Iterator[tuple[int, str, str, str]]


def _origin(manifest: Sequence[Mapping[str, Any]], train: Rows, held: Mapping[str, Rows]) -> _Refusals:
    known = set(train.ids)
    others = {name: split for split, rows in held.items() for name in rows.ids}
    for at, told in enumerate(manifest):
        parent = str(told.get("parent") or "")
        if parent in others and (parent not in known or told.get("parent_split") != "train"):
            yield at, "provenance", f"its parent {parent} is a {SPLITS[others[parent]]} sample", parent
        elif parent not in known:
            yield at, "provenance", f"its parent {parent or '(none)'} is no training sample", parent
        elif told.get("parent_split") != "train":
            yield at, "provenance", f"its parent is of the split {told.get('parent_split')!r}, not of train", parent


def _ids(manifest: Sequence[Mapping[str, Any]], rows: Rows, train: Rows, held: Mapping[str, Rows]) -> _Refusals:
    named = bool(rows.id_name) or rows.format == "folders"
    taken = {name: split for split, others in {**held, "train": train}.items() for name in others.ids} if named else {}
    times = Counter(str(told.get("id")) for told in manifest)
    seen = set[str]()
    in_file = Counter(rows.ids)
    for at, told in enumerate(manifest):
        name = str(told.get("id"))
        if times[name] > 1 and name in seen:
            yield at, "ids", f"the id {name} stands there {times[name]} times", name
        elif name in taken:
            yield at, "ids", f"the id {name} is that of a {SPLITS[taken[name]]} sample", name
        elif named and not in_file[name]:
            yield at, "ids", f"the manifest's row {name} is not in the file", name
        elif named and rows.format != "folders" and rows.ids[at] != name:
            yield at, "ids", f"the manifest calls row {at + 1} {name}, the file {rows.ids[at]}", name
        seen.add(name)


def _faithful(
    manifest: Sequence[Mapping[str, Any]], rows: Rows, train: Rows, content: Sequence[str], root: Path
) -> _Refusals:
    """What is said of a row is so: its label is the parent's, a replay is its parent, its hash is its own."""
    place = train.place
    replayed = [
        place[str(told["parent"])] for told in manifest if told.get("kind") == "replay" and told.get("parent") in place
    ]
    unique = sorted(set(replayed))
    own = dict(zip(unique, digests(chosen(train, unique), root) if unique else (), strict=True))
    for at, told in enumerate(manifest):
        parent = place.get(str(told.get("parent")))
        if told.get("sha256") not in (None, content[at]):
            yield at, "hash", "its content is not what the manifest's sha256 is of", ""
        elif parent is not None and not values.same(rows.labels[at], train.labels[parent]):
            reason = f"its label {rows.labels[at]!r} is not its parent's, {train.labels[parent]!r}"
            yield at, "provenance", reason, train.ids[parent]
        elif parent is not None and told.get("kind") == "replay" and own[parent] != content[at]:
            yield at, "provenance", "it is called a copy of its parent and differs from it", train.ids[parent]


def _exact(content: Sequence[str], held: Mapping[str, Rows], root: Path) -> _Refusals:
    for split, rows in held.items():
        theirs = dict(zip(digests(rows, root), rows.ids, strict=True))
        for at, one in enumerate(content):
            if one in theirs:
                yield at, "exact", f"it is equal to the {SPLITS[split]} sample {theirs[one]}", theirs[one]


def _near(rows: Rows, held: Mapping[str, Rows], train: Rows, limit: near.Limits, root: Path) -> _Refusals:
    for split, others in held.items():
        for at, (other, why) in near.found(rows, others, train, limit, root).items():
            yield at, "near", f"it is nearly the {SPLITS[split]} sample {others.ids[other]}: {why}", others.ids[other]


def _schema(rows: Rows, train: Rows) -> _Refusals:
    yield from _labels(rows, train)
    for name, kind in train.kinds.items():
        if kind == "array":
            yield from _arrays(name, rows.columns[name], train.columns[name])
        elif kind == "number":
            yield from _cells(name, rows.columns[name], train.columns[name])
        elif kind == "word":
            known = {str(value) for value in train.columns[name]}
            for at, value in enumerate(rows.columns[name]):
                if str(value) not in known:
                    yield at, "schema", f"{name} is {value!r}, which stands in no training row", ""


def _labels(rows: Rows, train: Rows) -> _Refusals:
    if any(isinstance(label, float | list) for label in train.labels):
        kinds = {type(one).__name__ for one in rows.labels} - {type(one).__name__ for one in train.labels}
        if kinds:
            yield 0, "schema", f"labels are {min(kinds)}, those of train are not", ""
        return
    known = {str(label) for label in train.labels}
    for at, label in enumerate(rows.labels):
        if str(label) not in known and not _is_between(label, train.labels):
            yield at, "schema", f"its label {label!r} stands in no training row", ""


def _is_between(label: Any, known: Sequence[Any]) -> bool:
    """A number among so many different ones that they are no classes."""
    different = {str(one) for one in known}
    return values.number(label) is not None and len(different) > 50 and len(different) > len(known) / 4


def _arrays(name: str, column: Any, train: Any) -> _Refusals:
    import numpy as np

    if column.dtype.kind != train.dtype.kind or (column.dtype != train.dtype and train.dtype.kind not in "US"):
        yield 0, "schema", f"{name} is {column.dtype}, in train {train.dtype}", ""
        return
    if column.shape[1:] != train.shape[1:]:
        yield 0, "schema", f"{name} has the shape {column.shape[1:]}, in train {train.shape[1:]}", ""
        return
    if train.dtype.kind not in "biuf":
        return
    axes = 0 if train.ndim == 2 and train.dtype != np.uint8 else None
    low, high = np.nanmin(train, axis=axes), np.nanmax(train, axis=axes)
    whole = not np.isnan(train).any() if train.dtype.kind == "f" else True
    for at, row in enumerate(column):
        if whole and row.dtype.kind == "f" and not np.isfinite(row).all():
            yield at, "schema", f"{name} holds a number that is not finite", ""
        elif ((row < low) | (row > high)).any():
            yield at, "schema", f"{name} is beyond the range of the training rows", ""


def _cells(name: str, column: Sequence[Any], train: Sequence[Any]) -> _Refusals:
    known = [number(value) for value in train]
    told = [value for value in known if value is not None and value == value]
    whole = all(_is_whole(value) for value in train)
    missing = len(told) < len(train)
    low, high = (min(told), max(told)) if told else (0.0, 0.0)
    slack = 1e-9 * max(abs(low), abs(high))
    for at, value in enumerate(column):
        read = number(value)
        if read is None:
            yield at, "schema", f"{name} is {value!r}, which is no number", ""
        elif read != read or abs(read) == float("inf"):
            if not missing or read == read:
                yield at, "schema", f"{name} is {value!r}: not a finite number", ""
        elif whole and not _is_whole(value):
            yield at, "schema", f"{name} is {value!r}, where train has whole numbers alone", ""
        elif not low - slack <= read <= high + slack:
            yield at, "schema", f"{name} is {value!r}, beyond the training's {low:g} to {high:g}", ""


def _is_whole(value: Any) -> bool:
    """Written as a whole number."""
    return isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdigit())


def again(ws: Workspace, dataset_id: str, name: str, path: Path | None = None, python: str | None = None) -> Report:
    """The checks of an addition that is there, or of one in a folder that is not taken over yet. Raises `InputError`.

    A row without `sha256` in the manifest is not compared with it.
    """
    addition = folders.read_folder(path, name) if path else folders.read(ws, dataset_id, name)
    train = splits.train(ws, dataset_id, python)
    rows = splits.of_addition(addition.folder, train, ws.root)
    rows = splits.where_it_lies(rows, addition.folder, ws.relative(ws.addition(dataset_id, addition.name)))
    return look(ws, addition.manifest["rows"], rows, train, splits.held_out(ws, dataset_id, train, python))
