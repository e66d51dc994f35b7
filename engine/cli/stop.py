"""`progtrain stop`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import workspace
from progtrain.engine.cli.output import say
from progtrain.engine.control import launch, lock
from progtrain.engine.jobs import leftovers


@click.command("stop")
@click.option("--wait", type=click.FloatRange(min=0), default=60.0, help="Seconds to wait for it; 0: do not wait.")
@click.pass_context
def command(ctx: click.Context, wait: float) -> int:
    """Stop the loop, or a repeat, after the batch that runs.

    A training that is stopped is made anew the next time.
    """
    ws = workspace(ctx)
    if not lock.running(ws):
        if left := leftovers.end_all(ws.jobs):
            say(f"ended {left} processes of a training or evaluation whose guard was killed")
        say("nothing to stop: no runner is at work in this workspace; progtrain status shows where the loop stands")
        return 0
    launch.stop(ws)
    if not wait:
        say("asked to stop")
        return 0
    if launch.wait_until_stopped(ws, wait):
        say("stopped; what was at work, progtrain run or progtrain repeat, goes on there when it is given again")
        return 0
    say(f"progtrain: still stopping after {wait:.0f} s; progtrain status shows it", error=True)
    return 1
