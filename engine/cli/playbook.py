"""`progtrain playbook`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import chosen_version, json_option, say_written, versions, workspace, written_by
from progtrain.engine.cli.output import print_json, say, table


@click.command("playbook")
@click.argument("version", required=False, shell_complete=versions)
@json_option
@click.pass_context
def command(ctx: click.Context, version: str | None, as_json: bool) -> None:
    """Where a version fails, in groups: samples, since when, and what may be tried.

    By default of the latest version. Written beside its results: failure-playbook.md and failure_cases.json.
    """
    from progtrain.engine.records import playbook, playbook_text
    from progtrain.engine.rules.rules import load

    ws = workspace(ctx)
    version = chosen_version(ws, version)
    found, folder = playbook.playbook(ws, load(ws), version), ws.version(version)
    files = written_by(lambda: playbook_text.write_playbook(ws, found), ws, (folder.playbook, folder.failure_cases))
    if as_json:
        print_json("playbook", {**playbook.as_dict(found), "wrote": files})
        return
    wrong = "" if found.wrong is None else f", {found.wrong} wrong"
    say(f"{version}: {found.samples} samples{wrong}", bold=True)
    if found.groups:
        header = ("group", "samples", "share", "mean loss", "since", "flips", "suggested")
        say(table(header, [playbook_text.cells(group) for group in found.groups], right=(1, 2, 3, 5)))
    else:
        say("nothing failed")
    say_written(files)
