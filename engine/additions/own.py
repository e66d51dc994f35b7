"""Rows in a format of the user's own, read and written by two functions in the workspace's 05_rows.py.

    read_rows(folder)           all rows of a split's folder, each a dict of its columns
    write_rows(rows, folder)    writes such rows into a folder, in files named as those of the training split

Both run in a child process of the user's interpreter, which sees one split at a time. What is read is kept below
`.progtrain/additions/rows/` in a known format until the file or the split changes; all else works with that.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import prepared_data, values
from progtrain.engine.additions import folder as folders
from progtrain.engine.additions import stage
from progtrain.engine.additions.folder import AdditionFolder
from progtrain.engine.additions.tools.progtrain_additions_rows import FormatError, Rows, chosen, number, read, write
from progtrain.engine.control.launch import named_python
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import sha256, sha256_text, storage_errors
from progtrain.engine.json_text import loaded
from progtrain.engine.text import clean_line, last_line
from progtrain.engine.workspace import Workspace

_TOOL = Path(__file__).parent / "tools" / "progtrain_additions_own.py"
_FIX = "see {}() there: progtrain docs evidence says what it is given and gives"
#: what a format may round: of a number, and of its column's range
_ROUNDED = 0.01
#: rows that are written and read to see whether both functions agree
_TRIED = 20


def is_used(ws: Workspace) -> bool:
    return ws.rows_script.is_file()


def place(ws: Workspace, dataset_id: str, split: str, python: str | None = None) -> Path:
    """The folder that has the rows of a split in a format that is known: its own, or what 05_rows.py reads of it.

    `python`: interpreter of the user's scripts. Raises `InputError`.
    """
    if not is_used(ws):
        return ws.split(dataset_id, split)
    train = place(ws, dataset_id, "train", python) if split != "train" else None
    told = (sha256(ws.rows_script), prepared_data.split_sha256(ws, dataset_id, split), train and train.name)
    kept = ws.making / "rows" / f"{dataset_id}-{split}-{sha256_text(json.dumps(told))[:16]}"
    if kept.is_dir():
        return kept
    with stage.stage(ws, dataset_id, (split,), scripts=True) as root:
        _run(ws, python, root, "read", ws.relative(ws.split(dataset_id, split)), "out", *_like(train))
        with storage_errors(kept.parent):
            kept.parent.mkdir(exist_ok=True)
            folders.clear(kept.parent, "*")
            try:
                (root / "out").rename(kept)
            except OSError:
                if not kept.is_dir():  # nobody else has read it meanwhile
                    raise
    return kept


def _like(train: Path | None) -> Sequence[str]:
    return () if train is None else (str(train.absolute()),)


def through(ws: Workspace, dataset_id: str, name: str, path: Path, train: Rows, python: str | None) -> None:
    """Has the rows of an addition in the user's own format too, where there is one: `path` gets the folder `own`, and
    its rows are then what can be read of that. `name`: of the addition. Raises `InputError`.
    """
    if not is_used(ws):
        return
    folder, kept = AdditionFolder(path), place(ws, dataset_id, "train", python)
    rows = _read(ws, path, train)
    with stage.stage(ws, dataset_id, ("train",), scripts=True) as root, storage_errors(path):
        stage.show_pictures(ws, train, root)
        link = root / ws.relative(ws.addition(dataset_id, name))
        link.parent.mkdir(parents=True)
        link.symlink_to(path.absolute())
        (root / "rows").mkdir()
        shutil.copyfile(folder.rows, root / "rows" / folder.rows.name)
        shutil.copyfile(kept / "types.json", root / "rows" / "types.json")
        written = root / "written" / "train"
        written.mkdir(parents=True)
        _run(ws, python, root, "write", "rows", "written/train")
        _see_names(ws, dataset_id, written)
        _run(ws, python, root, "read", "written/train", "out", str(kept.absolute()))
        _see_alike(ws, rows, _read(ws, root / "out", train))
        shutil.rmtree(folder.own, ignore_errors=True)
        shutil.move(written, folder.own)
        shutil.move(root / "out" / folder.rows.name, folder.rows)


def tried(ws: Workspace, dataset_id: str, train: Rows, python: str | None) -> None:
    """Whether both functions agree, by the first rows of the training. Raises `InputError`."""
    with stage.stage(ws, dataset_id, (), scripts=False) as root:
        write(chosen(train, range(min(len(train), _TRIED))), root / "out")
        through(ws, dataset_id, "a000", root / "out", train, python)


def _read(ws: Workspace, path: Path, train: Rows) -> Rows:
    try:
        return read(path, {}, train, ws.root)
    except FormatError as error:
        raise InputError(str(error), file=ws.rows_script, fix=_FIX.format("read_rows")) from error


def _run(ws: Workspace, python: str | None, root: Path, what: str, *paths: str) -> None:
    exe = python or named_python(ws) or sys.executable
    fix = _FIX.format(f"{what}_rows")
    try:
        done = stage.run([exe, str(_TOOL), what, ws.rows_script.name, *paths], root, ws.rows_script.name)
    except StepFailed as error:
        raise InputError(error.reason, file=ws.rows_script, fix=fix) from error
    if not done.returncode:
        return
    said = last_line(done.stderr)
    try:
        told = loaded(said)
        at, reason = str(told["place"]), str(told["reason"])
    except (ValueError, TypeError, KeyError):
        at, reason = "", f"{what}_rows() ended with exit code {done.returncode}: {said}"
    raise InputError(clean_line(reason), file=ws.rows_script, place=at or None, fix=fix)


def _see_names(ws: Workspace, dataset_id: str, written: Path) -> None:
    """A script finds rows under the names that they have in its split's folder."""
    split = ws.split(dataset_id, "train")
    mine, theirs = ({p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file()} for top in (written, split))
    if mine & theirs:
        return
    reason = f"write_rows() wrote {', '.join(sorted(mine)[:3]) or 'nothing'}: no file is called as one of train/ is"
    fix = f"write the rows as {', '.join(sorted(theirs)[:3])}, so that load_split(split) finds them"
    raise InputError(clean_line(reason), file=ws.rows_script, fix=clean_line(fix))


