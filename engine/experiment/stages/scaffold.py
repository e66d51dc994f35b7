"""Writes what each run and each evaluation needs, once all tools have said that the plan can be carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, placing, search, state, summary
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import busy, resources_of, tool_of, worker_of
from progtrain.engine.experiment.stages.pieces import pieces, trains
from progtrain.engine.experiment.state import Part
from progtrain.engine.experiment.workers import base
from progtrain.engine.experiment.workers.base import Experiment, Piece
from progtrain.engine.files import object_in, sha256, sha256_text, try_read_json, write_json
from progtrain.engine.jobs.base import Executor
from progtrain.engine.schema import JobRequest
from progtrain.engine.values import within


class Writing(NamedTuple):
    """What is to be written for a training or an evaluation, and why."""

    piece: Piece
    files: Mapping[Path, str]
    links: Mapping[Path, Path]
    #: empty: all of it is there
    reasons: Sequence[str]
    #: files that somebody has edited since they were written; they stay as they are
    edited: Sequence[Path] = ()
    #: names of files that would be others today, of what is done: it stays as it is
    kept: Sequence[str] = ()
    #: whether it is done again though nothing has changed
    anew: bool = False


def problems(experiment: Experiment, tool: str = "") -> list[InputError]:
    """All that keeps the plan from being carried out, of all its tools."""
    plan = experiment.plan
    found: list[InputError] = search.problems(plan, experiment.folder)
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


def planned(experiment: Experiment, names: Sequence[str] = (), tool: str = "", *, anew: bool = False) -> list[Writing]:
    """What there is to write, all of it. Writes nothing. Raises `InputError` with all that is wrong.

    What is done stays as it is while the plan says the same of it; `anew`: that is written too, and done again.
    """
    refuse(problems(experiment, tool), experiment)
    found, wrong = [], []
    parts = _parts(experiment)
    for piece in pieces(experiment, names, tool):
        try:
            found.append(_writing(piece, parts[piece.run.name, piece.cell.name if piece.cell else state.TRAIN], anew))
        except InputError as error:
            wrong.append(error)
    refuse(list({str(problem): problem for problem in wrong}.values()), experiment)
    if not found and experiment.plan.search is None:
        raise InputError(
            "nothing to scaffold: no run matches", file=experiment.folder.plan, fix="see the names of runs"
        )
    return found


def _writing(piece: Piece, part: Part, anew: bool) -> Writing:
    worker = worker_of(piece) if piece.cell or trains(piece) else None
    files = worker.files(piece) if worker else {}
    links = worker.links(piece) if worker else {}
    if part.scaffolded is None:
        return Writing(piece, files, links, ("it is not scaffolded yet",))
    changed = [_name(path, piece) for path, text in files.items() if _is_other(path, text, part, piece)]
    changed += [_name(path, piece) for path, to in links.items() if not _leads(path, to)]
    if part.scaffolded.get("plan") != part.plan:
        return Writing(piece, files, links, ("the plan has changed", *changed))
    if state.holds(part):
        if anew:
            return Writing(piece, files, links, ("it is to be done again",), anew=True)
        return Writing(piece, files, links, (), kept=changed)
    edited = [path for path, text in files.items() if _is_edited(path, text, part, piece)]
    return Writing(piece, files, links, [f"{name} is missing or was another" for name in changed], edited)


def _is_other(path: Path, text: str, part: Part, piece: Piece) -> bool:
    """Whether it is not there, or what it comes from has changed since it was written."""
    return not path.is_file() or within(part.scaffolded, "written").get(_name(path, piece)) != sha256_text(text)


def _is_edited(path: Path, text: str, part: Part, piece: Piece) -> bool:
    """Whether somebody has changed it, and nothing else has: not for an attempt with other settings."""
    if _is_other(path, text, part, piece) or sha256(path) == sha256_text(text):
        return False
    changes = try_read_json(piece.folder.changes(part.what, part.attempt)) if part.attempt else None
    return not (changes or {}).get("settings")


def _name(path: Path, piece: Piece) -> str:
    return path.relative_to(piece.experiment.folder.path).as_posix()


def _leads(path: Path, to: Path) -> bool:
    """Also where a script has made a folder of its own, which stays."""
    if path.is_symlink():
        return path.readlink() == to
    return path.is_dir() and any(path.iterdir())


def answer(experiment: Experiment, executor: Executor) -> str:
    """What the executor says of such a job. Raises `InputError` where it would refuse it."""
    folder, plan = experiment.folder, experiment.plan
    request = JobRequest(
        name=folder.name, command=["true"], cwd=str(experiment.ws.root), resources=resources_of(plan, {})
    )
    return executor.check(request)


def _parts(experiment: Experiment) -> dict[tuple[str, str], Part]:
    plan, folder = experiment.plan, experiment.folder
    runs = expand.runs(plan, folder)
    groups = state.read(plan, runs, expand.cells(plan, runs, folder), folder)
    return {(part.run.name, part.what): part for group in groups for part in group}


def run(
    experiment: Experiment, executor: Executor, names: Sequence[str] = (), tool: str = "", *, anew: bool = False
) -> list[Writing]:
    """Writes what is missing or changed. Raises `InputError` before anything is written, or `Busy`."""
    folder = experiment.folder
    with lock.hold_file(folder.lock, busy(folder)):
        found = planned(experiment, names, tool, anew=anew)
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


def write_run(experiment: Experiment, run: Run, log: Logbook) -> None:
    """All that one run needs which the plan has come to ask for, for whoever holds the lock. Raises `InputError`."""
    plan, folder = experiment.plan, experiment.folder
    cells = expand.cells(plan, [run], folder)
    pieces_of_run = [Piece(experiment, run), *(Piece(experiment, run, cell) for cell in cells)]
    parts = state.read_run(plan, run, cells, folder.run(run.name))
    _write_run([_writing(piece, part, False) for piece, part in zip(pieces_of_run, parts, strict=True)], log)


def _refuse_at_work(found: Sequence[Writing], executor: Executor) -> None:
    """Raises `InputError` where files would change under a job."""
    changing = {writing.piece.run.name: writing for writing in found if writing.reasons}
    cells: dict[str, list[expand.Cell]] = {}
    for other in found:
        if other.piece.cell:
            cells.setdefault(other.piece.run.name, []).append(other.piece.cell)
    for name, writing in changing.items():
        piece, folder = writing.piece, writing.piece.experiment.folder
        parts = state.read_run(piece.experiment.plan, piece.run, cells.get(name, []), piece.folder)
        attempts = [state.attempt_of(part, folder) for part in parts if state.is_open(part)]
        if any(seen.phase != "none" and not seen.ended for seen in executor.look_all(attempts).values()):
            raise InputError(
                f"{name} is at work, and its files would change: {writing.reasons[0]}",
                file=piece.folder.path,
                fix=f"progtrain experiment cancel {folder.name} --run {name}",
            )


def _write_run(group: Sequence[Writing], log: Logbook) -> None:
    piece = group[0].piece
    told = object_in(piece.folder.scaffolded)
    for writing in group:
        if writing.reasons:
            _remove_former(writing)
            _write(writing)
            text = "; ".join(writing.reasons)
            what = writing.piece.cell.name if writing.piece.cell else state.TRAIN
            log.write("scaffolded", text, tool=tool_of(writing.piece), run=piece.run.name, what=what)
        for path in writing.edited:
            log.write("note", f"{path.name} was edited, and stays as it is", run=piece.run.name)
        if writing.kept:
            log.write("note", told_kept(writing), run=piece.run.name)
    for writing in (writing for writing in group if writing.reasons):
        made = _entry(writing)
        if writing.piece.cell:
            told.setdefault("cells", {})[writing.piece.cell.name] = made
        else:
            told = {**_about(piece.run), **made, "cells": told.get("cells", {})}
    # written last: it says that all of it is there
    if any(writing.reasons for writing in group):
        write_json(piece.folder.scaffolded, told)


def told_kept(writing: Writing) -> str:
    names = ", ".join(writing.kept[:3]) + (", ..." if len(writing.kept) > 3 else "")
    return f"it is done and stays, though {names} would be otherwise today (scaffold --anew has it done again)"


def _about(run: Run) -> dict[str, Any]:
    told = {"run": run.name, "type": run.type, "point": run.point, "seed": run.seed}
    return {**told, "parameters": dict(run.parameters), "settings": dict(run.settings)}


def _entry(writing: Writing) -> dict[str, Any]:
    piece = writing.piece
    at = piece.experiment.clock().isoformat()
    hashes = {_name(path, piece): sha256_text(text) for path, text in writing.files.items()}
    links = {_name(path, piece): str(to) for path, to in writing.links.items()}
    return {
        "tool": tool_of(piece),
        "plan": state.identity_of(piece.experiment.plan, piece.run, piece.cell),
        "files": sha256_text(repr(sorted(hashes.items())) + (at if writing.anew else "")),
        "written": hashes,
        "links": links,
        **({} if piece.cell else {"trains": trains(piece)}),
        "at": at,
    }


def _write(writing: Writing) -> None:
    top = writing.piece.experiment.folder.path
    files = {path: text for path, text in writing.files.items() if path not in writing.edited}
    placing.put(files, writing.links, top)


def _remove_former(writing: Writing) -> None:
    """What an earlier plan needed and this one does not."""
    piece, before = writing.piece, _entry_of(writing.piece)
    wanted = {_name(path, piece) for path in (*writing.files, *writing.links)}
    for name in (*before.get("written", {}), *before.get("links", {})):
        if name not in wanted:
            placing.remove(piece.experiment.folder.path / name, piece.experiment.folder.path)


def _entry_of(piece: Piece) -> Mapping[str, Any]:
    told: Any = object_in(piece.folder.scaffolded)
    for key in ("cells", piece.cell.name) if piece.cell else ():
        told = told.get(key) if isinstance(told, dict) else None
    return told if isinstance(told, dict) else {}


def _summary(experiment: Experiment) -> None:
    plan, folder = experiment.plan, experiment.folder
    runs = expand.runs(plan, folder)
    parts = state.read(plan, runs, expand.cells(plan, runs, folder), folder)
    summary.write(experiment, state.fold(parts, {}, folder))


def left_over(folder: ExperimentFolder, runs: Sequence[Run]) -> list[str]:
    """Folders of runs that an earlier plan had."""
    names = {run.name for run in runs}
    return sorted(path.parent.name for path in folder.path.glob("*/run.json") if path.parent.name not in names)
