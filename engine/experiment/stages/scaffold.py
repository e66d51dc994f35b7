"""Writes what each run and each evaluation needs, once all tools have said that the plan can be carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, placing, state, summary
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import resources_of, tool_of, worker_of
from progtrain.engine.experiment.runner import busy
from progtrain.engine.experiment.stages.pieces import pieces, trains
from progtrain.engine.experiment.workers import base
from progtrain.engine.experiment.workers.base import Experiment, Piece
from progtrain.engine.files import sha256, sha256_text, try_read_json, write_json
from progtrain.engine.jobs.base import Executor
from progtrain.engine.schema import JobRequest


class Writing(NamedTuple):
    """What is to be written for a training or an evaluation, and why."""

    piece: Piece
    files: Mapping[Path, str]
    links: Mapping[Path, Path]
    #: empty: all of it is there
    reasons: Sequence[str]
    #: files that somebody has edited since they were written; they stay as they are
    edited: Sequence[Path] = ()


def problems(experiment: Experiment, tool: str = "") -> list[InputError]:
    """All that keeps the plan from being carried out, of all its tools."""
    plan = experiment.plan
    found: list[InputError] = []
    if plan.tools.training and tool in ("", plan.tools.training):
        found += _asked(lambda: base.training(plan.tools.training or "").problems(experiment))
    for name in dict.fromkeys(plan.tool_of(task) for task in plan.tasks):
        if tool in ("", name):
            found += _asked(lambda name=name: base.evaluation(name).problems(experiment))  # type: ignore[misc]
    for task in plan.tasks:
        if tool in ("", plan.tool_of(task)):
            found += _asked(lambda task=task: _worker(plan.tool_of(task)).for_task(experiment, task))  # type: ignore[misc]
    return list({str(problem): problem for problem in found}.values())


def _worker(name: str) -> base.EvaluationWorker:
    return base.evaluation(name)


def _asked(question: Callable[[], list[InputError]]) -> list[InputError]:
    try:
        return question()
    except InputError as error:
        return [error]


def refuse(found: Sequence[InputError], experiment: Experiment) -> None:
    """Raises one `InputError` that tells of all."""
    if len(found) == 1:
        raise found[0]
    if found:
        told = "".join(
            f"\n  {number}. {str(problem).replace(chr(10), chr(10) + '   ')}" for number, problem in enumerate(found, 1)
        )
        raise InputError(f"{len(found)} things are wrong:{told}", file=experiment.folder.plan)


def planned(experiment: Experiment, names: Sequence[str] = (), tool: str = "") -> list[Writing]:
    """What there is to write, all of it. Writes nothing. Raises `InputError` with all that is wrong."""
    refuse(problems(experiment, tool), experiment)
    found, wrong = [], []
    for piece in pieces(experiment, names, tool):
        try:
            found.append(_writing(piece))
        except InputError as error:
            wrong.append(error)
    refuse(list({str(problem): problem for problem in wrong}.values()), experiment)
    if not found:
        raise InputError(
            "nothing to scaffold: no run matches", file=experiment.folder.plan, fix="see the names of runs"
        )
    return found


def _writing(piece: Piece) -> Writing:
    worker = worker_of(piece) if piece.cell or trains(piece) else None
    files = worker.files(piece) if worker else {}
    links = worker.links(piece) if worker else {}
    before = entry(piece)
    reasons: list[str] = []
    edited: list[Path] = []
    if before is None:
        reasons.append("it is not scaffolded yet")
    elif before.get("plan") != state.identity_of(piece.experiment.plan, piece.run, piece.cell):
        reasons.append("the plan has changed")
    written = (before or {}).get("written", {})
    for path, text in files.items():
        known, digest = written.get(_name(path, piece)), sha256_text(text)
        if not path.exists():
            reasons += [f"{_name(path, piece)} is missing"] if before else []
        elif known != digest:
            reasons += [f"{_name(path, piece)} is to be otherwise"] if before else []
        elif sha256(path) != digest:
            edited.append(path)
    reasons += [f"{_name(path, piece)} leads elsewhere" for path, to in links.items() if before and _leads(path) != to]
    return Writing(piece, files, links, tuple(reasons), tuple(edited))


def entry(piece: Piece) -> dict[str, Any] | None:
    """What `run.json` says of it."""
    told = try_read_json(piece.folder.scaffolded)
    if not isinstance(told, dict):
        return None
    found = told.get("cells", {}).get(piece.cell.name) if piece.cell else told
    return found if isinstance(found, dict) and "plan" in found else None


def _name(path: Path, piece: Piece) -> str:
    return path.relative_to(piece.experiment.folder.path).as_posix()


def _leads(path: Path) -> Path | None:
    return path.readlink() if path.is_symlink() else None


def answer(experiment: Experiment, executor: Executor) -> str:
    """What the executor says of such a job. Raises `InputError` where it would refuse it."""
    folder, plan = experiment.folder, experiment.plan
    request = JobRequest(
        name=folder.name, command=["true"], cwd=str(experiment.ws.root), resources=resources_of(plan, {})
    )
    return executor.check(request)


def run(experiment: Experiment, executor: Executor, names: Sequence[str] = (), tool: str = "") -> list[Writing]:
    """Writes what is missing or changed. Raises `InputError` before anything is written, or `Busy`."""
    folder = experiment.folder
    with lock.hold_file(folder.lock, busy(folder)):
        found = planned(experiment, names, tool)
        answer(experiment, executor)
        _refuse_at_work(found, executor)
        log = Logbook(folder, "scaffold", experiment.clock)
        log.write("stage_started", f"{len(found)} trainings and evaluations", stage="scaffold")
        by_run: dict[str, list[Writing]] = {}
        for writing in found:
            by_run.setdefault(writing.piece.run.name, []).append(writing)
        for group in by_run.values():
            _write_run(group, log)
        done = [writing for writing in found if writing.reasons]
        log.write("stage_done", f"{len(done)} written, {len(found) - len(done)} were there", stage="scaffold")
        _summary(experiment)
    return found


def _refuse_at_work(found: Sequence[Writing], executor: Executor) -> None:
    """Raises `InputError` where files would change under a job."""
    changing = {writing.piece.run.name: writing for writing in found if writing.reasons}
    for name, writing in changing.items():
        piece, folder = writing.piece, writing.piece.experiment.folder
        cells = [other.piece.cell for other in found if other.piece.cell and other.piece.run.name == name]
        parts = state.read_run(piece.experiment.plan, piece.run, cells, piece.folder)
        attempts = [state.attempt_of(part, folder) for part in parts if state.is_open(part)]
        if any(seen.phase != "none" and not seen.ended for seen in executor.look_all(attempts).values()):
            raise InputError(
                f"{name} is at work, and its files would change: {writing.reasons[0]}",
                file=piece.folder.path,
                fix=f"progtrain experiment cancel {folder.name} --run {name}",
            )


def _write_run(group: Sequence[Writing], log: Logbook) -> None:
    piece = group[0].piece
    told = try_read_json(piece.folder.scaffolded)
    told = told if isinstance(told, dict) else {}
    for writing in group:
        if writing.reasons:
            _remove_former(writing, entry(writing.piece) or {})
            _write(writing)
            text = "; ".join(writing.reasons)
            what = writing.piece.cell.name if writing.piece.cell else state.TRAIN
            log.write("scaffolded", text, tool=tool_of(writing.piece), run=piece.run.name, what=what)
        for path in writing.edited:
            log.write("note", f"{path.name} was edited, and stays as it is", run=piece.run.name)
    for writing in (writing for writing in group if writing.reasons):
        made = _entry(writing)
        if writing.piece.cell:
            told.setdefault("cells", {})[writing.piece.cell.name] = made
        else:
            told = {**_about(piece.run), **made, "cells": told.get("cells", {})}
    # written last: it says that all of it is there
    if any(writing.reasons for writing in group):
        write_json(piece.folder.scaffolded, told)


def _about(run: Run) -> dict[str, Any]:
    told = {"run": run.name, "type": run.type, "point": run.point, "seed": run.seed}
    return {**told, "parameters": dict(run.parameters), "settings": dict(run.settings)}


def _entry(writing: Writing) -> dict[str, Any]:
    piece = writing.piece
    hashes = {_name(path, piece): sha256_text(text) for path, text in writing.files.items()}
    links = {_name(path, piece): str(to) for path, to in writing.links.items()}
    return {
        "tool": tool_of(piece),
        "plan": state.identity_of(piece.experiment.plan, piece.run, piece.cell),
        "files": sha256_text(repr(sorted(hashes.items()))),
        "written": hashes,
        "links": links,
        **({} if piece.cell else {"trains": trains(piece)}),
        "at": piece.experiment.clock().isoformat(),
    }


def _write(writing: Writing) -> None:
    files = {path: text for path, text in writing.files.items() if path not in writing.edited}
    placing.put(files, writing.links, writing.piece.folder.path)


def _remove_former(writing: Writing, before: Mapping[str, Any]) -> None:
    """What an earlier plan needed and this one does not."""
    piece = writing.piece
    wanted = {_name(path, piece) for path in (*writing.files, *writing.links)}
    for name in (*before.get("written", {}), *before.get("links", {})):
        if name not in wanted:
            placing.remove(piece.experiment.folder.path / name, piece.folder.path)


def _summary(experiment: Experiment) -> None:
    plan, folder = experiment.plan, experiment.folder
    runs = expand.runs(plan, folder)
    parts = state.read(plan, runs, expand.cells(plan, runs, folder), folder)
    summary.write(experiment, state.fold(parts, {}, folder))


def left_over(folder: ExperimentFolder, runs: Sequence[Run]) -> list[str]:
    """Folders of runs that an earlier plan had."""
    names = {run.name for run in runs}
    return sorted(path.parent.name for path in folder.path.glob("*/run.json") if path.parent.name not in names)
