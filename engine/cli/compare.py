"""`progtrain compare`: versions and external models over the same samples, side by side."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from progtrain.engine.cli.common import interpreter, json_option, say_written, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.clock import now
from progtrain.engine.errors import InputError, StorageError
from progtrain.engine.files import object_in
from progtrain.engine.repeats import found as repeats
from progtrain.engine.rules import goal, rules
from progtrain.engine.side_by_side import asked_again, differences, dimensions, result, sides
from progtrain.engine.side_by_side.result import Result
from progtrain.engine.side_by_side.sides import EXTERNAL, Side
from progtrain.engine.trackers import export
from progtrain.engine.workspace import Workspace

#: cells of a bar of 1
_BAR = 24


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    ws = workspace(ctx)
    known = [*ws.versions(), *(f"{EXTERNAL}{path.name}" for path in sorted(ws.external.glob("*")) if path.is_dir())]
    return [name for name in known if name.startswith(incomplete)]


@click.command("compare")
@click.argument("names", nargs=-1, required=True, metavar="MODEL...", shell_complete=models)
@click.option("--metric", metavar="NAME", help="Only this one.")
@click.option("--repeat", "times", type=click.IntRange(2, 99), help="Ask external models anew, so many times.")
@click.option(
    "--python", metavar="PATH", help="Interpreter of 03_eval.py, for --repeat; by default that of your scripts."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, names: Sequence[str], metric: str | None, times: int | None, python: str | None, as_json: bool
) -> None:
    """Versions and external models over the same samples, side by side.

    Each MODEL against the first: metrics with verdicts, scores by class, and what answered.

    A MODEL is a version (v003) or an external model (external/NAME). Tables and a picture are written to
    Models/Report/compare-<time>/.
    """
    ws = workspace(ctx)
    found = sides.find(ws, names)
    _refuse(found, times)
    compared = _compared(ws, found, metric)
    try:
        into = result.folder(ws, now())
    except StorageError as error:
        if times:  # its runs would lie there
            raise
        files, missing = list[Path](), f"not written: {error.located}"
    else:
        with _whole_or_not_at_all(into):
            if times:
                compared = compared._replace(asked=_asked(ws, found, times, interpreter(python), into, quiet=as_json))
            files, missing = result.write(compared, into)
    told = [*result.notes(compared), *([missing] if missing else [])]
    if times and (trained := [side.name for side in found if not side.is_external]):
        told.append(f"a version is repeated by training it again: progtrain repeat {trained[0]}")
    if as_json:
        print_json("compare", _plain(ws, compared, told, files))
        return
    _show(compared)
    for text in told:
        say(f"note: {text}")
    say_written([ws.relative(files[0].parent)] if files else [])


@contextmanager
def _whole_or_not_at_all(into: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise


def _refuse(found: Sequence[Side], times: int | None) -> None:
    external = [side for side in found if side.is_external]
    if times and not external:
        fix = f"progtrain repeat {found[0].name} trains it again with other seeds"
        raise InputError("--repeat asks external models, and there is none", place="--repeat", fix=fix)
    if len(found) < 2 and not times:
        raise InputError("one model alone is no comparison", place="MODEL", fix="name two or more")


def _compared(ws: Workspace, found: Sequence[Side], metric: str | None) -> Result:
    stated = rules.load(ws)
    reported = repeats.told_beside(ws, sides.basis(ws, found[0]))
    lines = differences.lines(found, metric, goal.primary_metric(goal.read(ws)), stated.seed, reported)
    if metric is not None and {line.metric for line in lines} <= {differences.ANSWERED, differences.LATENCY}:
        named = ", ".join(dict.fromkeys(one.name for side in found for one in side.score.metrics))
        raise InputError(f"none of them has a metric {metric!r}", place="--metric", fix=f"there are: {named}")
    ids = sides.common(found)
    held = {side.name: side.samples for side in found if side.samples is not None and not side.refused}
    classes = object_in(found[0].folder.protocol).get("class_names")
    columns = [str(name) for name in classes] if isinstance(classes, list) else []
    return Result(tuple(found), tuple(lines), tuple(ids), tuple(dimensions.find(held, ids, columns)))


def _asked(
    ws: Workspace, found: Sequence[Side], times: int, python: str | None, into: Path, *, quiet: bool
) -> tuple[asked_again.Asked, ...]:
    python = python or export.interpreter(ws)

    def tell(text: str) -> None:
        say(text, error=quiet)

    return tuple(
        asked_again.ask(ws, side, times, python, into / "repeats" / side.folder.path.name, tell)
        for side in found
        if side.is_external
    )


def _show(found: Result) -> None:
    rows = list(result.metric_cells(found))
    header = ("metric", "model", "value", "difference", "95 %", "verdict", "note")
    shown = [("" if at and rows[at - 1][0] == row[0] else row[0], *row[1:]) for at, row in enumerate(rows)]
    say(f"against {found.sides[0].name}, {len(found.common)} samples", bold=True)
    say(table(header, shown, right=(2, 3, 4)))
    if found.dimensions:
        say(f"\n{dimensions.told(found.dimensions)} by {found.dimensions[0].kind}", bold=True)
        say(table((found.dimensions[0].kind, "model", "", "value"), list(_bars(found)), right=(3,)))
    for asked in found.asked:
        say(f"\n{asked.model}, asked {asked.runs} times", bold=True)
        for text in result.told_of(asked):
            say(f"  {text}")
    say()


def _bars(found: Result) -> list[tuple[str, str, str, str]]:
    """Of each class or dimension a bar a model; of errors, longer is worse."""
    errors = [v for one in found.dimensions for v in one.values.values() if v is not None]
    whole = 1.0 if found.dimensions[0].higher_is_better else max([*errors, 1e-12])
    rows = []
    for one in found.dimensions[: dimensions.MOST]:
        for at, (model, value) in enumerate(one.values.items()):
            bar = "█" * round(_BAR * value / whole) if value is not None else ""
            name = f"{one.name} ({one.samples})" if not at else ""
            rows.append((name, model, bar, result.number(value)))
    return rows


def _plain(ws: Workspace, found: Result, told: Sequence[str], files: Sequence[Path]) -> dict[str, Any]:
    return {
        "against": found.sides[0].name,
        "samples": len(found.common),
        "models": [
            {
                "name": side.name,
                "answered": side.answered,
                "served_by": dict(side.shares),
                "latency_ms": side.score.latency_ms,
                "refused": side.refused,
                "confounded": side.confounded,
            }
            for side in found.sides
        ],
        "metrics": [line._asdict() for line in found.lines],
        "dimensions": [one._asdict() for one in found.dimensions],
        "repeats": [
            {
                **asked._asdict(),
                "spread": {
                    name: dict(zip(("mean", "sd", "min", "max"), numbers, strict=True))
                    for name, numbers in asked.spread.items()
                },
            }
            for asked in found.asked
        ],
        "notes": list(told),
        "files": [ws.relative(path) for path in files],
    }
