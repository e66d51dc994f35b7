"""What workers that run a tool have in common: how its job is started, and what is looked at when it has ended."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import hooks, metrics, values
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.workers.base import Piece, training
from progtrain.engine.files import MOST_TEXT, opened, storage_errors, try_read_json
from progtrain.engine.json_text import loaded
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.script.names import canonical
from progtrain.engine.script.repair.failure import Failure, explain
from progtrain.engine.text import tail
from progtrain.engine.workspace import JobFolder

#: nothing is fetched while a tool works: nodes of a cluster have no way out, and what is evaluated is what is there
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "0",
}
#: of zip files, which PyTorch's checkpoints are
_ZIPPED = {".ckpt", ".pt", ".pth", ".npz", ".bin"}
_TEXT = {".json", ".safetensors"}


def request(piece: Piece, attempt: JobFolder, command: Sequence[str], environment: Mapping[str, str]) -> JobRequest:
    """In the user's workspace, with files to tell how far it is and to be stopped by."""
    folder = attempt.path.absolute()
    told = {
        **hooks.of_script(),
        "PROGTRAIN_LIVE_FILE": str(folder / "live.jsonl"),
        "PROGTRAIN_STOP_FILE": str(folder / "stop"),
    }
    name = f"{piece.run.name}-{attempt.path.name}"
    cwd = str(piece.experiment.ws.root.absolute())
    return JobRequest(name=name, command=list(command), cwd=cwd, environment={**told, **environment})


def failed(attempt: JobFolder, state: JobState) -> Failure | None:
    """Why a job did not end well, from its log; None where it did."""
    if state.exit_code == 0 and not state.ended_by:
        return None
    return explain(tail(attempt.restarted(state.restarts).log), state.exit_code, state.ended_by)


def set_aside(piece: Piece, attempt: JobFolder) -> None:
    """What an earlier attempt left in `artifacts` is kept beside that attempt, and the folder is there and empty.

    Touches nothing where this attempt has begun, or another is at work.
    """
    made, begun = piece.folder.artifacts, piece.folder.attempts_at("train")
    states = [try_read_json(piece.folder.attempt("train", number).state) for number in begun]
    if attempt.path.exists() or any(isinstance(s, dict) and s.get("status") != "ended" for s in states):
        return
    with storage_errors(made):
        if made.is_dir() and any(made.iterdir()):
            before = max((number for number in begun if number < _number(attempt)), default=0)
            place = piece.folder.attempts / f"train-{before}.artifacts"
            if place.exists():
                place = next(p for n in range(2, 1000) if not (p := place.with_name(f"{place.name}{n}")).exists())
            place.parent.mkdir(parents=True, exist_ok=True)
            made.rename(place)
        made.mkdir(parents=True, exist_ok=True)


def _number(attempt: JobFolder) -> int:
    digits = attempt.path.name.rpartition("-")[2].partition(".")[0]
    return int(digits) if digits.isdecimal() else 1


def halved(settings: Mapping[str, Any], accumulates: str | None = None) -> dict[str, Any] | None:
    """Half the batch, and twice the steps that are accumulated, under the names that they have in `settings`.

    `accumulates`: the name of the second where it stands at 1 and nobody has set it. None at a batch of one, or where
    nothing is called a batch size.
    """
    named = {canonical(name): name for name in reversed(list(settings))}
    batch = named.get("batch_size")
    size = metrics.count(settings[batch]) if batch else None
    if batch is None or size is None or size < 2:
        return None
    changed: dict[str, Any] = {batch: size // 2}
    accumulation = named.get("gradient_accumulation", accumulates)
    if accumulation is not None:
        steps = metrics.count(settings.get(accumulation, 1)) or 1
        # of 5 a half is 2: rounded, so that as many samples as before make a step, or nearly
        changed[accumulation] = max(1, round(steps * size / (size // 2)))
    return changed


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def broken(paths: Iterable[Path]) -> Failure | None:
    """The first checkpoint that was cut off, found without the packages that wrote it."""
    for path in paths:
        if path.is_file() and (reason := _why_broken(path)):
            return Failure("outputs", f"{path.name} {reason}", "it was cut off while it was written: train it again")
    return None


def _why_broken(path: Path) -> str:
    with opened(path) as file:
        start, size = file.read(8), path.stat().st_size
        if not size and path.suffix in _ZIPPED | _TEXT:
            return "is empty"
        # older ones of PyTorch are no zip files: nothing is said of them
        if path.suffix in _ZIPPED and start[:2] == b"PK" and not zipfile.is_zipfile(file):
            return "ends in the middle"
        if path.suffix == ".safetensors":
            length = int.from_bytes(start, "little")
            ends = _ends_of_tensors(file.read(length)) if length < min(size, MOST_TEXT) else None
            return "" if ends is not None and 8 + length + ends == size else "ends in the middle"
    return ""


def _ends_of_tensors(header: bytes) -> int | None:
    """After how many bytes of data a file of safetensors ends; its header is JSON."""
    try:
        found = loaded(header)
        return max(
            (int(entry["data_offsets"][1]) for name, entry in found.items() if name != "__metadata__"), default=0
        )
    except (OverflowError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def checkpoint(piece: Piece) -> Path:
    """What a cell is to evaluate: what `eval-only` names, the base's model for a control that is not trained, else what
    the run's artifacts keep for the cell's epoch.

    A file or folder called `best`, `last` or `epoch_3` (`epoch3`, `epoch=3`), whatever its suffix. Where nothing is
    called best or last there is one result: the whole folder. Raises `InputError` where an epoch was not kept.
    """
    if piece.run.checkpoint is not None:
        return piece.experiment.path(piece.run.checkpoint).absolute()
    plan, below = piece.experiment.plan, piece.experiment.plan.base.model.get("path")
    if below and plan.tools.training and not training(plan.tools.training).trains(piece.run):
        return piece.experiment.path(below).absolute()
    made = piece.folder.artifacts.absolute()
    epoch = piece.cell.epoch if piece.cell else "best"
    wanted = {epoch} if isinstance(epoch, str) else {f"epoch_{epoch}", f"epoch{epoch}", f"epoch={epoch}"}
    found = sorted(path for path in made.iterdir() if path.stem in wanted) if made.is_dir() else []
    if found or epoch in ("best", "last"):
        return found[0] if found else made
    kept = sorted(path.name for path in made.iterdir()) if made.is_dir() else []
    reason = f"nothing is kept of epoch {epoch}; looked for {' or '.join(sorted(map(str, wanted)))}"
    raise InputError(
        reason, file=made, fix=f"there are {', '.join(kept[:8]) or 'no files'}; correct epochs in the matrix"
    )


def text_of(value: Any) -> str:
    """A value as a word of a command: 3e-5 rather than 3e-05, true rather than True, nothing for none."""
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, bool | list | dict) else values.show(value)
