"""`progtrain experiment import` and `prune`."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.experiment_common import dry_run_option, name_argument
from progtrain.engine.cli.output import print_json, say, shell
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import importing, prune
from progtrain.engine.files import write_text


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@dry_run_option
@json_option
@click.pass_context
def imported(ctx: click.Context, file: Path, dry_run: bool, as_json: bool) -> None:
    """Write a plan from cruijff_kit's experiment_summary.yaml.

    What means nothing here is told; a key that nobody knows is refused with the one that was probably meant.
    """
    ws = workspace(ctx)
    plan, text, notes = importing.imported(ws, file)
    folder = folders.folder(ws, plan.experiment.name)
    if not dry_run:
        write_text(folder.plan, text)
    if as_json:
        told = {"name": folder.name, "plan": str(folder.plan), "written": not dry_run, "notes": notes}
        print_json("experiment_import", told)
        return
    for note in notes:
        say(f"note: {note}")
    if dry_run:
        say(f"\n{text.rstrip()}\n\nnothing is written")
    else:
        say(f"written: {ws.relative(folder.plan)}")
        say(f"{shell('progtrain', 'experiment', 'design', folder.name)} checks it, scaffold goes on")


def _keep(ctx: click.Context, param: click.Parameter, given: str) -> int:
    if given == "best":
        return 1
    if given.isdecimal() and int(given) > 0:
        return int(given)
    raise InputError(f"{given!r} is no number of points", place="--keep", fix="write --keep best, or --keep 3")


@click.command("prune")
@name_argument
@click.option(
    "--keep", default="best", show_default=True, metavar="best|N", callback=_keep, help="Points whose checkpoints stay."
)
@dry_run_option
@json_option
@click.pass_context
def pruned(ctx: click.Context, name: str, keep: int, dry_run: bool, as_json: bool) -> None:
    """Remove the checkpoints of runs that lost.

    Those of controls and of what is not done stay, and so do all results and logs. What is pruned can be evaluated
    again only after a training.
    """
    ws = workspace(ctx)
    folder = folders.existing(ws, name)
    found = prune.planned(ws, folder, keep)
    if not dry_run and found.files:
        prune.prune(folder, found)
    if as_json:
        files = {run: [ws.relative(path) for path in held] for run, held in found.files.items()}
        told = {"name": name, "dry_run": dry_run, "by": found.by, "kept": list(found.kept), "bytes": found.size}
        print_json("experiment_prune", told | {"files": files})
        return
    if not found.files:
        say("there is nothing to remove: what lost has no checkpoint, or is not done")
        return
    for run, held in found.files.items():
        size = sum(path.stat().st_size for path in held) if dry_run else None
        say(f"{run}: {len(held)} files{f', {_bytes(size)}' if size is not None else ''}")
        for path in held if dry_run else ():
            say(f"  {ws.relative(path)}")
    does = "would be free" if dry_run else "are free"
    say(f"{_bytes(found.size)} {does}; by {found.by} the best stay: {', '.join(found.kept)}", bold=True)


def _bytes(size: int) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f} {unit}"
    return f"{size} bytes"
