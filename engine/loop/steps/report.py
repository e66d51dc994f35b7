"""Step 7: leaderboard and final analysis, once for each finished loop.

Writes `04_final_report.py` where there is none, and has it write into a folder that gets its name when it is whole.
Puts `report_metrics.csv` and the workflow log beside what it wrote.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from progtrain.engine import hooks
from progtrain.engine.control.context import Context, forget
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import LineReader, storage_errors, write_json, write_text
from progtrain.engine.loop.steps import evaluate
from progtrain.engine.records import confirmed, report_metrics, written
from progtrain.engine.script.repair.failure import killed
from progtrain.engine.text import last_line, tail


def run(context: Context, version: str) -> str:
    """Raises `StepFailed` when the report script fails."""
    ws = context.ws
    if made := _finished(context, version):
        return made
    evaluate.ensure_script(ws.eval_script)
    evaluate.tell_if_written(context, ws.report_script)
    partial = ws.reports / f".report-after-{version}"
    job = f"report-{version}"
    before = context.executor.look(ws.job(job))
    if before is None or before.status == "ended":
        # a result is used once: another loop's report is another job
        with storage_errors(ws.reports):
            forget(ws.job(job))
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        _tell_what_is_confirmed(context, partial)
    # what it has scored again is scored as the loop does it
    variables = hooks.of_evaluation(ws, ours=False)
    state = context.run_script(job, [ws.report_script.name, "--output", str(partial)], variables=variables)
    output = tail(context.executor.log(ws.job(job)))
    if state.exit_code != 0 or not (partial / "leaderboard.csv").is_file():
        how = killed(state.exit_code, state.ended_by)
        reason = f"was started three times, and each time {how}" if how else f"failed: {last_line(output)}"
        raise StepFailed(
            f"the report {reason}",
            file=ws.report_script,
            fix=f"the whole output is in {ws.relative(ws.job(job).log)}; fix it and start again",
        )
    for line in output.splitlines():
        if line.startswith("warning:"):
            context.journal.warn(line.removeprefix("warning:").strip())
    evaluate.mark_what_was_scored_again(context, state)
    _add_records(context, partial)
    target = _free_name(context)
    # before it has that name: a runner that is killed from here on has made it all the same
    context.journal.write("report_ready", version=version, report=ws.relative(target))
    with storage_errors(target):
        partial.rename(target)
    return ws.relative(target)


def _finished(context: Context, version: str) -> str:
    """What a runner has made for this loop that was killed before it could say so; empty where there is none."""
    ws, ready, by_hand = context.ws, "", False
    for event in LineReader(ws.journal).read():
        kind, step = event.get("event"), event.get("step")
        if kind == "step_started" and step == "report":
            by_hand = event.get("reasons") == ["asked for"]
        elif kind == "report_ready":
            ready = "" if by_hand or event.get("version") != version else str(event.get("report"))
        elif kind in ("loop_started", "loop_finished", "decision") or (kind == "step_started" and step != "check"):
            ready = ""
    if not ready or by_hand:
        return ""
    target, partial = ws.root / ready, ws.reports / f".report-after-{version}"
    if target.parent != ws.reports:
        return ""
    if not target.exists() and (partial / "leaderboard.csv").is_file():
        with storage_errors(target):
            partial.rename(target)
    return ready if target.is_dir() else ""


def _tell_what_is_confirmed(context: Context, folder: Path) -> None:
    """The report script reads it there."""
    try:
        write_json(folder / confirmed.NAME, confirmed.confirmed(context.ws, context.rules))
    except InputError as error:
        context.journal.warn(f"the report does not say what is confirmed: {error.located}")


def _add_records(context: Context, folder: Path) -> None:
    """What the report owes to whoever has to believe it; a loop does not end without its leaderboard for want of it."""
    try:
        write_text(folder / report_metrics.NAME, report_metrics.report_metrics(context.ws, context.rules))
        written.write_log(context.ws, folder, context.rules)
    except InputError as error:
        context.journal.warn(f"the report has no {report_metrics.NAME} and no workflow log: {error.located}")


def _free_name(context: Context) -> Path:
    """`Models/Report/YYYY-MM-DD_HH-MM`, with `-2` and so on when that minute has one already."""
    stem = context.clock().strftime("%Y-%m-%d_%H-%M")
    path, number = context.ws.reports / stem, 2
    while path.exists():
        path = context.ws.reports / f"{stem}-{number}"
        number += 1
    return path
