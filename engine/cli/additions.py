"""`progtrain additions`: rows that versions train with besides their training split."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from progtrain.engine.additions import checks, folder, hard, make, plan, splits, suspects
from progtrain.engine.additions.folder import Addition
from progtrain.engine.cli.common import chosen_version, datasets, from_here, json_option, versions, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.clock import now
from progtrain.engine.control.context import Context
from progtrain.engine.control.launch import Options
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.loop.runner import prepare
from progtrain.engine.prepared_data import available, read_stats
from progtrain.engine.workspace import Workspace

_python = click.option("--python", metavar="PATH", help="Interpreter of your scripts; by default the loop's.")
_dataset = click.option("--dataset-id", metavar="ID", shell_complete=datasets, help="Folder below dataset/prepdata/.")
#: rows of an addition
_SHOWN = 10
#: key of an action -> the option that says it
_OPTIONS = {
    "augment.share": "--augment",
    "augment.with": "--with",
    "`with: [own]`": "--with own",
    "replay.share": "--replay",
    "replay.hard_by": "--hard-by",
    "hard_by: training_loss": "--hard-by training_loss",
    "focus.classes": "--classes",
    "focus.target_range": "--range",
    "focus.metric_part": "--part",
}
_KEYS = re.compile("|".join(map(re.escape, _OPTIONS)))
_PLACES = {"focus": "--classes, --range or --part", "augment": "--augment", "seed": "--seed"}


@click.group("additions")
def command() -> None:
    """Rows that versions train with besides: made from training rows, checked for leaks."""


def _context(ws: Workspace, dataset_id: str | None, python: str | None = None) -> Context:
    if not available(ws):
        where = "no training data lie here: rows are made from those below dataset/prepdata/"
        fix = "name the workspace with -C, or start one: progtrain init"
        raise InputError(where, file=ws.root, fix=fix)
    return prepare(ws, Options(dataset_id=dataset_id, python=from_here(python)), dry_run=True)


@command.command("list")
@_dataset
@json_option
@click.pass_context
def listed(ctx: click.Context, dataset_id: str | None, as_json: bool) -> None:
    """All additions to the data."""
    ws = workspace(ctx)
    dataset = _context(ws, dataset_id).dataset_id
    rows = [_summary(folder.read(ws, dataset, name)) for name in folder.names(ws, dataset)]
    if as_json:
        print_json("additions", {"dataset_id": dataset, "rows": rows})
        return
    if not rows:
        say(f"no addition to {dataset} yet: progtrain additions make v001 makes one")
        return
    cells = [
        (one["addition"], one["made_from"], one["augment"], one["replay"], one["dropped"], one["focus"]) for one in rows
    ]
    say(table(("addition", "made from", "augmented", "replayed", "dropped", "focus"), cells, right=(2, 3, 4)))


def _summary(one: Addition) -> dict[str, Any]:
    told = one.manifest
    focus = ", ".join(f"{part['slice']} ({part['metric']} {part['value']})" for part in told["focus"])
    keys = ("addition", "made_from", "created_at")
    return {
        **{key: told.get(key) for key in keys},
        **{kind: told["counts"][kind] for kind in ("augment", "replay", "base")},
        "dropped": len(one.checks.get("refused", [])),
        "focus": focus,
        "classes": dict(sorted(Counter(str(row["label"]) for row in told["rows"]).items())),
    }


@command.command("show")
@click.argument("name", metavar="a001")
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=_SHOWN, show_default=True, help="That many of its rows."
)
@_dataset
@json_option
@click.pass_context
def show(ctx: click.Context, name: str, count: int, dataset_id: str | None, as_json: bool) -> None:
    """What an addition is made of, and what was left out."""
    ws = workspace(ctx)
    _show(folder.read(ws, _context(ws, dataset_id).dataset_id, name), count, as_json)


def _show(one: Addition, count: int, as_json: bool) -> None:
    if as_json:
        told = {key: value for key, value in one.manifest.items() if key != "rows"}
        left = {key: one.checks.get(key, []) for key in ("refused", "suspects_left_out")}
        print_json("addition", {**told, **_summary(one), **left, "rows": one.manifest["rows"][:count]})
        return
    told, refused = one.manifest, one.checks.get("refused", [])
    counts, names = told["counts"], ", ".join(told["operations"]) or "nothing"
    say(f"{one.name}: {len(one)} rows for {told['dataset_id']}, made from {told['made_from']}", bold=True)
    say(f"focus: {_summary(one)['focus']} ({told['focus_by']}), hard by {told['hard_by']}")
    say(f"{counts['augment']} changed by {names}, {counts['replay']} repeated; seed {told['seed']}")
    by_class = _summary(one)["classes"]
    if len(by_class) <= 20:
        say("labels: " + ", ".join(f"{label} {number}" for label, number in by_class.items()))
    for row in refused:
        say(f"dropped {row['row']}: {row['reason']}")
    left = one.checks.get("suspects_left_out", [])
    if left:
        rows = "row with a doubtful label was" if len(left) == 1 else "rows with doubtful labels were"
        by = "--out-of-fold" if told["hard_by"] == hard.HOW["out_of_fold"] else told["made_from"]
        say(f"{len(left)} training {rows} left out: progtrain additions suspects {by} lists them")
    if count and one.manifest["rows"]:
        cells = [
            (row["id"], row["kind"], row["operation"], row["parent"], row["label"]) for row in told["rows"][:count]
        ]
        say("\n" + table(("row", "kind", "operation", "made from", "label"), cells))


@command.command("check")
@click.argument("name", metavar="a001|FOLDER")
@_dataset
@json_option
@click.pass_context
def check(ctx: click.Context, name: str, dataset_id: str | None, as_json: bool) -> int:
    """Check an addition again: origin, ids, equal and nearly equal validation and test rows, types and ranges.

    Ends with 2 where a row is refused. A folder is one that is not in use yet, such as a draft's.
    """
    ws = workspace(ctx)
    context = _context(ws, dataset_id)
    dataset = context.dataset_id
    path = Path(name) if name not in folder.names(ws, dataset) and Path(name).is_dir() else None
    report = checks.again(ws, dataset, "" if path else name, path, context.python)
    if as_json:
        print_json("addition_check", {"addition": name, **_told(report)})
    else:
        if report.refused:
            say(
                table(("row", "check", "reason"), [(one["row"], one["check"], one["reason"]) for one in report.refused])
            )
        against = " and ".join(f"{count} {checks.SPLITS[split]}" for split, count in report.compared.items())
        say(
            f"{len(report.digests)} rows against {against or 'no'} rows: {len(report.refused) or 'none'} refused",
            bold=True,
        )
    return 2 if report.refused else 0


def _told(report: checks.Report) -> dict[str, Any]:
    return {
        "rows": len(report.digests),
        "compared_with": report.compared,
        "limits": report.limits,
        "refused": report.refused,
    }


@command.command("suspects")
@click.argument("version", metavar="[vNNN]", required=False, shell_complete=versions)
@click.option("--out-of-fold", is_flag=True, help="By a small model of the rows themselves, not by the version's.")
@_dataset
@_python
@json_option
@click.pass_context
def list_suspects(
    ctx: click.Context,
    version: str | None,
    out_of_fold: bool,
    dataset_id: str | None,
    python: str | None,
    as_json: bool,
) -> None:
    """Training rows whose label is probably wrong, the surest first.

    By what the version's best checkpoint says of its training rows. Nothing is changed: look at them.
    """
    ws = workspace(ctx)
    context = _context(ws, dataset_id, python)
    train = splits.train(ws, context.dataset_id, context.python)
    if splits.is_regression(train, read_stats(ws.stats(context.dataset_id))):
        fix = "look at those with the largest loss: progtrain additions make v001 --replay 0.05"
        raise InputError("the target is a number: there is no class that another could be mistaken for", fix=fix)
    if out_of_fold:
        found = hard.out_of_fold(train, ws.root, regression=False)
    else:
        run = hard.plainly(ws, context.python, context.rules.timeout_seconds)
        found = hard.by_training(ws, chosen_version(ws, version), train, run)
    rows = suspects.listed(found, train)
    if as_json:
        print_json("suspects", {"dataset_id": context.dataset_id, "by": found.how, "of": len(train), "rows": rows})
        return
    if rows:
        cells = [(one["id"], one["label"], one["of_label"], one["likely"], one["of_likely"]) for one in rows]
        say(table(("row", "label", "probability", "likely", "probability"), cells, right=(2, 4)))
    say(f"{len(rows) or 'none'} of {len(train)} labels doubtful, by {found.how}")


@command.command("make")
@click.argument("version", metavar="vNNN", shell_complete=versions)
@click.option("--classes", metavar="A,B", help="Rows of these classes; by default the weakest ones.")
@click.option("--range", "target_range", type=float, nargs=2, metavar="LOW HIGH", help="Rows with such a target.")
@click.option("--part", metavar="NAME", help="Rows that are hard by this metric part.")
@click.option("--augment", type=float, metavar="SHARE", help="Changed rows, as a share of the training rows.")
@click.option("--with", "ways", multiple=True, metavar="WAY", help=f"{', '.join(plan.WAYS)}; may come several times.")
@click.option("--replay", type=float, metavar="SHARE", help="Repeated hard rows, as a share of the training rows.")
@click.option("--hard-by", type=click.Choice(plan.HARD_BY), help="By the version's losses, or by a small model.")
@click.option("--seed", type=click.IntRange(min=0), help="By default that of the rules.")
@click.option("--dry-run", is_flag=True, help="Show what would be made, and keep nothing.")
@click.option("--again", is_flag=True, help="Also where an addition with the same rows is there.")
@_dataset
@_python
@json_option
@click.pass_context
def make_one(ctx: click.Context, /, version: str, dry_run: bool, again: bool, as_json: bool, **given: Any) -> None:
    """Make an addition from the version's weakest classes, or the part of the target where it is furthest off.

    Validation and test rows are read by the checks alone. Rows that equal one of them, or nearly do, are dropped and
    named.
    """
    ws = workspace(ctx)
    context = _context(ws, given["dataset_id"], given["python"])
    version = chosen_version(ws, version)
    dataset, exe = context.dataset_id, context.python
    into, there = ws.making / f"dry-{os.getpid()}", folder.names(ws, dataset)
    try:
        with _in_options():
            wanted = plan.read(_action(given), seed=context.rules.seed)
            if dry_run:
                one = make.build(ws, version, wanted, dataset_id=dataset, python=exe, clock=now, into=into)
            else:
                one = make.make(ws, version, wanted, dataset_id=dataset, python=exe, clock=now, again=again)
        if one.name in there:
            say(f"{one.name} is there already, with the same rows: --again makes another one", error=as_json)
        _show(one, _SHOWN, as_json)
    finally:
        shutil.rmtree(into, ignore_errors=True)


@contextmanager
def _in_options() -> Iterator[None]:
    """What is wrong with an action is told by the options that it comes from."""
    try:
        yield
    except ProgtrainError as error:
        reason, place, fix = (
            _KEYS.sub(lambda found: _OPTIONS[found[0]], text or "") for text in (error.reason, error.place, error.fix)
        )
        raise type(error)(reason, file=error.file, place=_PLACES.get(place, place) or None, fix=fix or None) from error


def _action(given: dict[str, Any]) -> dict[str, Any]:
    """As an action file would have it."""
    named = [key for key in ("classes", "target_range", "part") if given[key]]
    if len(named) > 1:
        raise InputError("--classes, --range and --part exclude each other", fix="give one of them")
    focus: dict[str, Any] = {}
    if given["classes"]:
        focus = {"classes": [name.strip() for name in given["classes"].split(",") if name.strip()]}
    elif given["target_range"]:
        focus = {"target_range": list(given["target_range"])}
    elif given["part"]:
        focus = {"metric_part": given["part"]}
    augment = {"share": given["augment"], "with": list(given["ways"]) or None}
    replay = {"share": given["replay"], "hard_by": given["hard_by"]}
    action: dict[str, Any] = {
        "focus": focus,
        "augment": {key: value for key, value in augment.items() if value is not None},
        "replay": {key: value for key, value in replay.items() if value is not None},
    }
    return action if given["seed"] is None else {**action, "seed": given["seed"]}
