"""`progtrain publish`: a version as a folder that is ready for a hub, which nothing is sent to."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.cli.common import chosen_version, json_option, versions, workspace
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.workspace import Workspace


@click.command("publish")
@click.argument("version", required=False, shell_complete=versions)
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="By default Models/published/VERSION.")
@click.option("--data", is_flag=True, help="With the prepared data, and a card for them.")
@json_option
@click.pass_context
def command(ctx: click.Context, version: str | None, to: Path | None, data: bool, as_json: bool) -> None:
    """Make a version ready for a hub: a folder with card and checksums. Sends nothing.

    The folder has a card, the checkpoint, the script with its files, what was measured, and checksums. Nothing is sent,
    and nothing that is there is written over. Licence and use are for you to fill in: the card marks the places.
    """
    from progtrain.engine.trackers.publish import publish

    ws = workspace(ctx)
    to = to.expanduser().absolute() if to else None
    made = publish(ws, chosen_version(ws, version or _best(ws)), to, data=data)
    if as_json:
        files = [{"path": path, "bytes": size, "sha256": digest} for path, size, digest in made.files]
        cards = [{"file": file, "text": text} for file, texts in made.to_fill_in.items() for text in texts]
        print_json("publish", {"folder": made.folder, "files": files, "to_fill_in": cards, "notes": made.notes})
        return
    size = sum(size for _, size, _ in made.files)
    say(f"{ws.relative(made.folder)}: {len(made.files)} files with their SHA256SUMS, {size:,} bytes")
    for file, texts in made.to_fill_in.items():
        say(f"\nto fill in, in {file}:")
        for text in texts:
            say(f"  {text}")
    say()
    for note in made.notes:
        say(note)


def _best(ws: Workspace) -> str | None:
    from progtrain.engine.status.view import WorkspaceView

    return next((row.version for row in WorkspaceView(ws.root, once=True).snapshot().versions if row.is_best), None)
