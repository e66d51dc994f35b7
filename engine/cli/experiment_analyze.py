"""`progtrain experiment analyze`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.experiment_common import dry_run_option, name_argument
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.experiment.opening import opened
from progtrain.engine.experiment.stages import analyze as stage
from progtrain.engine.files import read_text


@click.command("analyze")
@name_argument
@dry_run_option
@json_option
@click.pass_context
def command(ctx: click.Context, name: str, dry_run: bool, as_json: bool) -> None:
    """Compare the runs, and write the report."""
    experiment = opened(workspace(ctx), name)
    made = stage.planned(experiment) if dry_run else stage.run(experiment)
    paths = [experiment.ws.relative(path) for path in made]
    if as_json:
        print_json("experiment_analyze", {"name": name, "dry_run": dry_run, "writes": paths})
        return
    if dry_run:
        say("nothing is written; this is what would be:")
        for path in paths:
            say(f"  {path}")
        return
    say(read_text(experiment.folder.report).partition("\n## ")[0].strip())
    say(f"\nwritten: {len(paths)} files; all of it in {paths[-1]}")
