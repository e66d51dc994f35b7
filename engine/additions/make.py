"""Chooses parents, has a child process that sees training rows alone make the rows, and checks them."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine import prepared_data
from progtrain.engine.additions import checks, focus, hard, own, plan, splits, stage, suspects
from progtrain.engine.additions import folder as folders
from progtrain.engine.additions.folder import Addition, AdditionFolder
from progtrain.engine.additions.plan import NUMBERS, OWN, PICTURES, Plan
from progtrain.engine.additions.tools.progtrain_additions_rows import Rows, chosen, write
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.clock import Clock
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import object_in, read_json, read_text, sha256, storage_errors, write_json
from progtrain.engine.text import clean_line, last_line
from progtrain.engine.workspace import Workspace

_MAKER = Path(__file__).parent / "tools" / "progtrain_additions_make.py"
_USUAL = {"picture": ("shift", "noise"), "table": ("jitter",), "text": ()}
_NAMED = 3


class Choice(NamedTuple):
    """What an addition is made of, before a row of it is made."""

    plan: Plan
    train: Rows
    counts: dict[str, int]
    focus: list[dict[str, Any]]
    focus_by: str
    hard_by: str
    #: way -> parameters
    ways: dict[str, dict[str, float]]
    #: file with the user's own `augment`; empty where it is not asked for
    hook: str
    #: ids of parents, in the order of the rows
    replay: list[str]
    augment: list[str]
    #: training rows that are left out, as `suspects.listed` has them
    suspects: list[dict[str, Any]]


def choose(
    ws: Workspace,
    version: str,
    wanted: Plan,
    *,
    dataset_id: str,
    run: hard.Run,
    already: Sequence[str] = (),
    python: str | None = None,
) -> Choice:
    """Which training rows are to be added. Reads no validation row: the version's evaluation says where it is weak.

    Raises `InputError`, `StepFailed`.
    """
    train = splits.train(ws, dataset_id, python)
    others = sum(len(folders.read(ws, dataset_id, name)) for name in already)
    counts = plan.counts(wanted, len(train), others)
    ways, hook = _ways(ws, version, wanted, splits.kind_of(train), counts)
    scores = ws.version(version)
    samples, source = read_per_sample(scores.per_sample), ws.relative(scores.per_sample)
    stated = splits.is_regression(train, prepared_data.read_stats(ws.stats(dataset_id)))
    regression = stated or not samples.is_classification
    told, by, filled = focus.chosen(wanted, samples, source, regression)
    if wanted.hard_by == "training_loss":
        found = hard.by_training(ws, version, train, run)
    elif "metric_part" in wanted.focus:
        reason = "a metric part of training rows is known from the version's own evaluation alone"
        raise InputError(reason, place="replay.hard_by", fix="take hard_by: training_loss")
    else:
        found = hard.out_of_fold(train, ws.root, regression)
    names = object_in(scores.protocol).get("class_names") or []
    doubtful = suspects.listed(found, train)
    left_out = {one["id"] for one in doubtful}
    score = _score(filled, found, source)
    places = [at for at in focus.meant(filled, train, [str(name) for name in names]) if train.ids[at] not in left_out]
    if not places:
        raise InputError("the labels of all training rows in the focus are doubtful", place="focus", fix="name another")
    order = [train.ids[at] for at in sorted(places, key=lambda at: (-score[at], at))]
    parents = {kind: [order[at % len(order)] for at in range(counts[kind])] for kind in ("replay", "augment")}
    return Choice(filled, train, counts, told, by, found.how, ways, hook, **parents, suspects=doubtful)


def _score(wanted: Plan, found: hard.Hard, source: str) -> list[float]:
    if "metric_part" not in wanted.focus:
        return found.loss
    name = wanted.focus["metric_part"]
    if name not in found.parts:
        reason = f"the evaluation on the training split has no part {clean_line(name)!r}"
        raise InputError(
            reason, file=source, place="focus.metric_part", fix=f"parts: {', '.join(found.parts) or 'none'}"
        )
    return [abs(value or 0.0) for value in found.parts[name]]


def _ways(
    ws: Workspace, version: str, wanted: Plan, kind: str, counts: Mapping[str, int]
) -> tuple[dict[str, dict[str, float]], str]:
    """Ways with their parameters, and the file of the user's own. Raises `InputError`."""
    if not counts["augment"]:
        return {}, ""
    ways = wanted.ways or _USUAL[kind]
    fitting = {"picture": PICTURES, "table": NUMBERS, "text": {}}[kind]
    hook = "def augment(raw, target, rng), which returns the changed row, in 05_augment.py: then take `with: [own]`"
    if not ways:
        reason = "rows of text are only repeated: nothing changes a text and is sure to leave its meaning"
        raise InputError(reason, place="augment.share", fix=f"set augment.share to 0, or write {hook}")
    for way in ways:
        if way != OWN and way not in fitting:
            there = f"take {', '.join(fitting)}, or" if fitting else "set augment.share to 0, or"
            reason = f"{way} changes {'pictures' if way in PICTURES else 'numbers'}, and these rows are not such"
            raise InputError(reason, place="augment.with", fix=f"{there} write {hook}")
    return {way: {**PICTURES, **NUMBERS}.get(way, {}) for way in ways}, _hook(ws, version) if OWN in ways else ""


