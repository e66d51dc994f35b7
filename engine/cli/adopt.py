"""`progtrain adopt`: a workspace around a training script of your own."""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from progtrain.engine import adopt, metrics
from progtrain.engine.cli.common import interpreter, json_option, workspace
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.control.launch import name_python
from progtrain.engine.errors import InputError
from progtrain.engine.script import found, printed
from progtrain.engine.script import probe as probing
from progtrain.engine.text import clean_line, unified_diff
from progtrain.engine.workspace import Workspace

_SIGNS = {"note": "·", "warning": "!", "error": "✗"}


@click.command("adopt")
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of your data.")
@click.option("--dataset-id", metavar="ID", help="What the data are called; by default guessed.")
@click.option(
    "--metric", metavar="NAME", help="What ranks the versions; NAME:max or NAME:min says which way is better."
)
@click.option("--lock", "locks", metavar="KEY[=VALUE]", multiple=True, help="A setting that must not change.")
@click.option("--python", metavar="PATH", help="Interpreter of your scripts; by default progtrain's own.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: take the defaults, and say them.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    script: Path,
    arguments: tuple[str, ...],
    data: Path | None,
    dataset_id: str | None,
    metric: str | None,
    locks: tuple[str, ...],
    python: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Set a workspace up around a training script of your own.

    SCRIPT, a .py or .ipynb anywhere in the project, is run up to where its training would begin; ARGUMENTS, behind --,
    are what it is started with. Your own files stay as they are, and your data where they lie.
    """
    ws, asks = workspace(ctx), not (yes or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    script = _placed(ws, script)
    source = adopt.read(ws, script)
    runs = interpreter(python) or sys.executable
    text, probe = adopt.run_up(ws, script, source, arguments, runs)
    remarks = _remarks(ws, script, text, probe)
    if unsteady := adopt.unsteady_split(ws, script, text, probe, arguments, runs):
        remarks.append(unsteady)
    trees = adopt.trees(ws, script, source, probe)
    files = adopt.data_files(ws, probe, data and data.resolve())
    page = [*_page(probe, trees, arguments), ("data", _described(ws, files))]
    shown = unified_diff(source, text, ws.relative(script))
    if not as_json:
        _show(ws.relative(script), page, remarks, shown)
    _see_that_nothing_is_lost(ws, text, asks)
    offered = found.offered_metrics(probe, trees)
    primary = _metric(metric, offered, asks)
    held = _locks(locks, asks, lambda word: adopt.read_lock(ws, text, probe, arguments, word))
    named = dataset_id or adopt.guess_dataset_id(ws, source, files, data)
    rules = adopt.rules(named, offered, primary, held, arguments)
    written = adopt.write(ws, ws.relative(script), text, rules, found.statistics(probe, trees), files)
    if python:
        name_python(ws, runs)
    if as_json:
        chosen = {"dataset_id": named, "primary_metric": primary, "locks": held, "training_args": list(arguments)}
        rows = {"found": _rows(("label", "text"), page), "remarks": _rows(("state", "text", "fix"), remarks)}
        paths = {"changes": shown, "wrote": [ws.relative(path) for path in written]}
        print_json("adopt", {"script": ws.relative(script), **chosen, **rows, **paths})
        return
    _tell(ws, rules, offered, written, asks, python)


def _placed(ws: Workspace, script: Path) -> Path:
    """As named from here, else from the workspace."""
    here = script.expanduser().absolute()
    path = here if here.exists() else ws.root / script
    return path.parent.resolve() / path.name


def _rows(keys: Sequence[str], rows: Sequence[tuple[str, ...]]) -> list[dict[str, str]]:
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _remarks(ws: Workspace, script: Path, text: str, probe: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Raises `InputError` for what would keep the loop from beginning."""
    told = list(probing.remarks(probe, ws.relative(script), {}))
    if adopt.lacks_numbers(script, text, probe):
        problem = "nothing in it says what its validation comes to: without such numbers, versions cannot be compared"
        fix = "let it print them (`val_loss: 0.31`) or write them into a table (.csv) with each epoch"
        told.append(("warning", problem, fix))
    for state, text, fix in told:
        if state == "error":
            raise InputError(text, fix=fix)
    return [(state, text, fix) for state, text, fix in told if state != "ok"]


def _page(probe: Mapping[str, Any], trees: Sequence[ast.Module], given: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from found.page(probe)
    if said := probe.get("reached") == "step" and printed.announced(trees):
        yield "prints", f"{', '.join(said)} of its validation: they are read from its output"
    if given:
        yield "given", f"{clean_line(shlex.join(given))} (no action changes what is given)"


def _described(ws: Workspace, files: Sequence[Path]) -> str:
    if not files:
        return "no file was read before the training"
    size = sum(path.stat().st_size for path in files) / 2**20
    more = f" and {len(files) - 3} more" if files[3:] else ""
    return clean_line(f"{', '.join(ws.relative(path) for path in files[:3])}{more}, {size:.1f} MiB")


def _show(script: str, page: Sequence[tuple[str, str]], remarks: Sequence[tuple[str, str, str]], changes: str) -> None:
    say(f"{script} runs up to its training\n", bold=True)
    for label, text in page:
        say(f"  {label:13}{text}")
    for state, text, fix in remarks:
        say(f"{_SIGNS[state]} {text}" + (f"\n    fix: {fix}" if fix else ""))
    if changes:
        say(f"\nChanged in the copy, your own file stays as it is:\n{changes.rstrip()}")
    say()


# ---- what is asked


def _see_that_nothing_is_lost(ws: Workspace, text: str, asks: bool) -> None:
    for path in adopt.in_the_way(ws, text):
        if not (asks and click.confirm(f"{path.name} is there already. Overwrite it?", default=False)):
            fix = "move it away; nothing of yours is overwritten" + ("" if asks else " unless you say so on a terminal")
            raise InputError("it is there already, with other content", file=path, fix=fix)


def _metric(given: str | None, offered: dict[str, bool | None], asks: bool) -> str:
    """The name to rank by; `offered` has its direction afterwards. Raises `InputError` where that is not known."""
    known = [name for name, way in offered.items() if way is not None or metrics.higher_is_better(name) is not None]
    if given is None and asks:
        say(f"Metrics: {', '.join(offered)}")
        given = str(click.prompt("Which one ranks the versions?", default=known[0]))
    name, _, way = (given or known[0]).partition(":")
    if metrics.higher_is_better(name) is not None:
        return metrics.canonical(name)
    if way in ("max", "min"):
        offered[name] = way == "max"
    elif offered.get(name) is None and asks:
        offered[name] = click.confirm(f"Is a higher {clean_line(name)} better?", default=True)
    elif offered.get(name) is None:
        fix = f"--metric {name}:max, or --metric {name}:min"
        raise InputError(f"which way is {name!r} better? It is not among the well-known metrics", fix=fix)
    return name


def _locks(words: Sequence[str], asks: bool, read: Any) -> dict[str, Any]:
    if words or not asks:
        return dict(map(read, words))
    while True:
        said = click.prompt("Settings that must not change, with commas between", default="", show_default=False)
        try:
            return dict(read(word) for word in said.split(",") if word.strip())
        except InputError as error:
            say(str(error))


# ---- what came of it


def _tell(
    ws: Workspace,
    rules: Mapping[str, Any],
    offered: Mapping[str, bool | None],
    written: Sequence[Path],
    asked: bool,
    python: str | None,
) -> None:
    primary, held = rules["eval_config"]["primary_metric"], rules["training_config"]
    higher = offered.get(primary) if (known := metrics.higher_is_better(primary)) is None else known
    way, other = "higher" if higher else "lower", "" if asked else "; another: --metric NAME"
    say(f"ranked by {primary} ({way} is better{other})")
    named = ", ".join(f"{key} = {value!r}" for key, value in held.items())
    say(f"locked: {named or 'nothing'}" + ("" if asked or held else "; --lock KEY keeps a setting as it is"))
    say(f"the data are called {rules['dataset_config']['dataset_id']}")
    for path in written:
        say(f"wrote {ws.relative(path)}")
    if python:
        say(f"scripts run with {python}: it is kept for the loop")
    say("\nnext: progtrain check, then progtrain run")
