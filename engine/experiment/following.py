"""An experiment that is looked at again and again: what has not changed since the look before is not read again.

For the app, whose keys wait for the interpreter while a thread looks at hundreds of runs. What it comes to is what
`view.look` and `results.read` find.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from progtrain.engine.clock import Clock, now
from progtrain.engine.experiment import expand, state, view
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.expand import Cell, Run
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.state import Part, RunState
from progtrain.engine.experiment.view import View
from progtrain.engine.files import GRAIN_NS
from progtrain.engine.jobs.base import Seen
from progtrain.engine.workspace import JobFolder

T = TypeVar("T")
#: of a file or a folder: times, size and number; None: there is none
_Stamp = tuple[int, int, int, int] | None
#: of a run: `run.json`, and the folders of its attempts and marks, whose files are written once or replaced whole
_Stamps = tuple[_Stamp, ...]
#: after so many runs that were read in a row whoever draws gets the interpreter to itself, for so many seconds
_IN_A_ROW, _PAUSE = 8, 0.001


def _stamp(path: Path | str) -> _Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the time for hundreds of runs
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _settled(stamps: _Stamps) -> bool:
    """Whether a further change would be seen: another one at the same tick of the disk's clock is not."""
    before = time.time_ns() - GRAIN_NS
    return all(stamp is None or max(stamp[0], stamp[1]) < before for stamp in stamps)


def kept(paths: Callable[[], Iterable[Path | str]], read: Callable[[], T]) -> Callable[[], T]:
    """`read`, whose result is kept for as long as none of the files changes that it comes from."""
    known: tuple[dict[Path | str, _Stamp], T] | None = None

    def look() -> T:
        nonlocal known
        stamps = {name: _stamp(name) for name in paths()}
        if known is None or known[0] != stamps:
            known = None
            settled, found = _settled(tuple(stamps.values())), read()
            if not settled:
                return found
            known = stamps, found
        return known[1]

    return look


def same(make: Callable[..., T]) -> Callable[..., T]:
    """`make`, whose result is kept for as long as it is given the same things."""
    known: tuple[tuple[Any, ...], T] | None = None

    def made(*given: Any) -> T:
        nonlocal known
        if known is None or known[0] != given:
            known = given, make(*given)
        return known[1]

    return made


def following(folder: ExperimentFolder, clock: Clock = now) -> Callable[[], View]:
    """`view.look`, each time it is asked. Raises `InputError` where the plan is broken."""
    read_plan = kept(lambda: [folder.plan], lambda: plans.read(folder))
    expanded = kept(lambda: _trials(folder), lambda: object())
    planned = same(lambda plan, _: _planned(plan, folder))
    read_parts, fold, outcome = _parts(folder), _folding(), view.outcomes(folder)

    def look() -> View:
        plan = read_plan()
        parts = read_parts(plan, *planned(plan, expanded()))
        return view.folded(plan, parts, folder, clock, fold, outcome())

    return look


def _trials(folder: ExperimentFolder) -> list[str]:
    """The files that runs of a search stand in."""
    root = os.fspath(folder.path)
    try:
        return [f"{root}/{name}/run.json" for name in os.listdir(root) if name.startswith("trial")]  # noqa: PTH208
    except OSError:
        return []


def _planned(plan: Plan, folder: ExperimentFolder) -> tuple[list[Run], dict[str, list[Cell]]]:
    runs = expand.runs(plan, folder)
    return runs, expand.by_run(runs, expand.cells(plan, runs, folder))


def _parts(folder: ExperimentFolder) -> Callable[[Plan, Sequence[Run], Mapping[str, list[Cell]]], list[list[Part]]]:
    """`state.read`, of those runs whose files have changed; of the others the very parts that it gave before."""
    #: name -> what it was read for, how its files were, and its parts
    known: dict[str, tuple[tuple[Run, list[Cell]], _Stamps, list[Part]]] = {}
    files: dict[str, tuple[str, str, str]] = {}
    reader = same(state.reader)
    of: Plan | None = None

    def read(plan: Plan, runs: Sequence[Run], cells: Mapping[str, list[Cell]]) -> list[list[Part]]:
        nonlocal of
        if plan is not of:
            known.clear()
            of = plan
        found, count = [], 0
        for run in runs:
            name, asked = run.name, (run, cells[run.name])
            if name not in files:
                files[name] = folder.run(name).names
            stamps = tuple(map(_stamp, files[name]))
            before = known.get(name)
            if before is not None and before[1] == stamps and before[0] == asked:
                found.append(before[2])
                continue
            settled, parts = _settled(stamps), reader(plan)(*asked, folder.run(name))
            if before is not None and before[2] == parts:
                parts = before[2]
            known[name] = asked, stamps if settled else (), parts
            found.append(parts)
            count += 1
            if count % _IN_A_ROW == 0:
                time.sleep(_PAUSE)
        return found

    return read


def _folding() -> Callable[[Sequence[Sequence[Part]], Mapping[JobFolder, Seen], ExperimentFolder], list[RunState]]:
    """`state.fold`, of those runs alone that are not as they were."""
    known: dict[str, tuple[Sequence[Part], Sequence[Seen | None], bool, RunState]] = {}

    def fold(
        parts: Sequence[Sequence[Part]], seen: Mapping[JobFolder, Seen], folder: ExperimentFolder
    ) -> list[RunState]:
        found, asked = [], state.cancelled(folder)
        for group in parts:
            name = group[0].run.name
            jobs = [seen.get(state.attempt_of(part, folder)) if part.begun is not None else None for part in group]
            is_asked = bool(asked) and folder.cancelled(name).name in asked
            before = known.get(name)
            if before is None or before[0] is not group or before[1:3] != (jobs, is_asked):
                before = known[name] = group, jobs, is_asked, state.fold_run(group, seen, folder, asked)
            found.append(before[3])
        return found

    return fold
