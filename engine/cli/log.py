"""`progtrain log`."""

from __future__ import annotations

import click

from progtrain.engine.cli.common import chosen_version, json_option, say_written, workspace, written_by
from progtrain.engine.cli.output import print_json, say, table


@click.command("log")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """What was done, version by version: who decided, what it rests on, what came of it.

    Written to Models/Report/workflow-log.md and workflow.csv, from the files of the workspace alone.
    """
    from progtrain.engine import values
    from progtrain.engine.records import workflow, written
    from progtrain.engine.rules.rules import load
    from progtrain.engine.status.snapshot import NOT_MEASURED

    ws = workspace(ctx)
    chosen_version(ws, None)  # of a workspace without versions there is nothing to write
    rules = load(ws)
    cycles = workflow.cycles(ws, rules)
    files = written_by(
        lambda: written.write_log(ws, ws.reports, rules, cycles), ws, (ws.workflow_log, ws.workflow_table)
    )
    if as_json:
        primary = rules.primary_metric
        told = {"primary_metric": primary, "higher_is_better": rules.higher_is_better(primary), "wrote": files}
        print_json("log", {**told, "rows": [written.as_dict(cycle) for cycle in cycles]})
        return
    rows = [
        (
            cycle.cycle,
            "–" if cycle.metric_delta is None else values.change(cycle.metric_delta),
            cycle.verdict or "-",
            cycle.decided_by or "-",
            "; got worse: ".join(part for part in (cycle.action, ", ".join(cycle.regressions)) if part),
        )
        for cycle in cycles
    ]
    say(table(("version", rules.primary_metric, "verdict", "decided by", "action"), rows, right=(1,)))
    if unmeasured := [cycle.cycle for cycle in cycles if cycle.verdict and NOT_MEASURED in cycle.note]:
        say(f"{NOT_MEASURED}: {', '.join(unmeasured)} (progtrain repeat measures it)")
    say_written(files)
