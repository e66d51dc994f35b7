"""What came of a campaign so far, from the files of its experiments and versions: states, numbers, verdicts.

A variant that failed has no number: it is neither 0 nor the best, and it counts in no mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from progtrain.engine import metrics, values
from progtrain.engine.analysis.compare import noise
from progtrain.engine.campaign import planned, recommend, weakest
from progtrain.engine.campaign.file import File, Variant
from progtrain.engine.campaign.planned import Step
from progtrain.engine.experiment import compare, results
from progtrain.engine.experiment.compare import Difference, Measure
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.stages import scaffold
from progtrain.engine.experiment.state import RunState
from progtrain.engine.experiment.view import View, look
from progtrain.engine.repeats import found as repeats
from progtrain.engine.rules import goal
from progtrain.engine.schema import EvalScore, Protocol, load
from progtrain.engine.status.snapshot import NOT_MEASURED
from progtrain.engine.workspace import Workspace

#: nothing more comes of such a run without a person
ENDED = ("done", "failed", "lost", "cancelled")
_BAD = ENDED[1:]
#: note of a verdict
CARRIED = "seed noise as measured on others of the campaign"


def collect(ws: Workspace, file: File, steps: Sequence[Step]) -> dict[str, Any]:
    """`variants`, `lines` (of variants.csv), `weakest`, `recommendation` and `notes`; see docs/evidence.md."""
    states = [one for step in steps for one in variants(step)]
    rows = [row for step in steps for row in _rows(step)]
    rows += [row for step in _without_control(steps) for row in _of_version(ws, step)]
    # each row names its samples by their whole path: the folder says nothing
    measures = compare.measures(steps[0].designed.experiment.folder, rows)
    primary = goal.primary_metric(goal.read(ws))
    measures.sort(key=lambda one: not metrics.same(one.metric, primary))
    other = {name: told for step in steps for name, told in _outdated(step).items()}
    judged = {one.metric: _without(other, _judged(one, steps, rows)) for one in measures}
    lines = [line for one in measures for line in _lines(one, judged[one.metric], states)]
    lines += [_line(state) for state in states if state["variant"] not in {line["variant"] for line in lines}]
    slices, told = weakest.find(rows, {state["variant"] for state in states if state["done"]})
    return {
        "campaign": file.campaign,
        "goal": file.goal,
        "metric": measures[0].metric if measures else primary,
        "variants": states,
        "lines": lines,
        "weakest": slices,
        "against_each_other": [_told(one) for one in _rivals(measures, judged)],
        "recommendation": recommend.recommendation(ws, file, steps, states, measures, judged),
        "notes": [*other.values(), *_notes(states, measures, primary), *_chance(measures, judged), *told],
    }


def _chance(measures: Sequence[Measure], judged: Mapping[str, Sequence[Difference]]) -> Iterator[str]:
    """Of intervals that leave zero out, and yet are no verdict."""
    for one in judged[measures[0].metric] if measures else ():
        said = "; ".join(note for note in one.notes if note.startswith("by itself"))
        if said and one.kind == "control":
            yield f"{one.b} against {one.a}: {said}; more seeds tell more"


def _rivals(measures: Sequence[Measure], judged: Mapping[str, Sequence[Difference]]) -> Iterator[Difference]:
    for measure in measures[:1]:
        yield from (one for one in judged[measure.metric] if one.kind == "best")


# states


def left(step: Step) -> int:
    """How many trainings have not ended."""
    ended = {held.run.name for held in _there(step) if held.phase in ENDED}
    return sum(run.name not in ended for run in step.designed.runs)


def variants(step: Step) -> list[dict[str, Any]]:
    """Of each variant: what it is, and where it stands."""
    view, there = _view(step), _there(step)
    return [_state(step, variant, view, there) for variant in step.variants]


def _view(step: Step) -> View | None:
    folder = step.designed.experiment.folder
    return look(folder) if folder.plan.is_file() else None


def _there(step: Step) -> list[RunState]:
    """Runs that are in its experiment as the file has them now: others of the same names tell nothing of it."""
    view, wanted = _view(step), {run.name: run for run in step.designed.runs}
    return [held for held in view.states if held.run == wanted.get(held.run.name)] if view else []


def _outdated(step: Step) -> dict[str, str]:
    """Variants that are done, with another script than their version has now, and how to do them again."""
    found: dict[str, str] = {}
    done = {held.run.name for held in _there(step) if held.phase == "done"}
    for writing in scaffold.planned(step.designed.experiment) if done else ():
        top, run = step.designed.experiment.folder.path, writing.piece.run
        files = {path.relative_to(top).as_posix() for path in writing.files}
        if run.name in done and files.intersection(writing.kept):
            anew = f"progtrain experiment scaffold {step.name} --anew"
            name = step.version if _is_control(run.point, step) else run.point
            found[name] = f"{run.point} was trained with another script than {step.version} has now: {anew}"
    return found


def _without(other: Mapping[str, str], judged: Sequence[Difference]) -> list[Difference]:
    """Nothing is said of what was trained with another script."""
    reasons = [next((other[point] for point in (one.b, one.a) if point in other), "") for one in judged]
    return [
        Difference(one.kind, "", one.a, one.b, metric=one.metric, refused=why.partition(":")[0]) if why else one
        for one, why in zip(judged, reasons, strict=True)
    ]


def _state(step: Step, variant: Variant, view: View | None, there: Sequence[RunState]) -> dict[str, Any]:
    held = [one for one in there if one.run.point == variant.name]
    state, cause = _told_state(held, view)
    return {
        "variant": variant.name,
        "version": step.version,
        "change": variant.change,
        "note": variant.note,
        "experiment": step.name,
        "seeds": variant.trainings,
        "done": sum(one.phase == "done" for one in held),
        "state": state,
        "cause": cause,
    }


def _told_state(held: Sequence[RunState], view: View | None) -> tuple[str, str]:
    phases = [one.phase for one in held]
    bad = next((one for one in held if one.phase in _BAD), None)
    if bad is not None and all(phase in ENDED for phase in phases):
        return bad.phase, f"{bad.cause}: {bad.reason}" if bad.cause else bad.reason
    outcome = (view.outcome if view else None) or {}
    # its runner could not begin, or gave up: whatever had not ended by then has failed with it
    if outcome.get("reason") and phases and view and not view.running and set(phases) != {"done"}:
        return "failed", f"submission: {outcome.get('reason')}"
    first = next((phase for phase in phases if phase != "done"), "done" if phases else "planned")
    return first, ""


# numbers


def _rows(step: Step) -> list[Row]:
    """Of the variants, and of their version as it is where the campaign trains that."""
    folder = step.designed.experiment.folder
    phases = {held.run.name: held.phase for held in _there(step)}
    found = []
    for row in results.read(folder):
        phase = phases.get(row.run)
        if phase not in ENDED or (phase == "done") != (row.state == "done"):
            continue  # of a plan that was, or an attempt that another one has followed
        sample = str(folder.path / row.per_sample) if row.per_sample else ""
        told = {"per_sample": sample} | ({"point": step.version} if _is_control(row.point, step) else {})
        found.append(row.model_copy(update=told))
    return found


def _without_control(steps: Sequence[Step]) -> list[Step]:
    """The first of each version that the campaign does not train as it is."""
    found: dict[str, Step] = {}
    for step in steps:
        found.setdefault(step.version, step)
    trained = {step.version for step in steps for run in step.designed.runs if _is_control(run.point, step)}
    return [step for version, step in found.items() if version not in trained]


def _is_control(point: str, step: Step) -> bool:
    return point == planned.control_of(step.version)


def _of_version(ws: Workspace, step: Step) -> Iterator[Row]:
    """What the loop's own evaluation of a version said, and those of its repeats: as runs of one point."""
    version, cell = step.version, step.designed.cells[0]
    folder = ws.version(version)
    score, protocol = load(folder.eval_score, EvalScore), load(folder.protocol, Protocol)
    own = Row(
        experiment="the loop",
        run=version,
        point=version,
        type="control",
        task=cell.task.name,
        epoch=cell.epoch,
        state="done",
        metrics=[m.model_copy(update={"samples": score.num_samples}) for m in score.metrics],
        evaluator_sha256=protocol.evaluator_sha256,
        data_sha256=protocol.data_sha256,
        per_sample=str(folder.per_sample) if folder.per_sample.is_file() else "",
    )
    yield own
    for one in repeats.of(ws, version):
        told = [m.model_copy(update={"value": one.metrics.get(m.name)}) for m in own.metrics]
        sample = str(one.per_sample) if one.per_sample else ""
        about = {"run": f"{version}/{one.name}", "seed": one.seed, "metrics": told, "per_sample": sample}
        yield own.model_copy(update=about)


