"""`progtrain step NAME`: one step by itself, in this process."""

from __future__ import annotations

from typing import Any

import click

from progtrain.engine.cli.common import cold_option, options_of, run_options, sandbox_option, version_option, workspace
from progtrain.engine.cli.follow import told
from progtrain.engine.cli.output import say
from progtrain.engine.status.snapshot import STEP_NAMES


@click.command("step")
@click.argument("name", metavar="STEP", type=click.Choice(STEP_NAMES))
@version_option
@click.option("--yes", "-y", "autopilot", is_flag=True, help="Accept what is proposed.")
@run_options
@cold_option
@sandbox_option
@click.pass_context
def command(ctx: click.Context, /, name: str, version: str | None, autopilot: bool, **chosen: Any) -> None:
    """Run one step by itself, whether or not it was done before.

    STEP: initialize, train, evaluate, analyze, extract, check, author or report.
    """
    from progtrain.engine.control import lock
    from progtrain.engine.control.context import Stopped
    from progtrain.engine.loop import runner, sequence

    ws = workspace(ctx)
    options = options_of(**chosen, autopilot=autopilot)

    with lock.hold(ws):
        context = runner.prepare(ws, options, listener=lambda event: say(line) if (line := told(event)) else None)
        try:
            sequence.do_step(context, name, version)  # type: ignore[arg-type]
        except Stopped:
            say("stopped")
