"""A workspace apart: where a version's script is trained beside the versions, and leaves what is that training's own.

Scripts look for things beside themselves, so the version's script, its config files, all modules and the evaluator are
files of their own there, not links. Everything else of the user's top level is a link, but for what trainings write:
two trainings must never write into one folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from progtrain.engine.experiment.placing import leading
from progtrain.engine.files import LineReader, read_bytes
from progtrain.engine.hooks import record_of
from progtrain.engine.loop.steps import evaluate
from progtrain.engine.workspace import Workspace, version_number

#: where packages write by themselves, in the workspace's top level
_RESULTS = frozenset(
    {"checkpoints", "lightning_logs", "logs", "mlruns", "multirun", "outputs", "runs", "tb_logs", "tensorboard"}
    | {"trainer_output", "wandb"}
)
_CACHES = frozenset({"__pycache__"})
#: a folder with more in it is one of data, whatever else it has
_MOST_ENTRIES = 500
_MOST_BYTES = 1024 * 1024


def files(ws: Workspace, own: Workspace, texts: Mapping[Path, str]) -> dict[Path, str]:
    """What is a file of its own in `own`: path -> text. `texts`: those of the version, under their paths in `ws`."""
    missing = evaluate.missing(ws.eval_script)
    copied = [path for path in (ws.rules, ws.instruction, ws.eval_script) if path.is_file()]
    copied += sorted(ws.eval_modules.glob("*.py"))
    copied += [entry for entry, kind in _entries(ws, texts) if kind == "module"]
    found = {path: _text(path) for path in copied} | {path: _text(source) for path, source in missing.items()}
    found |= texts
    return {own.root / path.relative_to(ws.root): text for path, text in found.items() if text is not None}


def links(ws: Workspace, own: Workspace, texts: Mapping[Path, str]) -> dict[Path, Path]:
    """Path in `own` -> where it leads: what is the user's."""
    found = {own.root / path.relative_to(ws.root): path for path, kind in _entries(ws, texts) if kind == "link"}
    return {path: leading(path, target) for path, target in found.items()}


def _text(path: Path) -> str | None:
    """With its own ends of lines; None for what is no text."""
    try:
        return read_bytes(path, _MOST_BYTES).decode("utf-8") if path.stat().st_size <= _MOST_BYTES else None
    except UnicodeDecodeError:
        return None


def _entries(ws: Workspace, texts: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    """What of the user's workspace a run is given besides the version itself, and how: "module" or "link"."""
    written = written_by_trainings(ws)
    left_out = {ws.artifacts.parent, ws.experiments, ws.own, ws.eval_modules, ws.rules, ws.instruction, ws.eval_script}
    for entry in sorted(ws.root.iterdir()):
        name = entry.name
        hidden = name.startswith(".") and entry.is_dir()
        other = _is_version(name) and not any(path.is_relative_to(entry) for path in texts)
        if entry in left_out or hidden or other or name in _RESULTS:
            continue
        yield from _entry(entry, texts, frozenset() if entry == ws.root / "dataset" else written)


def _entry(entry: Path, texts: Mapping[Path, str], written: frozenset[Path]) -> Iterator[tuple[Path, str]]:
    if entry in texts or entry.name in _CACHES:
        return
    holds = any(path.is_relative_to(entry) for path in texts)
    if entry.is_dir() and (holds or _has_modules(entry)):
        for inner in sorted(entry.iterdir()):
            yield from _entry(inner, texts, written)
    elif not any(path.is_relative_to(entry) for path in written):
        yield entry, "module" if entry.suffix == ".py" and entry.is_file() and _text(entry) is not None else "link"


def _has_modules(folder: Path) -> bool:
    """A folder of code: its modules look for things beside themselves too."""
    found = False
    for count, entry in enumerate(os.scandir(folder)):
        if count >= _MOST_ENTRIES:
            return False
        found = found or entry.name.endswith(".py")
    return found


def _is_version(name: str) -> bool:
    """A script of another version, or its copies of modules."""
    version = name.removeprefix("02_train_").removesuffix(".py").removesuffix("_src")
    return name.startswith("02_train_") and (version_number(version) is not None or version == "baseline")


def written_by_trainings(ws: Workspace) -> frozenset[Path]:
    """Files and folders where earlier trainings of this workspace put their results, as the hooks saw it."""
    kinds = ("weights", "table", "settings_written")
    return frozenset(path for version in ws.versions() for path in results_of(ws, version, kinds))


def results_of(ws: Workspace, version: str, kinds: Collection[str] = ("weights",)) -> list[Path]:
    """Where a training's loggers and checkpoints went, and files of these kinds, as the hooks saw it."""
    record, found = record_of(ws, version), []
    for held in (*(record.get("checkpoints") or []), *(record.get("loggers") or [])):
        if isinstance(held, dict):
            named = (held.get(key) for key in ("dirpath", "best_model_path", "last_model_path", "log_dir"))
            found += [ws.root / str(path) for path in named if path]
    told = LineReader(ws.saves(version)).read()
    found += [Path(str(line.get("path"))) for line in told if line.get("kind") in kinds]
    return [Path(os.path.normpath(path)) for path in found]
