"""From which checkpoint a training that was cut short goes on, and whether those of a finished one are whole."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from progtrain.engine import hooks
from progtrain.engine.experiment import curves
from progtrain.engine.files import MOST_TEXT, opened, storage_errors
from progtrain.engine.jobs.detached import with_parent
from progtrain.engine.modes import copy_file
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace

_CHECK_SECONDS = 600
#: what a checkpoint must hold, to go on from it as if nothing had been: not the weights alone
_OF_LIGHTNING = (b"pytorch-lightning_version", b"optimizer_states")
#: what is kept beside it
_BEST, _CURVE = "best.ckpt", "metrics.csv"
_OF_TRANSFORMERS = "trainer_state.json"


def to_go_on_from(ws: Workspace, version: str) -> Path | None:
    """The newest whole checkpoint of the version's training: a file of Lightning, or a folder of transformers.

    None for loops of a script's own, which begin anew, and after a second `fit()`: nobody can tell which of them the
    checkpoint belongs to.
    """
    record = hooks.record_of(ws, version)
    if not record or record.get("fit") != 1:
        return None
    if _is_whole(asked_for := ws.going_on(version)):
        return asked_for
    found = [path for path in _saved(ws, version, record.get("checkpoints") or []) if _is_whole(path)]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def _saved(ws: Workspace, version: str, listed: list[object]) -> Iterator[Path]:
    yield ws.version(version).last_checkpoint
    # of the attempt before, where the last one saved nothing
    yield from (path for path in ws.resume(version).glob("[!.]*/*") if path.name not in (_BEST, _CURVE))
    for callback in (held for held in listed if isinstance(held, dict)):
        yield from (ws.root / str(callback[key]) for key in ("last_model_path", "best_model_path") if callback.get(key))
        if callback.get("dirpath"):
            yield from (ws.root / str(callback["dirpath"])).glob("checkpoint-*")


def _is_whole(path: Path) -> bool:
    if path.is_dir():
        return (path / _OF_TRANSFORMERS).is_file()
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            parts = [part for part in archive.infolist() if part.filename.endswith("/data.pkl")]
            small = sum(part.file_size for part in parts) <= MOST_TEXT
            told = b"".join(map(archive.read, parts if small else ()))
        return all(word in told for word in _OF_LIGHTNING)
    except (OSError, ValueError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


def keep(ws: Workspace, version: str, attempt: str) -> Path | None:
    """Copies what an attempt is to go on from out of its own reach: many a script clears its folder first.

    The best checkpoint goes along, since a better one may never come. Returns the copy, None where there is nothing.
    Asked again for the same attempt, it is the same copy.
    """
    kept = ws.resume(version) / attempt
    if kept.is_dir():
        return next(path for path in kept.iterdir() if path.name not in (_BEST, _CURVE))
    source = to_go_on_from(ws, version)
    if source is None:
        return None
    making = ws.resume(version) / f".{attempt}"
    with storage_errors(kept):
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        tables = _tables(ws, version)
        curves.keep(ws, version, tables, making / _CURVE)
        target = making / ("last.ckpt" if source.is_file() else source.name)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=copy_file)
        else:
            shutil.copyfile(source, target)
        best = [path for path in (ws.version(version).best_checkpoint, *_best(ws, version)) if path.is_file()]
        if best:
            shutil.copyfile(best[0], making / _BEST)
        for old in ws.resume(version).iterdir():
            if old != making:
                shutil.rmtree(old)
        making.rename(kept)
        for read in (ws.going_on(version), _best_before(ws, version), *tables):
            read.unlink(missing_ok=True)
    return kept / target.name


def forget(ws: Workspace, version: str) -> None:
    shutil.rmtree(ws.resume(version), ignore_errors=True)


def put_back_best(ws: Workspace, version: str) -> None:
    """The best one of the attempt before, where the one that went on from it found none better."""
    best, kept = ws.version(version).best_checkpoint, next(iter(_best(ws, version)), None)
    if kept is not None and not best.exists():
        with storage_errors(best):
            best.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, best)


def complete_curve(ws: Workspace, version: str) -> bool:
    """Whether earlier starts had logged something that this one had not."""
    return curves.complete(ws, version, _tables(ws, version))


def _tables(ws: Workspace, version: str) -> list[Path]:
    """Of what earlier attempts logged, then of starts of this one that a cluster started again; the oldest first."""
    again = sorted(ws.record(version).parent.glob("curve_before*.csv"))
    return [*ws.resume(version).glob(f"[!.]*/{_CURVE}"), *again]


def _best(ws: Workspace, version: str) -> list[Path]:
    """The best checkpoint of starts before, the newest first."""
    return [path for path in (_best_before(ws, version), *ws.resume(version).glob(f"[!.]*/{_BEST}")) if path.is_file()]


def _best_before(ws: Workspace, version: str) -> Path:
    """As the hook keeps it where a cluster starts the job again."""
    return ws.record(version).with_name("best_before.ckpt")


def load(python: str, ws: Workspace, version: str) -> Failure | None:
    """Loads `best.ckpt` on the CPU, in a process of its own of the scripts' interpreter."""
    path = ws.version(version).best_checkpoint
    command = [python, str(hooks.CHECK), str(path)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            cwd=ws.root,
            check=False,
            preexec_fn=with_parent,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Failure("outputs", f"best.ckpt could not be checked: {error}", f"does {python} start?")
    if done.returncode == 0:
        return None
    said = (done.stdout.strip() or done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    summary = f"best.ckpt cannot be loaded: {clean_line(said)}"
    return Failure("outputs", summary, "it was cut off: a full disk, or a training that was ended while it saved")