def _see_alike(ws: Workspace, given: Rows, back: Rows) -> None:
    """Raises `InputError` where what is read is not what was written: each row in its place, numbers but rounded."""
    reason = f"{len(given)} rows were written and {len(back)} read again" if len(given) != len(back) else ""
    for at, (one, other) in enumerate(zip(given.ids, back.ids, strict=False)):
        if not reason and one != other:
            reason = f"row {at + 1} is {one} and is read again as {other}"
        elif not reason and not values.same(given.labels[at], back.labels[at]):
            reason = f"{given.label_name} of {one} is {given.labels[at]!r} and is read again as {back.labels[at]!r}"
    for name, kind in given.kinds.items() if not reason else ():
        if (place := _differs(given.columns[name], back.columns[name], kind)) is not None:
            reason = f"{name} of {given.ids[place]} is read again as something else"
    if reason:
        fix = "have read_rows() give what write_rows() was given"
        raise InputError(
            clean_line(f"write_rows() and read_rows() don't agree: {reason}"), file=ws.rows_script, fix=fix
        )


def _differs(given: Sequence[Any], back: Sequence[Any], kind: str) -> int | None:
    """Place of the first row whose value has changed by more than rounding."""
    import numpy as np

    numeric = kind == "number" or (kind == "array" and getattr(given, "dtype", np.dtype("U")).kind in "biuf")
    if not numeric:
        return next(
            (at for at, (one, other) in enumerate(zip(given, back, strict=True)) if not _equal(one, other)), None
        )
    one, other = (np.asarray([number(v) for v in c] if kind == "number" else c, np.float64) for c in (given, back))
    if one.shape != other.shape:
        return 0
    finite = one[np.isfinite(one)]
    slack = _ROUNDED * float(np.ptp(finite)) if finite.size else 0.0
    with np.errstate(invalid="ignore"):  # infinite ones, which are equal
        near = np.abs(one - other) <= slack + _ROUNDED * np.abs(one)
    fits = (near | (one == other) | (np.isnan(one) & np.isnan(other))).reshape(len(one), -1).all(axis=1)
    return None if fits.all() else int(np.argmin(fits))


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) or values.same(one, other)
