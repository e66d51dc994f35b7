"""`progtrain init`: a workspace to begin with."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from progtrain.engine import examples, prepared_data
from progtrain.engine.bring import baseline, made_up, table
from progtrain.engine.bring.brought import Brought, see_that_it_can_be_learned
from progtrain.engine.cli import imports
from progtrain.engine.cli.common import interpreter
from progtrain.engine.cli.output import say, shell
from progtrain.engine.control.launch import name_python
from progtrain.engine.errors import InputError, StepFailed, StorageError
from progtrain.engine.text import clean_line, last_line
from progtrain.engine.workspace import Workspace


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--example", type=click.Choice(examples.NAMES), help="A whole workspace with real data.")
@click.option("--template", type=click.Choice(baseline.TEMPLATES), help="A first baseline for data of your own.")
@click.option("--data", type=click.Path(path_type=Path), help="Your data: a CSV file, or a folder of class folders.")
@click.option("--target", metavar="COLUMN", help="What is to be told; by default the last column.")
@click.option("--task", type=click.Choice(("classification", "regression")), help="By default decided by the target.")
@click.option("--dataset-id", metavar="ID", help="What the data are called; by default like the file or folder.")
@click.option("--python", metavar="PATH", help="Interpreter of the scripts; by default progtrain's own.")
def command(
    directory: Path,
    example: str | None,
    template: str | None,
    data: Path | None,
    target: str | None,
    task: str | None,
    dataset_id: str | None,
    python: str | None,
) -> None:
    """Set up a workspace: empty, with an example, or with a first baseline for data of your own.

    In DIRECTORY: an example with its data; prepared data and a script that trains on them; or rules and instruction
    to begin with. Nothing that is there is overwritten.
    """
    runs = interpreter(python) or sys.executable
    if template is not None:
        if example is not None:
            raise InputError("--example and --template are two beginnings", fix="give one of them")
        ws = Workspace(directory.resolve())
        _begin(ws, template, data, target, task, dataset_id, runs)
        if python:
            name_python(ws, runs)
            say(f"scripts run with {python}: it is kept for the loop")
        _tell_next(directory)
        return
    given = {"--data": data, "--target": target, "--task": task, "--dataset-id": dataset_id}
    if named := [name for name, value in given.items() if value is not None]:
        raise InputError(f"{named[0]} belongs to a template", fix="name one: --template image, table, text or plain")
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
    _tell_next(directory)


def _tell_next(directory: Path) -> None:
    first = "progtrain check" if directory == Path() else f"{shell('cd', directory)} && progtrain check"
    say(f"\nnext: {first}, then progtrain-tui, or progtrain run")


# ---- a first baseline


def _begin(
    ws: Workspace,
    template: str,
    data: Path | None,
    target: str | None,
    task: str | None,
    dataset_id: str | None,
    python: str,
) -> None:
    lacking = imports.missing(python, baseline.PACKAGES[template], ws.root.parent)
    if lacking:
        names = ["Pillow" if name == "PIL" else name for name in lacking]
        fix = shell(python, "-m", "pip", "install", *names)
        raise InputError(f"the template {template} needs {', '.join(names)}, which {python} does not have", fix=fix)
    with tempfile.TemporaryDirectory(prefix="progtrain-made-up-") as folder:
        # read before anything is written: what is wrong with it leaves nothing behind
        source = data.expanduser().resolve() if data is not None else made_up.write(template, Path(folder))
        brought = _read(template, source, target, task)
        named = dataset_id or baseline.data_name(source)
        baseline.refuse_what_is_there(ws, named)
        if data is None and template == "image":
            brought = _read(template, made_up.write(template, ws.root), target, task)
        see_that_it_can_be_learned(brought)
        if data is None:
            brought.source = Path(source.name)
            brought.said.insert(0, "the data are made up, to try the template: --data brings your own")
        written = baseline.write(ws, template, named, brought)
    _tell_brought(ws, named, brought)
    for path in written:
        say(f"wrote {path}")


def _read(template: str, source: Path, target: str | None, task: str | None) -> Brought:
    if not source.exists():
        raise InputError("there is no such file or folder", file=source, place="--data", fix="name what is there")
    if source.is_dir():
        if target is not None or task == "regression":
            option = "--target" if target is not None else "--task regression"
            raise InputError("the folders are the classes", file=source, place=option, fix=f"leave {option} out")
        return baseline.read_folder(template, source)
    if template == "image":
        raise InputError("pictures come in folders named after their classes", file=source, fix="name the folder")
    content = table.read(source)
    usual = baseline.usual_target(template, content)
    if target is None and sys.stdin.isatty() and sys.stdout.isatty():
        say(f"Columns: {clean_line(', '.join(content.header))}")
        target = str(click.prompt("What is to be told from the others?", default=usual))
    elif target is None:
        last = "the last column" if usual == content.header[-1] else "a column by its name"
        content.said.append(f"the target is {clean_line(usual)!r}, {last}; another: --target COLUMN")
    return baseline.read_table(template, content, target or usual, task)


def _tell_brought(ws: Workspace, dataset_id: str, brought: Brought) -> None:
    say(f"{clean_line(brought.source)}\n", bold=True)
    for text in brought.said:
        say(f"  · {text}")
    say(f"\n{prepared_data.describe(ws, dataset_id)}")
    say(f"ranked by {baseline.rules(dataset_id, brought)['eval_config']['primary_metric']} (eval_config in the rules)")


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
