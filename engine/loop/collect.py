"""What a training left where it likes, brought to where the convention wants it.

The live hooks keep a record of each training (`engine/live/progtrain_record.py`): where its checkpoint callbacks and
loggers have written, and a curve of all that the module logged. What is missing in the version's folder is copied from
there, never moved; what the script put there itself stays as it is.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from pathlib import Path
from typing import Any

from progtrain.engine.files import LineReader, lines_of, storage_errors, write_text
from progtrain.engine.hooks import record_of
from progtrain.engine.script import printed, probe, version_files
from progtrain.engine.script.names import canonical
from progtrain.engine.script.settings import find_settings, values_of
from progtrain.engine.text import tail
from progtrain.engine.values import same
from progtrain.engine.workspace import VersionFolder, Workspace
from progtrain.engine.yaml_text import as_yaml

#: in the names of files
_BEST = re.compile(r"best", re.IGNORECASE)
#: bytes of a training's output that are read for numbers, from its end
_MOST_OUTPUT = 32_000_000
_LAST = re.compile(r"last|final|latest", re.IGNORECASE)


def collect(ws: Workspace, version: str, output: Path) -> tuple[list[str], list[str]]:
    """Fills the version's folder. Gives what was brought there, and which files this training does not make.

    `output` is what the training printed. Raises `StorageError` when the disk is full.
    """
    folder, record = ws.version(version), record_of(ws, version)
    brought: list[str] = []
    with storage_errors(folder.path):
        for name, found in (_checkpoints(ws, version, record) if record else _saved(ws, version)).items():
            target = folder.path / name
            if not target.exists() and found is not None:
                brought += _bring(ws, found, target)
        if not _has_log(folder, "metrics.csv"):
            brought += _curve(ws, version, folder, record) or _table(ws, version, folder) or _printed(output, folder)
        if not _has_log(folder, "hparams.yaml"):
            brought += _settings(ws, version, folder, record)
    there = folder.best_checkpoint.exists()
    spared = [name for name in ("last.ckpt",) if there and not (folder.path / name).exists()]
    # a loop of the script's own may keep its numbers to itself
    spared += [name for name in ("metrics.csv",) if there and not record and not _has_log(folder, name)]
    return brought, spared


def _checkpoints(ws: Workspace, version: str, record: dict[str, Any]) -> dict[str, Path | None]:
    """The best one is that of the callback that monitors something; the last of several such is the script's."""
    listed = [c for c in record.get("checkpoints") or [] if isinstance(c, dict)]
    listed.sort(key=lambda c: c.get("monitor") is not None)
    weights = ws.weights(version)
    best, last = weights / "best.ckpt", weights / "last.ckpt"
    found = {
        "best.ckpt": best if best.is_file() else None,
        "last.ckpt": last if last.is_file() else None,
    }
    for callback in listed:
        for name, key in (("best.ckpt", "best_model_path"), ("last.ckpt", "last_model_path")):
            path = ws.root / str(callback.get(key) or "")
            if callback.get(key) and path.is_file():
                found[name] = path
    return found


def _saved(ws: Workspace, version: str) -> dict[str, Path | None]:
    """What a loop of the script's own saved: by what the files are called, else the one saved last."""
    paths = _told(ws, version, "weights")
    best = next((path for path in paths if _BEST.search(path.name)), None)
    last = next((path for path in paths if _LAST.search(path.name)), None)
    final = last or next((path for path in paths if path != best), None)
    return {"best.ckpt": best or final, "last.ckpt": final}


def _told(ws: Workspace, version: str, kind: str) -> list[Path]:
    """Files of that kind that a loop of the script's own wrote and that are there, the newest first."""
    told = [line for line in LineReader(ws.saves(version)).read() if line.get("kind") == kind]
    paths = dict.fromkeys(Path(str(line.get("path"))) for line in reversed(told))
    return [path for path in paths if path.is_file()]


def _table(ws: Workspace, version: str, folder: VersionFolder) -> list[str]:
    """A curve that a loop of the script's own writes: a table with a loss."""
    path = next((path for path in _told(ws, version, "table") if _is_curve(path)), None)
    return [] if path is None else _bring(ws, path, folder.logs / "version_0" / "metrics.csv")


def _printed(output: Path, folder: VersionFolder) -> list[str]:
    """A curve of what it printed of each epoch."""
    rows = printed.epochs(tail(output, _MOST_OUTPUT))
    if not rows:
        return []
    text = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    table = csv.DictWriter(text, list(names), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(folder.logs / "version_0" / "metrics.csv", text.getvalue())
    return [f"metrics.csv from what it printed ({', '.join(names)})"]


def _is_curve(path: Path) -> bool:
    names = next(csv.reader(lines_of(path)), [])
    return any("loss" in name.casefold() for name in names) and _has_rows(path)


def _curve(ws: Workspace, version: str, folder: VersionFolder, record: dict[str, Any]) -> list[str]:
    target = folder.logs / "version_0" / "metrics.csv"
    if (path := _of_logger(ws, record, "metrics.csv")) is not None:
        return _bring(ws, path, target)
    curve = ws.curve(version)
    if not curve.is_file() or not _has_rows(curve):
        return []
    _copy(curve, target)
    return ["metrics.csv from what the module logged"]


def _of_logger(ws: Workspace, record: dict[str, Any], name: str) -> Path | None:
    """A file that one of the script's loggers has written, with something in it."""
    folders = [ws.root / str(logger["log_dir"]) for logger in record.get("loggers") or [] if logger.get("log_dir")]
    found = (folder / name for folder in folders)
    return next((path for path in found if path.is_file() and path.stat().st_size > len("{}\n")), None)


def _bring(ws: Workspace, source: Path, target: Path) -> list[str]:
    _copy(source, target)
    return [f"{target.name} from {ws.relative(source)}"]


def _has_rows(path: Path) -> bool:
    return sum(1 for _, row in zip(range(2), csv.reader(lines_of(path)), strict=False) if row) == 2


def _settings(ws: Workspace, version: str, folder: VersionFolder, record: dict[str, Any]) -> list[str]:
    target = folder.log_dirs()[-1] if folder.log_dirs() else folder.logs / "version_0"
    if (path := _of_logger(ws, record, "hparams.yaml")) is not None:
        return _bring(ws, path, target / "hparams.yaml")
    found = find_settings(version_files.read(ws, version))
    counts, filed = values_of(found), {s.key for s in found if s.file}
    written = {s.name: s.value for s in found if not s.file and (s.key not in filed or same(s.value, counts[s.key]))}
    written |= {key: value for key, value in counts.items() if key in filed and key not in map(canonical, written)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in written.items()}
    used = probe.used(record) if record else plain
    write_text(target / "hparams.yaml", as_yaml(used))
    return [f"hparams.yaml from what the {'training used' if record else 'script says'}"]


def _has_log(folder: VersionFolder, name: str) -> bool:
    return any((log / name).is_file() for log in folder.log_dirs())


def _copy(source: Path, target: Path) -> None:
    """All of it or nothing. No hard link: a script that saves there again writes into the same file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
