"""`progtrain journal`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.follow import told
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.files import LineReader


@click.command("journal")
@click.option("-n", "count", type=click.IntRange(min=1), default=40, show_default=True, help="That many of the newest.")
@click.option("--all", "everything", is_flag=True, help="From the beginning.")
@click.option("--commands", is_flag=True, help="Only the commands to repeat each step.")
@json_option
@click.pass_context
def command(ctx: click.Context, count: int, everything: bool, commands: bool, as_json: bool) -> None:
    """What happened when, with the command to repeat it."""
    events = LineReader(workspace(ctx).journal).read()
    events = events if everything else events[-count:]
    if as_json:
        print_json("journal", events)
        return
    if not events:
        say("nothing has happened yet: progtrain run starts the loop")
    for event in events:
        if commands:
            if event.get("command"):
                say(str(event["command"]))
        elif line := told(event):
            say(f"{str(event.get('at', ''))[:19].replace('T', ' ')}  {line}")
            if event.get("command"):
                say(f"{'':21}$ {event['command']}")