# verdicts


def _judged(measure: Measure, steps: Sequence[Step], rows: Sequence[Row]) -> list[Difference]:
    """Each variant against its version as it is, and the best variant against the others."""
    names = [variant.name for step in steps for variant in step.variants]
    controls = [Difference("control", "", s.version, v.name) for s in steps for v in s.variants]
    ranked = [point for point in compare.best_first(measure) if point in names]
    others = [Difference("best", "", name, ranked[0]) for name in names if ranked and name != ranked[0]]
    found = []
    for pairs in (controls, others):
        of_them = [_compared(pair, measure, rows) for pair in pairs]
        found += compare.adjusted(of_them, measure.higher_is_better)
    return found


def _compared(pair: Difference, measure: Measure, rows: Sequence[Row]) -> Difference:
    """What others have told of the seeds is carried on with care where neither of the two was trained twice."""
    own = any(len(measure.points.get(point, ())) > 1 for point in (pair.a, pair.b))
    if own or measure.spread is None:
        return compare.compared(pair, measure, rows)
    carried = compare.compared(pair, measure._replace(spread=noise.carried_on(measure.spread)), rows)
    return carried if carried.refused else carried._replace(notes=(*carried.notes, CARRIED))


# tables


def _lines(
    measure: Measure, judged: Sequence[Difference], states: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    against = {one.b: one for one in judged if one.kind == "control"}
    for state in states:
        if state["variant"] in measure.points:
            yield _line(state, measure, against[state["variant"]])


def _line(state: Mapping[str, Any], measure: Measure | None = None, one: Difference | None = None) -> dict[str, Any]:
    """A row of variants.csv; without a measure one that has no number."""
    found: dict[str, Any] = {**state, "metric": "", "value": None, "low": None, "high": None}
    if measure is not None:
        level = measure.level(state["variant"])
        value = float(measure.values_of(measure.points[state["variant"]]).mean())
        found |= {"metric": measure.metric, "value": value}
        found |= {"low": level[1], "high": level[2]} if level else {}
    return found | (_told(one) if one else _told(Difference("control", "", state["version"], state["variant"])))


def _told(one: Difference) -> dict[str, Any]:
    return {
        "against": one.a,
        "of": one.b,
        "delta": one.delta,
        "delta_low": one.low,
        "delta_high": one.high,
        "p_holm": one.p_holm,
        "verdict": one.verdict or "",
        "samples": one.samples,
        "seed_noise": NOT_MEASURED if NOT_MEASURED in one.notes else "",
        "refused": one.refused,
        "notes": "; ".join(note for note in one.notes if note != NOT_MEASURED),
    }


def _notes(states: Sequence[Mapping[str, Any]], measures: Sequence[Measure], primary: str) -> Iterator[str]:
    for state in states:
        if state["state"] in _BAD:
            yield f"{state['variant']} {state['state']}: {state['cause']}; it counts nowhere"
        elif state["state"] != "done":
            yield f"{state['variant']} is {state['state']}: nothing is known of it yet"
    if measures and not metrics.same(measures[0].metric, primary):
        yield f"no variant has {primary}: what follows goes by {measures[0].metric}"
    if measures and measures[0].spread is None:
        yield f"{NOT_MEASURED}: `seeds: 3` in the file, or progtrain repeat, measures it"
    elif measures and measures[0].spread is not None:
        measured = [point for point, runs in measures[0].points.items() if len(runs) > 1]
        deviation, freedom = measures[0].spread
        runs = freedom + len(measured)
        told = f"sd {values.metric(deviation)} of {measures[0].metric} over {runs} runs of {', '.join(measured)}"
        yield f"seed noise: {told}; for the others an upper bound of it is taken"
