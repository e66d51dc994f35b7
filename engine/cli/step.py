"""`progtrain step NAME`: one step by itself, in this process."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.cli.common import interpreter, run_options, say, version_option, workspace
from progtrain.engine.cli.follow import told
from progtrain.engine.cli.run import STEPS


@click.command("step")
@click.argument("name", type=click.Choice(STEPS))
@version_option
@click.option("--yes", "-y", "autopilot", is_flag=True, help="Accept what is proposed.")
@run_options
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    version: str | None,
    autopilot: bool,
    python: str | None,
    model: str | None,
    dataset_id: str | None,
) -> None:
    """Run one step by itself, whether or not it was done before."""
    from progtrain.engine.control import lock
    from progtrain.engine.control.context import Stopped
    from progtrain.engine.control.options import Options
    from progtrain.engine.loop import runner, sequence

    ws = workspace(ctx)
    options = Options.model_validate(
        {
            "autopilot": autopilot,
            "python": interpreter(python),
            "dataset_id": dataset_id,
            "model": None if model is None else str(Path(model).expanduser().absolute()),
        }
    )

    def listener(event: dict[str, object]) -> None:
        if line := told(event):
            say(line)

    with lock.hold(ws):
        context = runner.prepare(ws, options, listener=listener)
        try:
            sequence.do_step(context, name, version)  # type: ignore[arg-type]
        except Stopped:
            say("stopped")