def _hook(ws: Workspace, version: str) -> str:
    """Which file has `augment`. Raises `InputError`."""
    for path in (ws.augment_script, ws.script(version)):
        try:
            statements = ast.parse(read_text(path)).body if path.is_file() else []
        except (SyntaxError, ValueError) as error:
            raise InputError(f"it is no Python that can be read: {error}", file=path, fix="correct it") from error
        if any(isinstance(one, ast.FunctionDef) and one.name == "augment" for one in statements):
            return path.name
    reason = f"neither 05_augment.py nor {ws.script(version).name} has a function augment(raw, target, rng)"
    raise InputError(reason, place="augment.with", fix="write it, or leave `own` out")


def build(
    ws: Workspace,
    version: str,
    wanted: Plan,
    *,
    dataset_id: str,
    python: str,
    clock: Clock,
    into: Path,
    run: hard.Run | None = None,
    already: Sequence[str] = (),
) -> Addition:
    """Makes an addition in the folder `into`, whatever was there, and checks it; `folder.put` takes it over.

    `python` runs the user's code, `run` the evaluation on the training split. `already`: additions that the version
    trains with besides. Raises `InputError` where it cannot be made or a check stops it, `StepFailed` where a script
    fails; nothing stays then.
    """
    before = checks.hashes(ws, dataset_id)
    run = run or hard.plainly(ws, python, stage.SECONDS)
    choice = choose(ws, version, wanted, dataset_id=dataset_id, run=run, already=already, python=python)
    name = folders.free_name(ws, dataset_id)
    with stage.stage(ws, dataset_id, ("train",), scripts=bool(choice.hook)) as root:
        stage.show_pictures(ws, choice.train, root)
        out = root / "out"
        _make_rows(ws, dataset_id, name, choice, root, python)
        made = read_json(out / "made.json")
        (out / "made.json").unlink()
        report, made = _checked(ws, dataset_id, name, choice, made, out, python)
        _see_unchanged(ws, dataset_id, before)
        write_json(out / "manifest.json", _manifest(ws, dataset_id, name, version, choice, made, before, clock))
        told = {
            "addition": name,
            "checked_at": clock().isoformat(timespec="seconds"),
            "limits": report.limits,
            "compared_with": report.compared,
            "refused": report.dropped,
            "suspects_left_out": choice.suspects,
            "hashes": before,
        }
        folders.finish(out, choice.train.file, told)
        with storage_errors(into):
            shutil.rmtree(into, ignore_errors=True)
            into.parent.mkdir(parents=True, exist_ok=True)
            out.rename(into)
    return folders.read_folder(into, name)


def _see_unchanged(ws: Workspace, dataset_id: str, before: Mapping[str, str | None]) -> None:
    """Raises `InputError` where a split is not as it was."""
    after = checks.hashes(ws, dataset_id)
    for key, was in before.items():
        if after[key] != was:
            place = ws.split(dataset_id, key.removesuffix("_sha256"))
            reason = "the data changed while the addition was made"
            raise InputError(reason, file=place, fix="make it again when nothing writes there")


def make(
    ws: Workspace,
    version: str,
    wanted: Plan,
    *,
    dataset_id: str,
    python: str,
    clock: Clock,
    already: Sequence[str] = (),
    again: bool = True,
) -> Addition:
    """Makes an addition and puts it in its place. Raises as `build` and `folder.put`.

    `again`: also where one with the same rows is there; else that one is returned.
    """
    into = ws.making / f"new-{os.getpid()}"
    try:
        one = build(ws, version, wanted, dataset_id=dataset_id, python=python, clock=clock, into=into, already=already)
        there = "" if again else folders.alike(ws, one)
        return folders.read(ws, dataset_id, there) if there else folders.put(ws, into)
    finally:
        shutil.rmtree(into, ignore_errors=True)


