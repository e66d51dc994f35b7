"""`progtrain experiment adopt`."""

from __future__ import annotations

from typing import Any

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.experiment_common import name_argument
from progtrain.engine.cli.follow import events_from_now, until_end
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.control import launch
from progtrain.engine.control.launch import Options
from progtrain.engine.errors import DecisionNeeded
from progtrain.engine.experiment import adoption
from progtrain.engine.experiment.adoption import Adoption


@click.command("adopt")
@name_argument
@click.option("--run", "chosen", metavar="RUN", help="This one, whether or not it is better beyond noise.")
@click.option("--dry-run", is_flag=True, help="Say which one it would be, and why, and do nothing.")
@click.option("--no-run", is_flag=True, help="Answer the review alone; `progtrain run` goes on.")
@json_option
@click.pass_context
def command(ctx: click.Context, name: str, chosen: str | None, dry_run: bool, no_run: bool, as_json: bool) -> int:
    """Make the best candidate the next version.

    For experiments of a version's candidates. It answers the review of that version with the candidate's one action;
    what its run has trained and measured is taken over, not done again. The others are kept as tried.
    """
    ws = workspace(ctx)
    found = adoption.prepared(ws, name, chosen)
    if not dry_run:
        adoption.carry_out(found)
    if as_json:
        print_json("experiment_adopt", _as_dict(found, dry_run))
    else:
        _show(found, dry_run)
    if dry_run or as_json or no_run or not found.is_asked:
        return 0
    events = events_from_now(ws)
    code = until_end(ws, launch.start(ws, Options()), events)
    return 0 if code == DecisionNeeded.exit_code else code


def _as_dict(found: Adoption, dry_run: bool) -> dict[str, Any]:
    return {
        "name": found.experiment.folder.name,
        "dry_run": dry_run,
        "run": found.run.name,
        "version": found.planned.version,
        "base": found.base,
        "action": found.planned.action_text,
        "reason": found.reason,
        "trained_again": found.takeover.not_trained,
        "evaluated_again": found.takeover.not_evaluated,
        "question": found.question,
    }


def _show(found: Adoption, dry_run: bool) -> None:
    planned, takeover = found.planned, found.takeover
    say(f"{found.run.name} becomes {planned.version}: {planned.action_text}", bold=True)
    say(found.reason)
    say(planned.diff)
    for what, why in (("training", takeover.not_trained), ("evaluation", takeover.not_evaluated)):
        say(f"its {what} is done again: {why}" if why else f"its {what} is taken over")
    if dry_run:
        say("nothing is written")
    elif not found.is_asked:
        say(f"the review of {found.base} is answered; progtrain run goes on")
