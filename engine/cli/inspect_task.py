"""`progtrain create-inspect-task`."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.cli.common import workspace
from progtrain.engine.cli.output import say


@click.command("create-inspect-task")
@click.argument("name")
@click.argument("data", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--input", "asked", metavar="COLUMN", help="What is asked; by default a column of a usual name.")
@click.option("--target", metavar="COLUMN", help="What is right.")
@click.option("--scorer", "scorers", multiple=True, metavar="NAME", help="match, includes, exact or f1; several count.")
@click.option("--prompt", default="{input}", show_default=True, help="How a row is asked.")
@click.option("--system", default="", help="What a model is told before.")
@click.option("--overwrite", is_flag=True, help="Write over a task that is there.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    data: Path,
    asked: str | None,
    target: str | None,
    scorers: tuple[str, ...],
    prompt: str,
    system: str,
    overwrite: bool,
) -> None:
    """Write a task of inspect-ai for the rows of a file.

    DATA is JSON lines, JSON or CSV; the task is tasks/NAME.py, yours to edit.
    """
    from progtrain.engine.errors import InputError
    from progtrain.engine.experiment import inspect_task

    if (asked is None) != (target is None):
        raise InputError("--input and --target belong together", fix="name both columns, or neither")
    columns = (asked, target) if asked is not None and target is not None else None
    ws = workspace(ctx)
    how = {"prompt": prompt, "system": system}
    script, text = inspect_task.create(ws, name, data, columns=columns, scorers=scorers or ("match",), **how)
    inspect_task.write(script, text, overwrite=overwrite)
    say(f"{ws.relative(script)} is written; name it in a plan:")
    say(f"  evaluation: {{tasks: [{{name: {name}, tool: inspect, script: {ws.relative(script)}}}]}}")
