"""`progtrain run`: starts the detached runner and follows it."""

from __future__ import annotations

from typing import Any

import click

from progtrain.engine.cli import leaderboard
from progtrain.engine.cli.common import cold_option, options_of, run_options, sandbox_option, workspace
from progtrain.engine.cli.follow import events_from_now, until_end
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.control import launch, lock
from progtrain.engine.control.launch import Options
from progtrain.engine.errors import Busy
from progtrain.engine.status.snapshot import STEP_NAMES
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace


@click.command("run")
@click.option("--yes", "-y", "autopilot", is_flag=True, help="Autopilot: accept every draft and repair as proposed.")
@click.option("--dry-run", is_flag=True, help="Say what would be run, written and changed, and do none of it.")
@click.option("--max-versions", type=click.IntRange(min=1), help="At most this many; never more than the rules allow.")
@click.option("--until", metavar="STEP", type=click.Choice(STEP_NAMES), help="Stop after this step.")
@click.option("--detach", is_flag=True, help="Do not follow: start it and return.")
@click.option("--json", "as_json", is_flag=True, help="For programs: each event as a line of JSON, and the outcome.")
@run_options
@cold_option
@sandbox_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    autopilot: bool,
    dry_run: bool,
    max_versions: int | None,
    until: str | None,
    detach: bool,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Run the loop until it needs your decision, or to its end.

    It goes on where it stopped. The work is done by a process of its own: closing this terminal does not end it.
    """
    ws = workspace(ctx)
    options = options_of(**chosen, autopilot=autopilot, max_versions=max_versions, until=until)
    if dry_run:
        return _dry_run(ws, options, as_json)
    if lock.running(ws):
        raise Busy(
            "another runner is at work in this workspace",
            file=ws.root,
            fix="progtrain status --watch shows it, progtrain stop ends it",
        )
    if options.max_versions or options.model or options.dataset_id:
        from progtrain.engine.loop.runner import prepare

        prepare(ws, options, dry_run=True)  # what is refused leaves an open question as it is
    events = events_from_now(ws)
    runner = launch.start(ws, options)
    if detach and not as_json:
        say("started; progtrain status --watch follows it")
    code = 0 if detach else until_end(ws, runner, events, as_json=as_json)
    if as_json:
        print_json("run", {"exit_code": code, "pid": runner.pid, **_outcome(ws)}, lines=True)
    elif code == 0 and not until and not detach:
        leaderboard.show(ws)
    return code


def _outcome(ws: Workspace) -> dict[str, object]:
    snapshot = WorkspaceView(ws.root, once=True).snapshot()
    told = {name: getattr(snapshot, name) for name in ("status", "reason", "fix", "version", "report")}
    return told | {"question": snapshot.review.question if snapshot.review else None}


def _dry_run(ws: Workspace, options: Options, as_json: bool) -> int:
    from progtrain.engine.loop.near_misses import near_misses
    from progtrain.engine.loop.plan import plan

    planned = plan(ws, options)
    if as_json:
        print_json("plan", [item.__dict__ for item in planned])
        return 0
    say("nothing is run, written or changed; this is what would be:")
    if not planned:
        say("nothing: the loop is finished\n  fix: raise loop_config.max_versions for a new loop")
    for item in planned:
        say(f"\n{item.version}  {item.step}: {'; '.join(item.reasons)}", bold=True)
        for label, values in (("runs", item.runs), ("writes", item.writes), ("changes", item.changes)):
            for value in values:
                say(f"  {label:8}{value}")
    for text in near_misses(ws):
        say(f"\nnote: {text}")
    return 0
