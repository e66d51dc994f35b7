"""`progtrain baseline`: does the baseline train, how fast, and with which batches?"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from progtrain.engine import smoke_test
from progtrain.engine.cli.common import interpreter, json_option, workspace
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.clock import now
from progtrain.engine.control.launch import named_python
from progtrain.engine.control.lock import running
from progtrain.engine.errors import InputError
from progtrain.engine.rules import rules
from progtrain.engine.script import probe as probing
from progtrain.engine.workspace import Workspace


@click.command("baseline")
@click.option("--steps", type=click.IntRange(min=2), default=smoke_test.STEPS, show_default=True, help="For each size.")
@click.option("--python", metavar="PATH", help="Interpreter of your scripts; by default progtrain's own.")
@json_option
@click.pass_context
def command(ctx: click.Context, steps: int, python: str | None, as_json: bool) -> int:
    """Train the baseline for a few steps, and find the batches that fit.

    Writes a report and spec.json into Models/Artifacts/baseline/, which the loop reads before the first version.
    Nothing else that the script writes stays.
    """
    ws = workspace(ctx)
    script, runs = _ready(ws, interpreter(python) or named_python(ws) or sys.executable)
    tell = (lambda text: None) if as_json else (lambda text: say(f"  {text}"))
    if not as_json:
        say(f"{script.name}, {steps} steps for each size of batch\n", bold=True)
    outcome = smoke_test.run(ws, script, runs, rules.load(ws).training_args, tell, steps=steps)
    written = smoke_test.keep(ws, outcome, now())
    if as_json:
        print_json("baseline", {**smoke_test.facts(outcome), "wrote": [ws.relative(path) for path in written]})
    else:
        _tell(ws, outcome, written)
    return 0 if outcome.passed else 1


def _ready(ws: Workspace, python: str) -> tuple[Path, str]:
    """Raises `InputError`."""
    script = ws.baseline_script
    if not script.is_file():
        fix = "put your training script there, or: progtrain adopt SCRIPT, progtrain init --template NAME"
        raise InputError("there is no such script", file=script, fix=fix)
    if not probing.can_be_probed(script):
        raise InputError("it imports no torch: its steps can't be seen", file=script, fix="progtrain run trains it")
    if shutil.which(python) is None:
        raise InputError("there is no such program that could be run", file=python, fix="name another with --python")
    if running(ws):
        raise InputError("a loop is at work here: both would be slower", file=ws.root, fix="progtrain stop, then again")
    return script, python


def _tell(ws: Workspace, outcome: smoke_test.Outcome, written: list[Path]) -> None:
    say()
    for text in smoke_test.described(outcome)[2:]:
        say(text)
    if outcome.optimal is None:
        say(f"batch size: {outcome.why}")
    else:
        say(f"batch size: {outcome.optimal}, {outcome.why}; the largest that fits is {outcome.largest}")
    for path in written:
        say(f"wrote {ws.relative(path)}")
    if versions := ws.versions():
        say(f"the loop has begun with {versions[0]}: what was found changes its versions no more")
    say(
        "passed" if outcome.passed else "failed: the loss is not finite, or a checkpoint can't be read again", bold=True
    )
