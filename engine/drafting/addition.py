"""The rows of a drafted data action: made beside the draft, shown in its review, taken over once it is accepted."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import hooks, prepared_data, values
from progtrain.engine.additions import focus, make, plan, splits
from progtrain.engine.additions import folder as folders
from progtrain.engine.additions.folder import Addition
from progtrain.engine.additions.hard import Run
from progtrain.engine.additions.tools.progtrain_additions_rows import Rows, picture
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.control.context import Context
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import object_in, sha256, storage_errors, try_read_json, write_json
from progtrain.engine.script import version_files
from progtrain.engine.script.action.data import DataOperation
from progtrain.engine.script.action.operation import Operation
from progtrain.engine.script.action.parts import additions
from progtrain.engine.text import clean_line, tail
from progtrain.engine.workspace import Workspace

_BLOCK = re.compile(r"^([ \t]*)operation[ \t]*:[ \t]*[\"']?data[\"']?[ \t]*$", re.MULTILINE)
_SHOWN = 10
#: of a row, and of a picture of it
_CELLS, _SIDE = 4, 16
#: characters of a number from which on it is rounded
_LONG = 10
_SHADES = " .:-=+*#%@"


def dataset_of(ws: Workspace, version: str) -> str:
    """Of the data that a version was trained on. Raises `InputError`."""
    found = object_in(ws.version(version).spec).get("dataset_id")
    there = prepared_data.available(ws)
    if not isinstance(found, str):
        found = there[0] if len(there) == 1 else None
    if found not in there:
        reason = f"nobody knows what {version} was trained on: rows are added to prepared data"
        raise InputError(reason, file=ws.version(version).spec, fix="train the version first")
    return str(found)


def named(ws: Workspace, version: str, base: str, operation: DataOperation) -> DataOperation:
    """With its focus and the name of its addition: of one that is there, or of the one that is made for the draft.

    Raises `InputError`. Makes nothing.
    """
    dataset = dataset_of(ws, base)
    there = folders.names(ws, dataset)
    if operation.addition in there:
        folders.read(ws, dataset, operation.addition or "")
        return operation
    filled = _with_focus(ws, base, operation)
    drafted = try_read_json(ws.drafts(version).addition_request)
    name = folders.free_name(ws, dataset)
    if drafted is not None and _is_drafted(ws, version, dataset, filled, base, drafted):
        name = str(drafted["addition"])
    if operation.addition not in (None, name):
        reason = f"there is no addition {operation.addition}"
        fix = f"name one of {', '.join(there)}, or leave `addition` out" if there else "leave `addition` out"
        raise InputError(reason, place="key addition", fix=fix)
    return filled.model_copy(update={"addition": name})


def _with_focus(ws: Workspace, base: str, operation: DataOperation) -> DataOperation:
    """Where the action names none: where its base is weakest. Raises `InputError`."""
    if operation.focus:
        return operation
    path = ws.version(base).per_sample
    samples = read_per_sample(path)
    found = focus.chosen(operation.plan(0), samples, ws.relative(path), not samples.is_classification)
    return operation.model_copy(update={"focus": found[2].focus})


def _is_drafted(
    ws: Workspace, version: str, dataset: str, operation: DataOperation, base: str, drafted: Mapping[str, Any]
) -> bool:
    """Whether the rows for it lie in the draft, under a name that is still free or that they have got already."""
    name = str(drafted.get("addition"))
    if drafted != _request(ws, operation.model_copy(update={"addition": name}), base):
        return False
    mine, taken = ws.drafts(version).addition / "checks.json", ws.addition(dataset, name) / "checks.json"
    return not taken.exists() or (mine.is_file() and sha256(mine) == sha256(taken))


def _request(ws: Workspace, operation: DataOperation, base: str) -> dict[str, Any]:
    """What the rows of a draft were made from."""
    stated = object_in(ws.version(base).spec).get("checkpoint")
    weights = stated.get("best_sha256") if isinstance(stated, dict) else None
    return {"base": base, "weights": weights, **operation.model_dump(mode="json", exclude={"control", "operation"})}


def prepared(context: Context, version: str, operation: Operation, base: str) -> Addition | None:
    """The rows of a planned data action, made and checked in the draft where they are not there yet; None for another
    action. Raises `InputError`, `StepFailed`, `Stopped`.
    """
    if not isinstance(operation, DataOperation):
        return None
    ws, draft = context.ws, context.ws.drafts(version)
    dataset, name = dataset_of(ws, base), str(operation.addition)
    used = additions.used(str(version_files.read(ws, base))) or ()
    if name in folders.names(ws, dataset):
        found = folders.read(ws, dataset, name)
        _see_room(found, sum(len(folders.read(ws, dataset, one)) for one in used))
        return found
    request = _request(ws, operation, base)
    if try_read_json(draft.addition_request) == request and draft.addition.is_dir():
        return folders.read_folder(draft.addition, name)
    draft.addition_request.unlink(missing_ok=True)
    try:
        built = _built(context, base, operation, dataset, draft.addition, used)
    except (InputError, StepFailed) as error:
        write_json(draft.addition_request, {**request, "refused": str(error)})
        raise
    write_json(draft.addition_request, request)
    return built


def _built(
    context: Context, base: str, operation: DataOperation, dataset: str, into: Path, used: Sequence[str]
) -> Addition:
    built = make.build(
        context.ws,
        base,
        operation.plan(context.rules.seed),
        dataset_id=dataset,
        python=context.python,
        clock=context.clock,
        into=into,
        run=_runner(context, base),
        already=used,
    )
    if built.name != operation.addition:
        reason = f"{operation.addition} has been made meanwhile"
        raise InputError(reason, place="key addition", fix="draft the action again")
    return built


def refused(ws: Workspace, version: str, operation: Operation, base: str) -> str:
    """Why the rows of a planned action could not be made when it was drafted; empty where they could, or nobody has
    tried yet.
    """
    if not isinstance(operation, DataOperation):
        return ""
    drafted = try_read_json(ws.drafts(version).addition_request)
    if drafted is None or drafted != {**_request(ws, operation, base), "refused": drafted.get("refused")}:
        return ""
    return str(drafted["refused"] or "")


def _see_room(found: Addition, others: int) -> None:
    base = int(found.manifest["counts"]["base"])
    if len(found) + others > plan.MOST * base:
        reason = (
            f"{len(found)} rows with the {others} of other additions are more than half of the {base} training rows"
        )
        raise InputError(
            reason, place="key addition", fix="name a smaller one, or go back to a version without the others"
        )


def _runner(context: Context, version: str) -> Run:
    """The evaluator on the training split, under a guard: a stop that is asked for ends it."""

    def run(words: Sequence[str]) -> tuple[int, str]:
        job = context.ws.job(f"{version}-on-train")
        shutil.rmtree(job.path, ignore_errors=True)  # its result was taken over, or nobody waits for it
        started, variables = hooks.evaluator(context.ws, version)
        given, writes = [*started, *words[1:]], context.ws.train_scores(version).path
        state = context.run_script(job.path.name, given, writes=writes, variables=variables)
        return (1 if state.exit_code is None else state.exit_code), tail(context.executor.log(job))

    return run


def take_over(ws: Workspace, version: str, operation: Operation, base: str) -> None:
    """Puts the drafted rows in their place, where they are not yet. Raises `InputError`, `StorageError`."""
    if not isinstance(operation, DataOperation):
        return
    dataset, draft = dataset_of(ws, base), ws.drafts(version)
    if operation.addition not in folders.names(ws, dataset):
        folders.put(ws, draft.addition)


def see_made(ws: Workspace, operation: Operation, base: str) -> None:
    """Where nobody is shown rows before they are used, they must be there. Raises `InputError`."""
    if isinstance(operation, DataOperation) and operation.addition not in folders.names(ws, dataset_of(ws, base)):
        fix = "make them first (progtrain additions make), and name them: `addition: a001`"
        raise InputError("its rows are not made yet", place="key addition", fix=fix)


def forget(ws: Workspace, version: str) -> None:
    """What is in its place is not kept in the draft too."""
    draft = ws.drafts(version)
    with storage_errors(draft.path):
        draft.addition_request.unlink(missing_ok=True)
        shutil.rmtree(draft.addition, ignore_errors=True)


def with_name(text: str, operation: Operation) -> str:
    """The text of an accepted action, which says which rows it means."""
    if not isinstance(operation, DataOperation) or f"addition: {operation.addition}" in text:
        return text
    return _BLOCK.sub(lambda found: f"{found[0]}\n{found[1]}addition: {operation.addition}", text, count=1)


# for the review


def shown(ws: Workspace, found: Addition, python: str | None = None) -> dict[str, Any]:
    """What a person looks at before accepting: counts, some rows beside their parents, and what was checked."""
    told, dropped = found.manifest, found.checks.get("refused") or []
    train = splits.train(ws, str(told["dataset_id"]), python)
    rows = splits.of_addition(found.folder, train, ws.root)
    listed = [one for at in _spread_out(told["rows"]) for one in [told["rows"][at]]]
    against = " and ".join(f"{n} {split} rows" for split, n in values.within(found.checks, "compared_with").items())
    return {
        "name": found.name,
        "counts": dict(told["counts"]),
        "classes": dict(sorted(Counter(str(row["label"]) for row in told["rows"]).items())),
        "focus": [f"{one['slice']} ({one['metric']} {one['value']})" for one in told["focus"]],
        "hard_by": str(told["hard_by"]),
        "rows": [_beside(ws, row, rows, train, told) for row in listed],
        "checks": [
            f"{len(found)} rows: each has its parent in train, as types, ranges and labels are there",
            f"none equals or nearly equals one of {against}" if against else "there are no rows to hold them against",
            *(f"dropped {one['row']}: {one['reason']}" for one in dropped[:_SHOWN]),
        ],
        "suspects_left_out": len(found.checks.get("suspects_left_out") or []),
    }


def _spread_out(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Some of both kinds: those that were changed tell more."""
    changed = [at for at, row in enumerate(rows) if row["kind"] == "augment"]
    others = [at for at, row in enumerate(rows) if row["kind"] != "augment"]
    few = others[: max(2, _SHOWN - len(changed))]
    room = _SHOWN - len(few)
    step = max(1, len(changed) // room)
    return sorted([*changed[::step][:room], *few])


def _beside(ws: Workspace, row: Mapping[str, Any], rows: Rows, train: Rows, told: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {key: str(row[key]) for key in ("id", "kind", "operation", "parent", "label")}
    mine, theirs = rows.place.get(str(row["id"])), train.place.get(str(row["parent"]))
    if mine is None or theirs is None:
        return result
    changes = []
    for name, kind in train.kinds.items():
        before, after = train.columns[name][theirs], rows.columns[name][mine]
        if kind in ("array", "picture"):
            drawn = _drawn(ws, before), _drawn(ws, after)
            if all(drawn):
                result |= {"before": drawn[0], "after": drawn[1]}
            continue
        if str(before) != str(after):
            changes.append(f"{name} {_cell(before)} → {_cell(after)}")
    more = f", {len(changes) - _CELLS} more" if len(changes) > _CELLS else ""
    return {**result, "change": ", ".join(changes[:_CELLS]) + more}


def _cell(value: Any) -> str:
    text, number = clean_line(str(value)), values.number(value)
    return text[:40] if number is None or len(text) <= _LONG else f"{number:.6g}"


def _drawn(ws: Workspace, value: Any) -> list[str]:
    """A picture in letters, a line a row; empty for what is none."""
    import numpy as np

    pixels = picture(ws.root / value) if not hasattr(value, "shape") else value
    if pixels.ndim == 3:
        pixels = pixels.mean(axis=0 if pixels.shape[0] <= 4 < pixels.shape[2] else 2)
    if pixels.ndim != 2 or not pixels.size or pixels.dtype.kind not in "biuf":
        return []
    step = -(-max(pixels.shape) // _SIDE)
    small = np.nan_to_num(pixels[::step, ::step].astype(float))
    low, high = float(small.min()), float(small.max())
    levels = ((small - low) / ((high - low) or 1.0) * (len(_SHADES) - 1)).round().astype(int)
    return ["".join(2 * _SHADES[level] for level in line) for line in levels]
