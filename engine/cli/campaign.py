"""`progtrain campaign`: variants of several versions, one after the other."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from progtrain.engine.campaign import collect, planned, report
from progtrain.engine.campaign import file as files
from progtrain.engine.campaign import runner as runners
from progtrain.engine.campaign.file import File
from progtrain.engine.campaign.planned import Step
from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.opening import executor_of, minutes
from progtrain.engine.experiment.stages import design, scaffold
from progtrain.engine.files import opened
from progtrain.engine.workspace import Workspace

_SECONDS = 0.2


@click.command("campaign")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--submit", is_flag=True, help="Run it; without this nothing is written or trained.")
@click.option("--detach", is_flag=True, help="With --submit: do not follow, start it and return.")
@click.option("--status", is_flag=True, help="Where it stands, and what has come of it so far.")
@click.option("--report", "write", is_flag=True, help="Write the report anew, of what there is.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, file: Path, submit: bool, detach: bool, status: bool, write: bool, as_json: bool
) -> int:
    """Variants of several versions, one after the other, and what they say should be changed.

    FILE lists them, and each is trained and evaluated. A dry run unless --submit: the file is checked as a whole, and
    what would be trained is shown. The work is done by a process of its own: closing this terminal does not end it, and
    another --submit goes on where it was.
    """
    ws, path = workspace(ctx), file.absolute()
    if submit + status + write > 1 or (detach and not submit):
        raise InputError("these options do not go together", place="--submit, --status, --report, --detach")
    held = files.read(ws, path)
    found = planned.steps(ws, held, path)
    if submit:
        code = _submit(ws, held, path, detach=detach, quiet=as_json)
        if code not in (0, 1) or detach:
            return code
    elif not (status or write):
        _plan(ws, held, found, as_json)
        return 0
    told = collect.collect(ws, held, found)
    if write:
        into: Path | None = report.write(ws, told)
    else:
        into = next(iter(_reports(ws, held)), None) if submit else None
    _show(ws, told, into, as_json)
    return code if submit else 0


def _submit(ws: Workspace, file: File, path: Path, *, detach: bool, quiet: bool) -> int:
    process = runners.start(ws, file.campaign, path)
    if detach:
        say(f"started; progtrain campaign {path.name} --status shows how far it is")
        return 0
    try:
        return _followed(process, ws.campaign_log(file.campaign), quiet=quiet)
    except KeyboardInterrupt:
        say("not followed any longer; the campaign goes on. progtrain campaign FILE --status shows it", error=True)
        return 130


def _followed(process: subprocess.Popen[bytes], log: Path, *, quiet: bool) -> int:
    with io.TextIOWrapper(opened(log), "utf-8", "replace") as lines:
        while True:
            code = process.poll()
            text = lines.read()
            if text:
                say(text.rstrip("\n"), error=quiet)
            if code is not None:
                return code
            time.sleep(_SECONDS)


def _reports(ws: Workspace, file: File) -> list[Path]:
    """Of this campaign, the newest first."""
    found = [path for path in ws.reports.glob(f"campaign-{file.campaign}-2*") if (path / "campaign.md").is_file()]
    return sorted(found, key=lambda path: (path / "campaign.md").stat().st_mtime_ns, reverse=True)


# the dry run


def _plan(ws: Workspace, file: File, found: Sequence[Step], as_json: bool) -> None:
    told = _planned(ws, file, found)
    if as_json:
        print_json("campaign_plan", told)
        return
    say(f"{file.campaign}: {len(file.variants)} variants, {told['trainings']} trainings", bold=True)
    keys = ("variant", "version", "change", "seeds", "experiment", "state", "note")
    say(table(keys, [[str(row[key]) for key in keys] for row in told["variants"]]))
    for control in told["controls"]:
        say(f"{control} is trained as it is too: it has not been evaluated, or its script has changed since")
    if not told["trainings"]:
        say("nothing is left to train")
    elif told["hours"] is None:
        say("time: nothing is known of such runs")
    else:
        say(f"time: at most {told['hours']:.1f} hours, one after the other ({'; '.join(told['basis'])})")
    _say_disk(told)
    for note in told["notes"]:
        say(f"note: {note}")
    say("nothing is written or submitted; --submit runs it")


def _say_disk(told: dict[str, Any]) -> None:
    free = f"{told['disk_free'] / 2**30:.1f} GiB are free"
    if told["disk"] is None:
        say(f"disk: not known, {told['disk_basis']}; {free}")
    else:
        say(f"disk: {told['disk'] / 2**20:.1f} MiB ({told['disk_basis']}); {free}")


def _planned(ws: Workspace, file: File, found: Sequence[Step]) -> dict[str, Any]:
    """What is left to do, and what it takes: what is done already is not done again."""
    states = [one for step in found for one in collect.variants(step)]
    left = [collect.left(step) for step in found]
    each = [minutes(step.designed.experiment.plan) for step in found]
    size, basis, free = planned.disk(ws, [(step.version, n) for step, n in zip(found, left, strict=True)])
    return {
        "campaign": file.campaign,
        "goal": file.goal,
        "running": lock.held(ws.campaign_lock(file.campaign)),
        "variants": states,
        "controls": [s.version for s in found for run in s.designed.runs if run.name == planned.control_of(s.version)],
        "trainings": sum(left),
        "hours": None
        if None in each
        else sum(count * (of_one or 0) for count, of_one in zip(left, each, strict=True)) / 60,
        "basis": list(dict.fromkeys(filter(None, (design.basis(s.designed.experiment.plan) for s in found)))),
        "disk": size,
        "disk_basis": basis,
        "disk_free": free,
        "notes": [note for step in found for note in (*step.designed.notes, *_executor(step))],
    }


def _executor(step: Step) -> list[str]:
    """What it says of such a job; that it refuses one is told, and keeps nobody from reading the plan."""
    experiment = step.designed.experiment
    try:
        with closing(executor_of(experiment)) as executor:
            said = scaffold.answer(experiment, executor)
    except InputError as error:
        return [f"{step.name} would be refused: {error.reason}"]
    return [f"{step.name}: the executor says {said}"] if said else []


# what came of it


def _show(ws: Workspace, told: dict[str, Any], into: Path | None, as_json: bool) -> None:
    wrote = [ws.relative(into / name) for name in report.FILES] if into else []
    running = lock.held(ws.campaign_lock(told["campaign"]))
    if as_json:
        print_json("campaign", {**told, "running": running, "files": wrote})
        return
    ended = sum(state["state"] in collect.ENDED for state in told["variants"])
    at_work = ", at work" if running else ""
    say(f"{told['campaign']}: {ended} of {len(told['variants'])} variants have ended{at_work}", bold=True)
    say(table(report.variant_header(told), list(report.variant_rows(told)), right=(4, 6, 7)))
    if told["against_each_other"]:
        say("\nthe best against the others", bold=True)
        say(table(report.RIVALS, list(report.rival_rows(told)), right=(2, 3)))
    if told["weakest"]:
        say("\nwhere they are weakest", bold=True)
        say(table(report.WEAKEST, list(report.weakest_rows(told)), right=(3, 5, 6)))
    say("\nrecommended", bold=True)
    for line in report.recommended(told["recommendation"]):
        say(line)
    for note in told["notes"]:
        say(f"note: {note}")
    if into:
        say(f"\nwritten: {ws.relative(into)}")
