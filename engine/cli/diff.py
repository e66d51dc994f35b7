"""`progtrain diff`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import chosen_version, json_option, versions, workspace
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text


@click.command("diff")
@click.argument("old", required=False, shell_complete=versions)
@click.argument("new", required=False, shell_complete=versions)
@json_option
@click.pass_context
def command(ctx: click.Context, old: str | None, new: str | None, as_json: bool) -> None:
    """What changed between two versions: in their scripts, and in their config files and modules.

    From version OLD to NEW; by default in the latest version, against the one it was made from.
    """
    from progtrain.engine.script import version_files
    from progtrain.engine.script.action import difference
    from progtrain.engine.script.header import read_header

    ws = workspace(ctx)
    newer = chosen_version(ws, new or old)
    base = read_header(read_text(ws.script(newer))).get("base", "baseline")
    older = base if old is None or new is None else old
    older_path = ws.baseline_script if older == "baseline" else ws.script(chosen_version(ws, older))
    if not older_path.is_file():
        raise InputError("there is no such script", file=older_path, fix="progtrain status lists the versions")
    if as_json:
        changes = difference.compare(version_files.read(ws, older), version_files.read(ws, newer))
        print_json("diff", {"old": older, "new": newer, "changes": [change.__dict__ for change in changes]})
        return
    say(version_files.diff(ws, older, newer) or "no difference")
