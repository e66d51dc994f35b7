"""`analysis/`: both tables, the plots, and `report.md`, which answers the question first; by rules, from numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from progtrain.engine import metrics, values
from progtrain.engine.analysis.facts import metric_text, signed_text
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import compare, drawing, plots, results, search
from progtrain.engine.experiment.compare import Difference, Measure
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.tables import as_csv
from progtrain.engine.files import write_text
from progtrain.engine.rules import goal
from progtrain.engine.text import shortened
from progtrain.engine.workspace import Workspace

#: rows of a table in the report; all of them stand in the CSV files
_MOST = 40


def analyze(folder: ExperimentFolder, plan: Plan, ws: Workspace) -> list[Path]:
    """Writes all of it, and returns the paths; the report is the last. Raises `InputError` where nothing was measured
    yet, `StorageError` where the disk is full."""
    rows = compare.ordered(plan, results.read(folder))
    found = compare.measures(folder, rows)
    if not found:
        fix = f"progtrain experiment run {folder.name}, or see its status"
        raise InputError("nothing to analyze: no evaluation has given a number yet", file=folder.results, fix=fix)
    found = chief_first(plan, found, goal.primary_metric(goal.read(ws)))
    told = compare.differences(plan, rows, found)
    write_text(folder.results_table, as_csv(compare.results_table(rows, found)))
    write_text(folder.comparisons, as_csv(compare.comparisons_table(told)))
    drawn = _draw(folder, plots.plots(folder, plan, rows, found, told))
    write_text(folder.report, report(plan, rows, found, told, drawn))
    return [folder.results_table, folder.comparisons, *drawn, folder.report]


def _draw(folder: ExperimentFolder, made: Sequence[plots.Plot]) -> list[Path]:
    """What an earlier analysis drew and this one does not is taken away: it would tell of other results."""
    written: list[Path] = []
    for plot in made:
        path = folder.plots / f"{plot.name}.svg"
        write_text(path, drawing.svg(plot))
        written.append(path)
        if drawing.can_png():
            drawing.png(plot, path.with_suffix(".png"))
            written.append(path.with_suffix(".png"))
    for path in folder.plots.glob("*") if folder.plots.is_dir() else ():
        if path.suffix in (".svg", ".png") and path not in written:
            path.unlink()
    return written


def report(
    plan: Plan,
    rows: Sequence[Row],
    found: Sequence[Measure],
    told: Sequence[Difference],
    drawn: Sequence[Path],
) -> str:
    """`found`: the one that the question is answered by first."""
    asked = plan.experiment
    first = found[0]
    lines = [f"# {_shown(asked.name)}", ""]
    lines += [f"**{_shown(asked.question, 400)}**", ""] if asked.question else []
    lines += [*answer(plan, first, [one for one in told if _is_of(one, first)], search.told(plan, rows)), ""]
    if asked.hypothesis:
        lines += [f"The hypothesis was: {_shown(asked.hypothesis, 400)}", ""]
    for measure in found:
        lines += _measured(measure, [one for one in told if _is_of(one, measure)])
    lines += ["## What failed", "", *_failures(rows), ""]
    lines += ["## What the numbers cannot say", "", *(f"- {text}" for text in _limits(plan, rows, found, told)), ""]
    lines += ["## Plots", "", *_pictures(drawn)]
    return "\n".join([*lines, ""])


def _shown(text: str, width: int = 80) -> str:
    return shortened(text, width).replace("|", "\\|")


def _is_of(one: Difference, measure: Measure) -> bool:
    return (one.task, one.epoch, one.metric) == (measure.task, measure.epoch, measure.metric)


def chief(plan: Plan, found: Sequence[Measure], primary: str) -> Measure:
    """The metric that a search is after, or the rules' primary one; else the first of the first evaluation."""
    wanted = plan.search.metric if plan.search else primary
    return next((one for one in found if metrics.same(one.metric, wanted)), found[0])


def chief_first(plan: Plan, found: Sequence[Measure], primary: str) -> list[Measure]:
    """For whatever is read from its beginning: tables, plots."""
    first = chief(plan, found, primary) if found else None
    return sorted(found, key=lambda one: one is not first)


# the answer