def _make_rows(ws: Workspace, dataset_id: str, name: str, choice: Choice, root: Path, python: str) -> None:
    """Runs the maker. Raises `StepFailed` with what it says, `InputError` without an interpreter."""
    train, told = own.place(ws, dataset_id, "train", python), ws.relative(ws.split(dataset_id, "train"))
    request = {
        "addition": name,
        "root": ".",
        "train": told if train == ws.split(dataset_id, "train") else str(train.absolute()),
        "place": ws.relative(ws.addition(dataset_id, name)),
        "stats": prepared_data.read_stats(ws.stats(dataset_id)),
        "seed": choice.plan.seed,
        "operations": choice.ways,
        "hook": choice.hook,
        "replay": choice.replay,
        "augment": choice.augment,
    }
    write_json(root / "request.json", request)
    done = stage.run([python, str(_MAKER), "request.json", "out"], root, choice.hook or "the rows")
    if done.returncode:
        reason = f"the rows could not be made: {clean_line(last_line(done.stderr))}"
        fix = f"see augment() in {choice.hook}" if choice.hook else "see that the interpreter has numpy and Pillow"
        raise StepFailed(reason, file=choice.hook or python, fix=fix)


def _checked(
    ws: Workspace, dataset_id: str, name: str, choice: Choice, made: list[dict[str, Any]], out: Path, python: str
) -> tuple[checks.Report, list[dict[str, Any]]]:
    """The report, and what is said of the rows that stay; their file holds no others then. Raises `InputError`."""
    folder = AdditionFolder(out)
    own.through(ws, dataset_id, name, out, choice.train, python)
    rows = splits.of_addition(folder, choice.train, ws.root)
    if rows.format == "folders":  # which are listed by name
        made = [next(one for one in made if one["id"] == listed) for listed in rows.ids]
    place = ws.relative(ws.addition(dataset_id, name))
    held = splits.held_out(ws, dataset_id, choice.train, python)
    report = checks.look(ws, made, splits.where_it_lies(rows, folder, place), choice.train, held)
    if report.problems:
        few = "; ".join(f"{one['row']}: {one['reason']}" for one in report.problems[:_NAMED])
        more = f" and {len(report.problems) - _NAMED} more" if len(report.problems) > _NAMED else ""
        writer = f", or write_rows() in {ws.rows_script.name}" if own.is_used(ws) else ""
        fix = (f"see augment() in {choice.hook}" if choice.hook else "ask for other ways to change rows") + writer
        raise InputError(f"rows are not as training rows are: {few}{more}", place="augment", fix=fix)
    gone = {one["row"] for one in report.dropped}
    made = [{**one, "sha256": digest} for one, digest in zip(made, report.digests, strict=True)]
    kept = [at for at, one in enumerate(made) if one["id"] not in gone]
    if len(kept) < plan.LEAST:
        few = "; ".join(f"{one['row']}: {one['reason']}" for one in report.dropped[:_NAMED])
        reason = f"only {len(kept)} of {len(made)} rows are not validation or test rows in disguise: {few}"
        fix = f"ask for more rows, so that {plan.LEAST} stay, or choose another focus"
        raise InputError(reason, place="augment", fix=fix)
    if gone:
        _leave(chosen(rows, kept), folder, gone)
        own.through(ws, dataset_id, name, out, choice.train, python)
    return report, [made[at] for at in kept]


def _leave(rows: Rows, folder: AdditionFolder, gone: set[str]) -> None:
    """Only these rows in the file, and no picture of the others."""
    for name in gone:
        if rows.format == "folders":
            (folder.rows / name).unlink()
        (folder.pictures / f"{name}.png").unlink(missing_ok=True)
    if rows.format != "folders":
        write(rows, folder.path)


def _manifest(
    ws: Workspace,
    dataset_id: str,
    name: str,
    version: str,
    choice: Choice,
    made: Sequence[Mapping[str, Any]],
    before: Mapping[str, str | None],
    clock: Clock,
) -> dict[str, Any]:
    counts = {kind: sum(one["kind"] == kind for one in made) for kind in ("augment", "replay")}
    base = choice.counts["base"]
    return {
        "addition": name,
        "dataset_id": dataset_id,
        "made_from": version,
        "focus": choice.focus,
        "focus_by": choice.focus_by,
        "meant": choice.plan.focus,
        "hard_by": choice.hard_by,
        "counts": {"base": base, **counts},
        "ratios": {"add": round(len(made) / base, 6), "replay": round(counts["replay"] / base, 6)},
        "seed": choice.plan.seed,
        "operations": choice.ways,
        "train_sha256": before["train_sha256"],
        "valid_sha256": before["valid_sha256"],
        "script_sha256": sha256(ws.script(version)),
        "created_at": clock().isoformat(timespec="seconds"),
        "rows": list(made),
    }
