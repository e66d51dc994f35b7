"""`progtrain repeat`: a version's script again with other seeds."""

from __future__ import annotations

from typing import Any

import click

from progtrain.engine.cli.common import (
    chosen_version,
    cold_option,
    options_of,
    run_options,
    sandbox_option,
    versions,
    workspace,
)
from progtrain.engine.cli.follow import events_from_now, until_end
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.control import launch, lock
from progtrain.engine.errors import Busy
from progtrain.engine.files import try_read_json
from progtrain.engine.loop.runner import prepare
from progtrain.engine.repeats import found, run, seeds


@click.command("repeat")
@click.argument("version", shell_complete=versions)
@click.option("--times", type=click.IntRange(1, 99), default=3, show_default=True, help="So many repeats in all.")
@click.option("--same-seed", is_flag=True, help="With the version's own seed: what the machine alone changes.")
@click.option("--detach", is_flag=True, help="Do not follow: start it and return.")
@click.option("--dry-run", is_flag=True, help="Say what would be run, and do none of it.")
@click.option("--json", "as_json", is_flag=True, help="For programs: the repeats and their spread.")
@run_options
@cold_option
@sandbox_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    version: str,
    times: int,
    same_seed: bool,
    detach: bool,
    dry_run: bool,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Train and evaluate a version again with other seeds.

    What they come to tells how much of a difference is chance. Verdicts then cover the noise of training, not the noise
    of the samples alone. Each repeat has a workspace of its own: nothing of the version changes. The work is done by a
    process of its own: closing this terminal does not end it, and another `progtrain repeat` goes on where it was.
    """
    ws = workspace(ctx)
    chosen_version(ws, version)
    there = len(found.made(ws, version, same_seed=same_seed))
    if dry_run:
        run.refuse(prepare(ws, options_of(**chosen), dry_run=True), version)
        asked = "no more are asked for" if there >= times else f"{times} are asked for"
        say(f"{version} has {there} repeats: {asked}" + (f"; {why}" if (why := seeds.why_none(ws, version)) else ""))
        for number in range(there + 1, times + 1):
            say(
                f"  runs    {ws.script(version).name} and 03_eval.py in .progtrain/repeats/{version}/ (repeat {number})"
            )
        return 0
    if lock.running(ws):
        fix = "progtrain status --watch shows it, progtrain stop ends it"
        raise Busy("another runner is at work in this workspace", file=ws.root, fix=fix)
    events = events_from_now(ws)
    runner = launch.start(ws, options_of(**chosen, repeat=version, times=times, same_seed=same_seed))
    if detach:
        say("started; progtrain journal shows how far it is")
        return 0
    code = until_end(ws, runner, events, quiet=as_json)
    if as_json:
        told = try_read_json(ws.repeats_table(version))
        print_json("repeat", {"exit_code": code, **(told or {"version": version})})
    return code