def answer(plan: Plan, measure: Measure, told: Sequence[Difference], searched: Sequence[str] = ()) -> list[str]:
    """In a few sentences, what the experiment found by one metric. `searched`: what a search came to."""
    planned = compare.variables(plan, measure.points)
    varied = dict.fromkeys(one.along for one in told if one.kind == "variable")
    variables = sorted(varied, key=lambda along: planned.index(along.split(" and ")[0]))
    controls = dict.fromkeys(one.a for one in told if one.kind == "control")
    said = [
        *searched,
        *(_of_variable(plan, along, [one for one in told if one.along == along]) for along in variables),
        *(_of_control(a, [one for one in told if one.kind == "control" and one.a == a]) for a in controls),
        _of_best(measure, told),
    ]
    return [f"By {measure.metric} ({_place(measure)}):", "", *(f"- {text}" for text in said)]


def _place(measure: Measure) -> str:
    way = "higher" if measure.higher_is_better else "lower"
    return f"{measure.task}, {measure.epoch} checkpoint, {way} is better"


def _of_variable(plan: Plan, along: str, told: Sequence[Difference]) -> str:
    judged = [one for one in told if one.verdict]
    if not judged:
        return f"**{along}**: no pair could be compared ({told[0].refused})."
    real = [one for one in judged if one.verdict != "within noise"]
    pairs, differ = (f"{len(judged)} pairs", "differ") if len(judged) > 1 else ("1 pair", "differs")
    if not real:
        widest = max(judged, key=lambda one: abs(one.delta or 0.0))
        return (
            f"**{along}** makes no difference beyond noise in {pairs}; the largest is {_delta(widest)}, "
            f"{widest.b} against {widest.a}."
        )
    largest = max(real, key=lambda one: abs(one.delta or 0.0))
    # of two values the pairs differ in what else is set alone
    listed = plan.variables.get(along)
    two = isinstance(listed, list) and len(listed) == 2 and len({one.verdict for one in real}) > 1
    both = " Which of its values is better depends on what else is set." if two else ""
    return (
        f"**{along}** matters: {len(real)} of {pairs} {differ} beyond noise; the most, {largest.b} is "
        f"{largest.verdict} than {largest.a} by {_delta(largest)}.{both}"
    )


def _of_control(control: str, told: Sequence[Difference]) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in told) for verdict in ("better", "worse", "within noise")}
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    return f"Against the control **{control}**: {said or 'none could be compared'}, of {len(told)}."


def _of_best(measure: Measure, told: Sequence[Difference]) -> str:
    best = metrics.ranked(measure.points, lambda point: _mean(measure, point), measure.higher_is_better)[0]
    rivals = [one for one in told if best in (one.a, one.b) and one.verdict]
    ties = sorted({one.a if one.b == best else one.b for one in rivals if one.verdict == "within noise"})
    level = measure.level(best)
    interval = f" ({metric_text(level[1])} to {metric_text(level[2])})" if level else ""
    text = f"The best value is {metric_text(_mean(measure, best))}{interval}, of **{best}**"
    if ties:
        more = f" and {len(ties) - 3} more" if len(ties) > 3 else ""
        return f"{text}; it is not told apart from {', '.join(ties[:3])}{more}."
    return f"{text}{', better than all that it was compared with' if rivals else ''}."


def _mean(measure: Measure, point: str) -> float:
    return float(measure.values_of(measure.points[point]).mean())


def _delta(one: Difference) -> str:
    return f"{signed_text(one.delta)} ({signed_text(one.low)} to {signed_text(one.high)})"


# tables


