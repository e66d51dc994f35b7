"""A version as a folder for a hub of models: card, checkpoint, script, what it was measured with, and checksums.

Nothing is sent anywhere. The folder appears whole or not at all, and nothing that is there is written over.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from progtrain.engine import prepared_data
from progtrain.engine.additions import folder as additions
from progtrain.engine.additions.folder import Addition
from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in, read_json, sha256, storage_errors, write_text
from progtrain.engine.schema import EvalScore, validate
from progtrain.engine.script import version_files
from progtrain.engine.script.settings import find_settings, values_of
from progtrain.engine.text import clean_line
from progtrain.engine.trackers import publish_card, runs
from progtrain.engine.trackers.publish_card import DATA, TODO, Split
from progtrain.engine.trackers.runs import Run
from progtrain.engine.workspace import Workspace

SUMS = "SHA256SUMS"
#: how the folder is called as long as it is not whole
_HALF = ".publishing"
_MOST_TOLD = 5
_SPLITS = ("train", "valid", "test")


class Published(NamedTuple):
    folder: Path
    #: path in the folder, bytes, sha256
    files: tuple[tuple[str, int, str], ...]
    #: card -> what a person has to fill in there, as it stands there
    to_fill_in: Mapping[str, tuple[str, ...]]
    #: what a reader should know of it
    notes: tuple[str, ...]


def publish(ws: Workspace, version: str, to: Path | None = None, *, data: bool = False) -> Published:
    """Raises `InputError` for a version that was not trained and evaluated as its files stand, for a folder that is
    there, and with `data` for data that do not lie in the workspace."""
    spec, score = _evaluated(ws, version)
    dataset_id = str(spec.get("dataset_id") or score.dataset_id)
    target = (to or ws.published(version)).absolute()
    if target.exists() or target.is_symlink():
        raise InputError(
            "it is there already", file=target, place="--to", fix="name a folder that is not, or remove it"
        )
    if data:
        _data_here(ws, dataset_id)
    lineage = _lineage(ws, version)
    used = _additions(ws, version, dataset_id, spec)
    splits = _splits(ws, dataset_id, spec, score)
    with storage_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        making = Path(tempfile.mkdtemp(prefix=f".{target.name}.{os.getpid()}.", suffix=_HALF, dir=target.parent))
        links: list[Path] = []
        try:
            _copy_model(ws, version, making)
            card = publish_card.model(ws, lineage, spec, score, splits, used, data)
            write_text(making / "README.md", card)
            cards = {"README.md": card}
            if data:
                links = _copy_data(ws, dataset_id, used, making / DATA)
                cards[f"{DATA}/README.md"] = publish_card.data(ws, dataset_id, spec, splits, used)
                write_text(making / DATA / "README.md", cards[f"{DATA}/README.md"])
                _sums(making / DATA)
            files = _sums(making)
            making.chmod(0o755)
            making.rename(target)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    notes = _notes(ws, dataset_id, used, links)
    return Published(target, files, {name: _todo(card) for name, card in cards.items()}, notes)


def _sweep(target: Path) -> None:
    """Removes what one that was killed has left."""
    name = re.compile(re.escape(f".{target.name}.") + r"(\d+)\..*" + re.escape(_HALF))
    for path in target.parent.iterdir():
        made = name.fullmatch(path.name)
        if made and not path.is_symlink() and path.is_dir() and not psutil.pid_exists(int(made[1])):
            shutil.rmtree(path, ignore_errors=True)


def _evaluated(ws: Workspace, version: str) -> tuple[dict[str, Any], EvalScore]:
    """`spec.json` and score, of the checkpoint and the script that lie there."""
    folder = ws.version(version)
    again = f"progtrain step evaluate --version {version}"
    if not folder.best_checkpoint.exists():
        reason, fix = f"{version} has no checkpoint", f"progtrain step train --version {version}"
        raise InputError(reason, file=folder.best_checkpoint, fix=fix)
    if not folder.eval_score.is_file():
        raise InputError(f"{version} has not been evaluated", file=folder.eval_score, fix=again)
    score = validate(read_json(folder.eval_score), EvalScore, folder.eval_score)
    spec, checked = object_in(folder.spec), object_in(folder.protocol).get("checkpoint_sha256")
    if checked and checked != sha256(folder.best_checkpoint):
        raise InputError("the checkpoint is not the one that was evaluated", file=folder.best_checkpoint, fix=again)
    trained = spec.get("script_sha256")
    if trained and trained != sha256(ws.script(version)):
        reason = f"the script has changed since {version} was trained with it"
        fix = f"put it back as it was, or progtrain step train --version {version}"
        raise InputError(reason, file=ws.script(version), fix=fix)
    return spec, score


def _lineage(ws: Workspace, version: str) -> list[Run]:
    """From the first version to this one: each was made from the one before it."""
    known = {run.version: run for run in runs.read(ws)}
    if version not in known:
        runs.read(ws, [version])  # says why
    line = [known[version]]
    while (base := known.get(line[0].base or "")) and base not in line:
        line.insert(0, base)
    return line


def _additions(ws: Workspace, version: str, dataset_id: str, spec: Mapping[str, Any]) -> list[Addition]:
    """That it was trained with, as its spec says, else its script. Raises `InputError` for one that is gone."""
    named = spec.get("additions")
    if not isinstance(named, list):
        told = values_of(find_settings(version_files.text_of(ws, version))).get("additions")
        named = list(told) if isinstance(told, tuple) else []
    return [additions.read(ws, dataset_id, str(name)) for name in named]


def _splits(ws: Workspace, dataset_id: str, spec: Mapping[str, Any], score: EvalScore) -> list[Split]:
    stats = prepared_data.read_stats(ws.stats(dataset_id))
    told = spec.get("data")
    counts = prepared_data.counts_in(told.get("counts") if isinstance(told, dict) else {})
    counts = {**prepared_data.counts_in(stats), **counts, **({"valid": score.num_samples} if score.num_samples else {})}
    hashes = {split: prepared_data.split_sha256(ws, dataset_id, split) for split in _SPLITS}
    return [(split, counts.get(split), hashes[split]) for split in _SPLITS if split in counts or hashes[split]]


# files


def _copy_model(ws: Workspace, version: str, to: Path) -> None:
    folder = ws.version(version)
    _copy(folder.best_checkpoint, to / "best.ckpt")
    for path in (folder.spec, folder.eval_score, folder.protocol, folder.additional_assets):
        if path.exists():
            _copy(path, to / path.name)
    # the script with its config files and modules, as they lie in the workspace, so that it runs beside them
    for path, text in version_files.lying(ws, version).items():
        write_text(to / ws.relative(path) if path.is_relative_to(ws.root) else to / path.name, text)


def _data_here(ws: Workspace, dataset_id: str) -> None:
    if prepared_data.elsewhere(ws, dataset_id):
        reason = "the data stay in a place of their own, and are not copied"
        raise InputError(reason, file=ws.source(dataset_id), place="--data", fix="leave out --data")
    if ws.data(dataset_id).is_symlink():
        reason = "the prepared data are a link, and what lies behind one is not copied"
        raise InputError(reason, file=ws.data(dataset_id), place="--data", fix="leave out --data")
    if not ws.data(dataset_id).is_dir():
        raise InputError("there are no prepared data", file=ws.data(dataset_id), place="--data", fix="leave out --data")


def _copy_data(ws: Workspace, dataset_id: str, used: list[Addition], to: Path) -> list[Path]:
    """The links among them, which are left out."""
    links = _copy(ws.data(dataset_id), to)
    return links + [link for one in used for link in _copy(one.folder.path, to / "additions" / one.name)]


def _copy(source: Path, to: Path) -> list[Path]:
    """A file, or what lies in a folder. Links in it are left out and returned; so are pipes and the like."""
    links: list[Path] = []
    if source.is_dir():
        to.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            if path.is_symlink():
                links.append(path)
            elif path.name != "__pycache__":
                links += _copy(path, to / path.name)
    elif source.is_file():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, to)
    return links


def _sums(folder: Path) -> tuple[tuple[str, int, str], ...]:
    """Writes `SHA256SUMS`, as `sha256sum --check` reads it, and says what is in it."""
    files = [path for path in _below(folder) if path != folder / SUMS]
    found = [(path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path)) for path in files]
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, _, digest in found))
    return tuple(found)


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


# what is said of it


def _todo(card: str) -> tuple[str, ...]:
    return tuple(line.strip("-*# ") for line in card.splitlines() if TODO in line)


def _notes(ws: Workspace, dataset_id: str, used: list[Addition], links: list[Path]) -> tuple[str, ...]:
    names = {addition.name for addition in used}
    others = [name for name in additions.names(ws, dataset_id) if name not in names]
    told = ["nothing was sent: look through script and files before you do"]
    if links:
        more = f" and {len(links) - _MOST_TOLD} more" if len(links) > _MOST_TOLD else ""
        named = ", ".join(clean_line(ws.relative(path)) for path in links[:_MOST_TOLD])
        told.append(f"links among the data are left out, with what lies behind them: {named}{more}")
    return (*told, *([f"additions that it was not trained with are left out: {', '.join(others)}"] if others else []))
