"""The folders of additions: named by a counter, written whole or not at all, read back only as they were written."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_json, sha256, storage_errors, try_read_json, write_json
from progtrain.engine.metrics import count
from progtrain.engine.modes import copy_file
from progtrain.engine.workspace import Folder, Workspace, inside

_NAME = re.compile(r"a\d{3,}")
_KEYS = ("addition", "dataset_id", "made_from", "counts", "rows")
#: and of one that is in use, whose counts are of these
_SHOWN, _KINDS = ("focus", "focus_by", "hard_by", "operations", "seed"), ("base", "augment", "replay")
_AGAIN = "make a new one (progtrain additions make), or put the file back as it was"
#: seconds after which what an interrupted start left behind is cleared away
_OLD = 3600


class AdditionFolder(Folder):
    """`dataset/additions/digits_v1/a001/`: rows that versions may train with besides, made from training rows."""

    manifest = inside("path", "manifest.json")
    #: what was checked, and what each file of the folder holds; written last
    checks = inside("path", "checks.json")
    #: the rows under the name that they have in the training split, for scripts that read a split's folder
    as_split = inside("path", "train")
    #: the rows in the user's own format, where 05_rows.py writes one
    own = inside("path", "own")
    #: pictures that a table of them names
    pictures = inside("path", "pictures")

    @property
    def rows(self) -> Path:
        """`rows.npz`, `rows.csv`, `rows.jsonl` or the folder `rows/`."""
        names = ("rows.npz", "rows.csv", "rows.jsonl")
        return next((self.path / name for name in names if (self.path / name).exists()), self.path / "rows")


class Addition(NamedTuple):
    """One that is whole: `manifest` and `checks` as the files have them."""

    name: str
    folder: AdditionFolder
    manifest: dict[str, Any]
    checks: dict[str, Any]

    def __len__(self) -> int:
        return len(self.manifest["rows"])


def _are(*keys: str) -> Callable[[Any], bool]:
    """A list of objects with these, none of which is a list or an object itself but a label."""

    def check(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(one, dict)
            and all(key in one and (key == "label" or not isinstance(one[key], dict | list)) for key in keys)
            for one in value
        )

    return check


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


#: what is told of an addition is shown, counted and compared in many places
_MANIFEST: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("addition", "dataset_id", "made_from", "focus_by", "hard_by"), _is_text),
    "counts": lambda held: isinstance(held, dict) and all(count(number) is not None for number in held.values()),
    "rows": _are("id", "kind", "operation", "parent", "label"),
    "focus": _are("slice", "metric", "value"),
    "operations": lambda held: isinstance(held, list | dict) and all(map(_is_text, held)),
    "meant": lambda held: held is None or isinstance(held, dict),
}
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "refused": _are("row", "reason"),
    "suspects_left_out": lambda held: isinstance(held, list),
}


def names(ws: Workspace, dataset_id: str) -> list[str]:
    """Of all additions, the first made first. What was being made when its process ended is none."""
    place = ws.additions(dataset_id)
    found = [path.name for path in place.iterdir() if _NAME.fullmatch(path.name)] if place.is_dir() else []
    return sorted(found, key=lambda name: int(name[1:]))


def free_name(ws: Workspace, dataset_id: str) -> str:
    """The one that the next addition gets."""
    there = names(ws, dataset_id)
    return f"a{int(there[-1][1:]) + 1 if there else 1:03d}"


def read(ws: Workspace, dataset_id: str, name: str) -> Addition:
    """Raises `InputError` where there is none of that name, or its files are not as they were written."""
    if name not in (there := names(ws, dataset_id)):
        fix = f"additions are: {', '.join(there)}" if there else "progtrain additions make v001 makes one"
        raise InputError(f"there is no addition {name!r}", file=ws.additions(dataset_id), fix=fix)
    return read_folder(ws.addition(dataset_id, name), name)


def read_folder(path: Path, name: str = "") -> Addition:
    """Of an addition wherever it lies. Raises `InputError`."""
    folder = AdditionFolder(path)
    if not name and not (folder.checks.is_file() and folder.manifest.is_file()):
        # any folder of the user's: it is not said that it may be removed
        fix = "name one that progtrain additions make has made, with manifest.json and checks.json"
        raise InputError("there is no addition in this folder", file=path, fix=fix)
    if not folder.checks.is_file():
        reason = "it is half an addition: its checks.json is missing"
        raise InputError(reason, file=path, fix="remove the folder; progtrain additions make makes another")
    checks, manifest = _object(folder.checks), _object(folder.manifest)
    _see_files(folder, checks)
    missing = [key for key in _KEYS if key not in manifest]
    if missing:
        reason = f"it is no manifest of an addition: {', '.join(missing)} is missing"
        raise InputError(reason, file=folder.manifest, fix=_AGAIN)
    for path, told, forms in ((folder.manifest, manifest, _MANIFEST), (folder.checks, checks, _CHECKS)):
        for key, is_right in forms.items():
            if key in told and not is_right(told[key]):
                raise InputError(f"its `{key}` has another form than progtrain writes", file=path, fix=_AGAIN)
    missing = [key for key in _SHOWN if key not in manifest] + [
        kind for kind in _KINDS if kind not in manifest["counts"]
    ]
    if name and missing:
        reason = f"it is no manifest of an addition in use: {', '.join(missing)} is missing"
        raise InputError(reason, file=folder.manifest, fix=_AGAIN)
    if name and manifest["addition"] != name:
        reason = f"it is the manifest of {manifest['addition']!r}, in the folder of {name}"
        raise InputError(reason, file=folder.manifest, fix="put the folder back under its own name")
    return Addition(str(manifest["addition"]), folder, manifest, checks)


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError("it holds no JSON object", file=path, fix=_AGAIN)
    return value


def _see_files(folder: AdditionFolder, checks: Mapping[str, Any]) -> None:
    told = checks.get("files")
    if not isinstance(told, dict) or not told:
        raise InputError("it does not say which files the addition has", file=folder.checks, fix=_AGAIN)
    there = {path.relative_to(folder.path).as_posix(): path for path in files_of(folder)}
    for name in sorted(told.keys() | there.keys()):
        if name not in there:
            raise InputError("a file of the addition is missing", file=folder.path / name, fix=_AGAIN)
        if name not in told:
            raise InputError("the addition was not made with this file", file=there[name], fix="remove it")
        if sha256(there[name]) != told[name]:
            raise InputError("it was changed after the addition was made", file=there[name], fix=_AGAIN)
    for copied in (path for path in _below(folder.as_split) if not path.is_symlink()):
        own = f"{folder.own.name}/{copied.relative_to(folder.as_split).as_posix()}"
        if folder.rows.is_file() and sha256(copied) != told.get(own, told.get(folder.rows.name)):
            raise InputError("it was changed after the addition was made", file=copied, fix=_AGAIN)


def files_of(folder: AdditionFolder) -> Iterator[Path]:
    """All that its checks answer for: not `checks.json` itself, and not the second name of the rows."""
    for path in _below(folder.path):
        if path != folder.checks and not path.is_relative_to(folder.as_split):
            yield path


def _below(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else []


def sha256_of(ws: Workspace, dataset_id: str, name: str) -> str:
    """A digest of an addition as it was made. Raises `InputError` where it is not as it was."""
    return sha256(read(ws, dataset_id, name).folder.checks)


def finish(path: Path, file_in_split: str, checks: Mapping[str, Any]) -> None:
    """Of a folder with rows and manifest: the second name of its rows, and last of all its checks."""
    folder = AdditionFolder(path)
    name_as_split(folder, file_in_split)
    told = {one.relative_to(path).as_posix(): sha256(one) for one in files_of(folder)}
    write_json(folder.checks, {**checks, "files": told})


def name_as_split(folder: AdditionFolder, file_in_split: str) -> None:
    """Gives the rows the name that they have in the training split."""
    if folder.own.is_dir():
        folder.as_split.symlink_to(folder.own.name)
    elif file_in_split:
        folder.as_split.mkdir(exist_ok=True)
        (folder.as_split / file_in_split).symlink_to(Path("..") / folder.rows.name)
    else:
        folder.as_split.symlink_to(folder.rows.name)


def alike(ws: Workspace, made: Addition) -> str:
    """The name of one that is there and was made from the same rows in the same way; empty where there is none."""
    rows = _without_ids(made.manifest)
    for name in names(ws, str(made.manifest["dataset_id"])):
        manifest = try_read_json(ws.addition(str(made.manifest["dataset_id"]), name) / "manifest.json")
        if manifest is not None and _without_ids(manifest) == rows:
            return name
    return ""


def _without_ids(manifest: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    rows = manifest.get("rows")
    return [{**row, "id": ""} for row in rows] if isinstance(rows, list) else None


def put(ws: Workspace, made: Path) -> Addition:
    """Copies an addition that was made elsewhere to its place: under another name first, then all at once.

    Its files can be read only from then on. Raises `InputError` where it is not as it was made, or its name is taken;
    `StorageError`.
    """
    addition = read_folder(made)
    dataset_id = str(addition.manifest["dataset_id"])
    target = ws.addition(dataset_id, addition.name)
    taken = InputError(f"{addition.name} has been made meanwhile", file=target, fix="make it again")
    if target.exists():
        raise taken
    with storage_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        clear(target.parent, ".a[0-9]*")
        whole = Path(tempfile.mkdtemp(prefix=f".{addition.name}.", dir=target.parent))
        try:
            shutil.copytree(made, whole, symlinks=True, dirs_exist_ok=True, copy_function=copy_file)
            whole.chmod(target.parent.stat().st_mode)
            for path in (path for path in _below(whole) if not path.is_symlink()):
                path.chmod(0o444)
                _sync(path)
            try:
                whole.rename(target)
            except OSError as error:
                if target.exists():
                    raise taken from error
                raise
            _sync(target.parent)
        finally:
            shutil.rmtree(whole, ignore_errors=True)
    return read(ws, dataset_id, addition.name)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear(place: Path, *patterns: str) -> None:
    """What processes left that were ended while they wrote, an hour and more before what lies there newest."""
    changed = {path: path.lstat().st_mtime for path in place.iterdir()}
    for path in (path for pattern in patterns for path in place.glob(pattern)):
        if max(changed.values()) - changed.get(path, 0.0) > _OLD:
            shutil.rmtree(path, ignore_errors=True)
