"""`progtrain stop`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import say, workspace
from progtrain.engine.control import launch


@click.command("stop")
@click.option("--wait", type=click.FloatRange(min=0), default=60.0, help="Seconds to wait for it; 0: do not wait.")
@click.pass_context
def command(ctx: click.Context, wait: float) -> int:
    """Stop the loop. A training ends after the batch that runs; the version is trained anew the next time."""
    ws = workspace(ctx)
    launch.stop(ws)
    if not wait:
        say("asked to stop")
        return 0
    if launch.wait_until_stopped(ws, wait):
        say("stopped; progtrain run goes on where it stopped")
        return 0
    say(f"still stopping after {wait:.0f} s; progtrain status shows it", error=True)
    return 1
