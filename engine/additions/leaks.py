"""Whether validation and test rows stand in the training split itself, exactly or nearly: scores then flatter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from progtrain.engine import prepared_data
from progtrain.engine.additions import near, own, splits, vectors
from progtrain.engine.additions.checks import SPLITS
from progtrain.engine.additions.tools.progtrain_additions_rows import FormatError, Rows, chosen, digests
from progtrain.engine.errors import InputError
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace

#: more bytes are not read, more multiplications not done, where somebody waits
_BYTES, _WORK = 64 * 1024 * 1024, 2e10
_ROWS, _PICTURES = 100_000, 5000
#: of a clean split about one row in a hundred is as near to a training row as the limit says; of texts fewer
_MANY, _SHARE, _SHARE_OF_TEXTS = 3, 0.05, 0.02
_NAMED = 3


class Leaks(NamedTuple):
    """Of one split: ids of its rows -> id of the training row that each is, or nearly is. None: not looked for."""

    split: str
    rows: int
    exact: dict[str, str]
    near: dict[str, str] | None
    texts: bool = False

    @property
    def many_near(self) -> bool:
        """More than chance: beyond three standard deviations of a share that a clean split may have."""
        count, share = len(self.near or ()), _SHARE_OF_TEXTS if self.texts else _SHARE
        spread = (share * (1 - share) * self.rows) ** 0.5
        return count >= _MANY and count >= share * self.rows + 3 * spread


def told(
    ws: Workspace, dataset_id: str, python: str | None = None
) -> Iterator[tuple[Literal["ok", "note", "warning"], str, str]]:
    """State, text and fix for `progtrain check`; nothing where the data have no two splits."""
    if not all(ws.split(dataset_id, name).is_dir() for name in ("train", "valid")):
        return
    size = prepared_data.bytes_of(ws, dataset_id, SPLITS)
    if size > _BYTES:
        text = f"the splits hold {size / 2**20:,.0f} MiB: rows that stand in more than one are not looked for"
        yield "note", text, ""
        return
    try:
        found = look(ws, dataset_id, python)
        if own.is_used(ws):
            own.tried(ws, dataset_id, splits.train(ws, dataset_id, python), python)
            yield "ok", f"rows are read and written by {ws.rows_script.name}", ""
    except InputError as error:
        if error.file == str(ws.rows_script):
            yield "warning", f"no rows can be added: {clean_line(error.located)}", error.fix or ""
        else:
            yield "note", f"rows that stand in more than one split are not looked for: {clean_line(error.reason)}", ""
        return
    clean = True
    for leak in found:
        for line in _lines(leak):
            clean = False
            fix = "part the data anew, each row (and all made from it) in one split: scores look better than they are"
            yield "warning", line, fix
    if clean:
        apart = " and ".join(f"{leak.rows} {SPLITS[leak.split]}" for leak in found)
        far = "" if all(leak.near is not None for leak in found) else "; nearly equal rows were not looked for"
        yield "ok", f"none of the {apart} rows stands in the training rows{far}", ""


def _lines(leak: Leaks) -> Iterator[str]:
    what = SPLITS[leak.split]
    if leak.exact:
        yield f"{len(leak.exact)} of {leak.rows} {what} rows stand in the training rows: {_few(leak.exact)}"
    if leak.many_near and leak.near:
        yield f"{len(leak.near)} of {leak.rows} {what} rows are nearly training rows: {_few(leak.near)}"


def _few(pairs: Mapping[str, str]) -> str:
    shown = [f"{one} is {other}" for one, other in list(pairs.items())[:_NAMED]]
    return clean_line(", ".join(shown) + (" ..." if len(pairs) > _NAMED else ""))


def look(ws: Workspace, dataset_id: str, python: str | None = None) -> list[Leaks]:
    """Of validation and test rows. Raises `InputError` where the format is not known, or there are too many rows."""
    train = splits.train(ws, dataset_id, python)
    most = _PICTURES if "picture" in train.kinds.values() else _ROWS
    if len(train) > most:
        raise InputError(f"there are more than {most:,} training rows")
    try:
        content = dict(zip(digests(train, ws.root), train.ids, strict=True))
        held = splits.held_out(ws, dataset_id, train, python)
        return [_of(ws, name, rows, train, content) for name, rows in held.items()]
    except FormatError as error:
        raise InputError(str(error), file=ws.data(dataset_id)) from error


def _of(ws: Workspace, name: str, rows: Rows, train: Rows, content: Mapping[str, str]) -> Leaks:
    same = {row: content[one] for row, one in zip(rows.ids, digests(rows, ws.root), strict=True) if one in content}
    rest = chosen(rows, [at for at, row in enumerate(rows.ids) if row not in same])
    said = vectors.texts(rest) if len(rest) else None
    if said is not None:
        pairs: dict[int, Any] = {}
        for at, (other, _) in near.contained(vectors.texts(train) or [], said).items():
            pairs.setdefault(other, at)
        return Leaks(name, len(rows), same, {rest.ids[one]: train.ids[at] for one, at in sorted(pairs.items())}, True)
    width = vectors.width(train)
    if len(rest) * len(train) * width > _WORK:
        return Leaks(name, len(rows), same, None)
    found = near.found(rest, train, train, near.limits(train, ws.root), ws.root) if len(rest) else {}
    return Leaks(name, len(rows), same, {rest.ids[one]: train.ids[at] for one, (at, _) in found.items()})
