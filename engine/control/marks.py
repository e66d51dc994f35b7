"""Marks that a step is done: written last, with the hashes of its outputs. Resuming trusts them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from progtrain.engine.clock import Clock
from progtrain.engine.control import digests
from progtrain.engine.errors import InputError
from progtrain.engine.files import is_there, write_text
from progtrain.engine.schema import Mark, StepName, load
from progtrain.engine.workspace import Workspace


def write(
    ws: Workspace,
    version: str,
    step: StepName,
    outputs: Iterable[Path],
    *,
    clock: Clock,
    seconds: float = 0.0,
    inputs: Mapping[str, str] | None = None,
    adopted: bool = False,
) -> None:
    mark = Mark(
        step=step,
        version=version,
        finished_at=clock(),
        seconds=round(seconds, 3),
        outputs={ws.relative(path): digests.of(ws, path) for path in outputs},
        inputs=dict(inputs or {}),
        adopted=adopted,
    )
    write_text(ws.mark(version, step), mark.model_dump_json(indent=2) + "\n")


def read(ws: Workspace, version: str, step: StepName) -> Mark | None:
    """None where there is none, or where it cannot be read: then the step is not done."""
    path = ws.mark(version, step)
    if not is_there(path):
        return None
    try:
        return load(path, Mark)
    except InputError:
        return None


def remove(ws: Workspace, version: str, *steps: StepName) -> None:
    for step in steps:
        ws.mark(version, step).unlink(missing_ok=True)


def edited_since(ws: Workspace, version: str) -> list[str]:
    """A line for each file of a trained version that is not what it was trained with."""
    mark, script = read(ws, version, "train"), ws.script(version)
    if mark is None:
        return []
    known = {script.name: mark.inputs.get("script")}
    known |= {name.removeprefix("file "): digest for name, digest in mark.inputs.items() if name.startswith("file ")}
    return [
        f"{name} was changed after its training: {version}'s numbers come from {name} as it was, "
        "and versions made from it now inherit the edit"
        for name, digest in known.items()
        if digest and (not (path := ws.root / name).is_file() or digests.of(ws, path) != digest)
    ]


def why_not_done(
    ws: Workspace,
    version: str,
    step: StepName,
    *,
    by_hand: frozenset[str] = frozenset(),
    adopt: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Reasons why the step must run, empty when it is done.

    Outputs named in `by_hand` are the user's to edit: they must be there, whatever their content. `adopt` takes over
    what lies there finished without a mark, where it can.
    """
    mark = read(ws, version, step)
    if mark is None:
        return [] if adopt() else ["it has not been done yet"]
    reasons = []
    for name, digest in mark.outputs.items():
        path = ws.root / name
        if not path.exists():
            reasons.append(f"{name} is missing")
        elif path.name not in by_hand and digests.of(ws, path) != digest:
            reasons.append(f"{name} is not the one that the step wrote")
    return reasons
