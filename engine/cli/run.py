"""`progtrain run`: starts the detached runner and follows it."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.cli import leaderboard
from progtrain.engine.cli.common import interpreter, print_json, run_options, say, workspace
from progtrain.engine.cli.follow import Follower
from progtrain.engine.control import launch, lock
from progtrain.engine.control.options import Options
from progtrain.engine.errors import Busy
from progtrain.engine.workspace import Workspace

STEPS = ("initialize", "train", "evaluate", "analyze", "extract", "check", "author", "report")


@click.command("run")
@click.option("--yes", "-y", "autopilot", is_flag=True, help="Autopilot: accept every draft and repair as proposed.")
@click.option("--dry-run", is_flag=True, help="Say what would be run, written and changed, and do none of it.")
@click.option("--max-versions", type=click.IntRange(min=1), help="At most this many; never more than the rules allow.")
@click.option("--until", type=click.Choice(STEPS), help="Stop after this step.")
@click.option("--detach", is_flag=True, help="Do not follow: start it and return.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: as one JSON value.")
@run_options
@click.pass_context
def command(
    ctx: click.Context,
    autopilot: bool,
    dry_run: bool,
    max_versions: int | None,
    until: str | None,
    detach: bool,
    as_json: bool,
    python: str | None,
    model: str | None,
    dataset_id: str | None,
) -> int:
    """Run the loop until it needs your decision, or to its end.

    It goes on where it stopped. The work is done by a process of its own: closing this terminal does not end it.
    """
    ws = workspace(ctx)
    options = Options.model_validate(
        {
            "autopilot": autopilot,
            "dataset_id": dataset_id,
            "max_versions": max_versions,
            "until": until,
            "python": interpreter(python),
            "model": None if model is None else str(Path(model).expanduser().absolute()),
        }
    )
    if dry_run:
        return _dry_run(ws, options, as_json)
    if lock.running(ws):
        raise Busy(
            "another runner is at work in this workspace",
            file=ws.root,
            fix="progtrain status --watch shows it, progtrain stop ends it",
        )
    follower = Follower(ws)
    runner = launch.start(ws, options)
    if detach:
        say("started; progtrain status --watch follows it")
        return 0
    code = follower.until_end(runner)
    if code == 0 and not until:
        leaderboard.show(ws)
    return code


def _dry_run(ws: Workspace, options: Options, as_json: bool) -> int:
    from progtrain.engine.loop.plan import plan

    planned = plan(ws, options)
    if as_json:
        print_json([item.__dict__ for item in planned])
        return 0
    say("nothing is run, written or changed; this is what would be:")
    for item in planned:
        say(f"\n{item.version}  {item.step}: {'; '.join(item.reasons)}", bold=True)
        for label, values in (("runs", item.runs), ("writes", item.writes), ("changes", item.changes)):
            for value in values:
                say(f"  {label:8}{value}")
    return 0
