"""Runs as event files for TensorBoard, a folder each, written without its packages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from progtrain.engine.files import read_text, storage_errors, write_text, writing
from progtrain.engine.trackers import export_events as events
from progtrain.engine.trackers.runs import Run, rows

#: says which state of a run a folder holds
_DIGEST = "progtrain.digest"


def write(runs: Sequence[Run], to: Path) -> Iterator[tuple[Run, str]]:
    """Each run with `new`, `updated` or `same`, as its folder becomes whole. Raises `StorageError`."""
    for run in runs:
        folder = to / f"{run.version}-{run.id}"
        digest = folder / _DIGEST
        before = read_text(digest).strip() if digest.is_file() else ""
        if before != run.digest:
            with writing(folder / f"events.out.tfevents.{run.id}") as file:
                for chunk in events.chunks(_events(run)):
                    file.write(chunk)
            for artifact in run.artifacts:
                with storage_errors(folder):
                    shutil.copyfile(artifact, folder / artifact.name)
            write_text(digest, f"{run.digest}\n")
        yield run, "new" if not before else "same" if before == run.digest else "updated"


def _events(run: Run) -> Iterator[bytes]:
    begun, ended, last = run.started / 1000, run.ended / 1000, 0
    yield events.version(begun)
    yield from events.settings(begun, ended, run.params)
    yield events.text(begun, "lineage", run.lineage)
    yield events.text(begun, "run", _table(run))
    yield from (events.text(ended, path.stem, read_text(path)) for path in run.artifacts if path.suffix == ".md")
    for step, _, at, numbers in rows(run):
        last = max(last, step)
        yield events.scalars(at / 1000, step, numbers)
    if run.final:
        yield events.scalars(run.evaluated / 1000, last, {f"eval/{name}": value for name, value in run.final.items()})


def _table(run: Run) -> str:
    told = {"run": run.id, "version": run.version, "base": run.base or "", "base_run": run.base_id or "", **run.facts}
    lines = [f"| {name} | {value.replace('|', '/')} |" for name, value in told.items()]
    return "\n".join(["| | |", "|---|---|", *lines])
