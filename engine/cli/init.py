"""`progtrain init`: a workspace to begin with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from progtrain.engine import examples
from progtrain.engine.cli.common import say
from progtrain.engine.errors import StepFailed
from progtrain.engine.workspace import Workspace


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--example", type=click.Choice(examples.NAMES), help="A whole workspace with real data.")
@click.option("--python", metavar="PATH", help="Interpreter that prepares the example's data.")
def command(directory: Path, example: str | None, python: str | None) -> None:
    """Set up a workspace in DIRECTORY: an example with its data, or an empty one with rules and instruction.

    Nothing that is there is overwritten.
    """
    for path in examples.write_empty(directory) if example is None else examples.write(example, directory):
        say(f"wrote {path}")
    ws = Workspace(directory.resolve())
    if example is not None:
        ended = subprocess.run(
            [python or sys.executable, ws.pipeline_script.name],
            cwd=ws.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            last = (ended.stderr.strip() or ended.stdout.strip() or "it printed nothing").splitlines()[-1]
            raise StepFailed(
                f"the data could not be prepared: {last}",
                file=ws.pipeline_script,
                fix="the examples need scikit-learn: pip install scikit-learn",
            )
        say(ended.stdout.strip())
    where = "" if directory == Path() else f"cd {directory} && "
    say(f"\nnext: {where}progtrain check, then progtrain-tui, or progtrain run")