def _measured(measure: Measure, told: Sequence[Difference]) -> Iterator[str]:
    yield from (f"## {_shown(measure.metric)} ({_place(measure)})", "")
    ranked = metrics.ranked(measure.points, lambda point: _mean(measure, point), measure.higher_is_better)
    yield from ("| point | value | 95 % interval | seeds | samples | hours |", "|---|---:|---|---:|---:|---:|")
    for point in ranked[:_MOST]:
        yield _point(measure, point)
    yield from ((f"{len(ranked) - _MOST} more stand in results.csv.", "") if len(ranked) > _MOST else ("",))
    shown = [one for one in told if one.verdict]
    if shown:
        yield from (
            "| compared | fixed | difference | 95 % interval | p (Holm) | verdict |",
            "|---|---|---:|---|---:|---|",
        )
    order = sorted(shown, key=lambda one: (one.p_holm or 0.0, -abs(one.delta or 0.0)))
    for one in order[:_MOST]:
        ends = f"{signed_text(one.low)} to {signed_text(one.high)}"
        cells = (f"{one.b} against {one.a}", one.fixed, signed_text(one.delta), ends, _p(one.p_holm), one.verdict)
        yield f"| {' | '.join(_shown(str(cell)) for cell in cells)} |"
    if len(order) > _MOST:
        yield from ("", f"{len(order) - _MOST} more stand in comparisons.csv.")
    yield from ([""] if shown else [])


def _point(measure: Measure, point: str) -> str:
    rows = measure.points[point]
    level = measure.level(point)
    samples = max(results.samples_of(m) for r in rows for m in r.metrics if metrics.same(m.name, measure.metric))
    hours = sum(row.seconds or 0.0 for row in rows) / 3600
    cells = (
        _shown(point),
        metric_text(_mean(measure, point)),
        f"{metric_text(level[1])} to {metric_text(level[2])}" if level else "not known",
        str(len(rows)),
        str(samples or ""),
        f"{hours:.2f}" if hours else "",
    )
    return f"| {' | '.join(cells)} |"


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _failures(rows: Sequence[Row]) -> Iterator[str]:
    bad = [row for row in rows if row.state != "done"]
    for row in bad:
        what = f"{row.run}, {row.task}" if row.task else row.run
        yield f"- {_shown(what)}: {row.state}{f', {_shown(row.cause, 200)}' if row.cause else ''}"
    for row in {row.run: row for row in rows if row.changes}.values():
        told = ", ".join(f"{name} {values.show(value)}" for name, value in row.changes.items())
        yield f"- {_shown(row.run)} trained with {_shown(told)} instead of what was planned, in attempt {row.attempts}"
    if not bad and not any(row.changes for row in rows):
        yield "Nothing."


def _limits(plan: Plan, rows: Sequence[Row], found: Sequence[Measure], told: Sequence[Difference]) -> Iterator[str]:
    if any(measure.spread is None for measure in found):
        yield (
            "Seed noise was not measured: every point was trained once. A verdict is about these trained models; "
            "trained again with another seed they may rank otherwise. `repeats: 3` in the plan measures it."
        )
    else:
        yield "Seed noise is pooled over the points: it is taken to be alike for all of them."
    unlike = {note for one in told for note in one.notes if "not as planned" in note}
    yield from sorted(_shown(note, 200) for note in unlike)
    alone = dict.fromkeys(one.metric for one in told if compare.SEEDS_ALONE in one.notes)
    if alone:
        yield f"Verdicts by {_shown(', '.join(alone), 200)} come {compare.SEEDS_ALONE}."
    refused = [one for one in told if one.refused]
    for metric, reason in dict.fromkeys((one.metric, one.refused) for one in refused):
        pairs = [f"{one.b} against {one.a}" for one in refused if (one.metric, one.refused) == (metric, reason)]
        more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        yield f"Not compared by {metric}: {_shown(', '.join(pairs[:3]), 200)}{more}: {_shown(reason, 200)}."
    family = max((one.family or 0 for one in told), default=0)
    if family > 1:
        yield (
            f"Verdicts count that up to {family} comparisons were made by one metric of one evaluation (Holm), "
            "not that there are several metrics and evaluations."
        )
    if any(one.kind == "best" for one in told):
        yield "The best point was chosen by the same numbers that it is judged by: its value is rather too good."
    if not any(row.type == "control" for row in rows):
        yield "There was no control: nothing says whether any of it is better than what there was before."
    yield "What was measured holds for these evaluation samples, and for data like them."


def _pictures(drawn: Sequence[Path]) -> Iterator[str]:
    shown = [path for path in drawn if path.suffix == ".svg"]
    yield from (f"![{_shown(path.stem)}](plots/{path.name})" for path in shown)
    if not shown:
        yield "There was nothing to draw."
    elif not drawing.can_png():
        yield from ("", "PNG files are drawn where matplotlib is installed: `pip install 'progtrain[plots]'`.")
