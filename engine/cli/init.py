"""`progtrain init`: a workspace to begin with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from progtrain.engine import examples
from progtrain.engine.cli import imports
from progtrain.engine.cli.common import interpreter
from progtrain.engine.cli.output import say, shell
from progtrain.engine.errors import InputError, StepFailed, StorageError
from progtrain.engine.text import last_line
from progtrain.engine.workspace import Workspace


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--example", type=click.Choice(examples.NAMES), help="A whole workspace with real data.")
@click.option("--python", metavar="PATH", help="Interpreter that prepares the example's data.")
def command(directory: Path, example: str | None, python: str | None) -> None:
    """Set up a workspace, empty or with an example.

    In DIRECTORY: an example with its data, or rules and instruction to begin with. Nothing that is there is
    overwritten.
    """
    runs = interpreter(python) or sys.executable
    if example is not None:
        _refuse_without_packages(example, runs)
    try:
        written = examples.write_empty(directory) if example is None else examples.write(example, directory)
    except OSError as error:
        reason = f"it cannot be written: {error.strerror}"
        raise StorageError(reason, file=directory, fix="name a folder that you may write") from error
    for path in written:
        say(f"wrote {path}")
    if example is not None:
        _prepare_data(Workspace(directory.resolve()), runs)
    first = "progtrain check" if directory == Path() else f"{shell('cd', directory)} && progtrain check"
    say(f"\nnext: {first}, then progtrain-tui, or progtrain run")


def _refuse_without_packages(example: str, python: str) -> None:
    """Before anything is written."""
    names = {name for script in examples.scripts(example) for name in imports.needed(script)}
    lacking = imports.missing(python, names, examples.folder())
    if lacking:
        raise InputError(
            f"the example {example} needs {', '.join(lacking)}, which {python} does not have",
            fix=shell(python, "-m", "pip", "install", "progtrain[examples]"),
        )


def _prepare_data(ws: Workspace, python: str) -> None:
    ended = subprocess.run(
        [python, ws.pipeline_script.name], cwd=ws.root, capture_output=True, text=True, errors="replace", check=False
    )
    if ended.returncode:
        raise StepFailed(
            f"the data could not be prepared: {last_line(ended.stderr.strip() or ended.stdout)}",
            file=ws.pipeline_script,
            fix=f"{shell('cd', ws.root)} && {shell(python, ws.pipeline_script.name)} shows all of it",
        )
    say(ended.stdout.strip())
