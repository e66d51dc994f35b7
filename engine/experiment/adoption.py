"""The winner of an experiment becomes the next version, by the ordinary way: as the answer to the open review.

Nothing of the loop is bypassed. What is laid down here is an answer with one action, and beside it, in the folder of
the version to come, what the run's training left: the loop writes the script, finds a finished training of just that
script, and takes it over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from progtrain.advisor.interface import Candidate
from progtrain.engine import metrics
from progtrain.engine.analysis import documents
from progtrain.engine.analysis.action_file import parse_action
from progtrain.engine.analysis.advise.candidates import same_operation
from progtrain.engine.analysis.facts import metric_text, signed_text
from progtrain.engine.analysis.types import Insight, VersionRecord
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import decisions, marks
from progtrain.engine.control.context import Context
from progtrain.engine.control.launch import Options
from progtrain.engine.control.lock import running
from progtrain.engine.drafting import history, next_script, rounds
from progtrain.engine.drafting.next_script import Planned
from progtrain.engine.errors import Busy, DecisionNeeded, InputError
from progtrain.engine.experiment import compare, state, tried
from progtrain.engine.experiment.compare import Difference
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.opening import opened
from progtrain.engine.experiment.takeover import Takeover, possible, take_over
from progtrain.engine.experiment.view import look
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.files import sha256_text
from progtrain.engine.loop import runner, sequence
from progtrain.engine.loop.steps import check, extract
from progtrain.engine.schema import Decision
from progtrain.engine.script import version_files
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.workspace import Workspace


class Judged(NamedTuple):
    """A candidate that was trained and scored."""

    run: Run
    value: float
    #: against the version that it is a change to; None where the experiment has not trained that
    against: Difference | None


class Adoption(NamedTuple):
    """What would be done, or is to be."""

    experiment: Experiment
    run: Run
    #: the version that it is a change to, and what would come of it
    base: str
    planned: Planned
    #: why this one, with its numbers
    reason: str
    #: text of the action file
    action: str
    #: the review that it answers, and whether that has been asked already
    question: str
    is_asked: bool
    takeover: Takeover


def prepared(ws: Workspace, name: str, chosen: str | None = None, clock: Clock = now) -> Adoption:
    """What adopting the winner, or the run `chosen`, would come to. Writes nothing.

    Raises `InputError` where it cannot become the next version, `DecisionNeeded` where the numbers name no winner, and
    `Busy` while the loop is at work.
    """
    experiment = opened(ws, name, clock)
    base = tried.base_of(ws, experiment.plan)
    if base is None:
        reason = "only a candidate of a version can become the next version, and this experiment has none"
        fix = "progtrain experiment design NAME --from vNNN makes one of candidates"
        raise InputError(reason, file=experiment.folder.plan, place="key experiment.kind", fix=fix)
    context = runner.prepare(ws, Options(), clock=clock, dry_run=True)
    insight, record = _drafted(context, base)
    metric, higher = context.rules.primary_metric, context.rules.higher_is_better(context.rules.primary_metric)
    run, reason = _winner(experiment, base, metric, higher, chosen)
    assert run.action is not None
    action = _text(context, base, insight, record, run, reason)
    parsed = parse_action(action, experiment.folder.plan)
    planned = next_script.plan(ws, context.rules, base, parsed.operation, base=parsed.base, reason=parsed.goal)
    question = extract.question_of(base, record)
    asked = ws.drafts(base).review.is_file()
    takeover = possible(context, experiment, run, base, planned)
    return Adoption(experiment, run, base, planned, reason, action, question, asked, takeover)


def carry_out(adoption: Adoption) -> Decision:
    """Lays down what the run left, and then the answer, which is returned. Raises as `decisions.decide` does."""
    ws, clock = adoption.experiment.ws, adoption.experiment.clock
    if decisions.answer_to(ws, adoption.question) is not None:
        raise InputError(f"the review of {adoption.base} is answered already", fix="progtrain run goes on with it")
    take_over(ws, adoption.experiment, adoption.run, adoption.planned, adoption.takeover)
    decision = Decision(
        question=adoption.question,
        answer="accept",
        action=adoption.action,
        shown=sha256_text(adoption.planned.diff),
        at=clock(),
    )
    decisions.decide(ws, decision)
    return decision


def _drafted(context: Context, base: str) -> tuple[Insight, rounds.DraftRecord]:
    """The draft that stands for review. Raises where the loop is not at the review of this version."""
    ws = context.ws
    if running(ws):
        raise Busy("the loop is at work in this workspace", file=ws.root, fix="progtrain stop ends it; then adopt")
    latest = ws.versions()[-1]
    if latest != base:
        reason = f"its runs are candidates of {base}, and {latest} is there already"
        fix = f"progtrain experiment design NAME --from {latest} tries candidates of the latest version"
        raise InputError(reason, file=ws.script(latest), fix=fix)
    if check.is_last(context, base):
        reason = f"{base} is the last version that the rules allow"
        raise InputError(reason, file=ws.rules, place="key loop_config.max_versions", fix="raise it")
    at = sequence.select(context)
    insight, record = history.read_insight(ws, base), rounds.current(ws, base)
    if at.step != "extract" or insight is None or record is None:
        done = at.step == "author"
        reason = (
            f"the action of {base} is accepted already" if done else f"{base} is not at its review: {at.step} is next"
        )
        raise InputError(reason, file=ws.root, fix=f"progtrain run{'' if done else ' --until analyze'}; then adopt")
    mark = marks.read(ws, base, "analyze")
    if mark is not None and mark.inputs.get("rules") != context.rules.sha256:
        reason = f"rules or instruction have changed since {base} was drafted"
        raise InputError(reason, file=context.rules.path, fix="progtrain run drafts it anew; then adopt")
    return insight, record


# which one


def _winner(experiment: Experiment, base: str, metric: str, higher: bool, chosen: str | None) -> tuple[Run, str]:
    found = _judged(experiment, metric)
    if chosen is not None:
        one = _named(experiment, found, chosen)
        return one.run, _reason(experiment, base, metric, one, len(found), "chosen by hand among them")
    _refuse_unfinished(experiment)
    if not found:
        raise InputError(
            f"no candidate has {metric}", file=experiment.folder.results, fix="see the experiment's status"
        )
    paired = [one for one in found if one.against is not None and one.against.delta is not None]
    better = [one for one in paired if one.against and one.against.verdict == "better"]
    ranked = metrics.ranked(better or found, lambda one: one.value, higher)
    first = ranked[0]
    if better:
        how = "the best of those that are better beyond noise" if better[1:] else "better beyond noise"
        return first.run, _reason(experiment, base, metric, first, len(found), how)
    before = None if paired else _value_of_base(experiment, base, metric)
    if before is not None and first.value != before and (first.value > before) == higher:
        how = f"the best by {metric} alone, since no paired comparison tells how sure that is"
        return first.run, _reason(experiment, base, metric, first, len(found), how)
    told = _numbers(base, metric, first)
    raise DecisionNeeded(
        f"none of {len(found)} candidates is better than {base} beyond noise; the best is {first.run.name}: {told}",
        fix=f"--run {first.run.name} adopts it all the same; more seeds (repeats) would make it surer",
    )


def _judged(experiment: Experiment, metric: str) -> list[Judged]:
    """Candidates that have the metric, in the order of the plan."""
    known, found = tried.by_name(experiment.plan, experiment.folder), []
    for rows, against in tried.judged(experiment.plan, experiment.folder, metric).values():
        run = known.get(rows[0].run)
        values = [value for row in rows if (value := compare.value_of(row, metric)) is not None]
        if run is not None and run.action is not None and values:
            found.append(Judged(run, sum(values) / len(values), against))
    return found


def _named(experiment: Experiment, found: Sequence[Judged], chosen: str) -> Judged:
    one = next((one for one in found if chosen in (one.run.name, one.run.point)), None)
    if one is None:
        there = ", ".join(one.run.name for one in found) or "none has ended yet"
        reason = f"{chosen} is no candidate with results"
        raise InputError(reason, file=experiment.folder.plan, place="--run", fix=f"choose one of: {there}")
    return one


def _refuse_unfinished(experiment: Experiment) -> None:
    states = look(experiment.folder, experiment.clock).states
    left = [held.run.name for held in states if held.phase not in state.SETTLED]
    if left:
        reason = f"{len(left)} of {len(states)} runs have not ended: {', '.join(left[:4])}"
        fix = f"progtrain experiment run {experiment.folder.name} goes on; --run adopts one now"
        raise InputError(reason, file=experiment.folder.path, fix=fix)


def _value_of_base(experiment: Experiment, base: str, metric: str) -> float | None:
    """Of the control, else of the version itself."""
    known = tried.by_name(experiment.plan, experiment.folder)
    for rows, _ in tried.judged(experiment.plan, experiment.folder, metric).values():
        run = known.get(rows[0].run)
        if run is not None and run.type == "control":
            return compare.value_of(rows[0], metric)
    records = history.records(experiment.ws, experiment.rules, until=base)
    return next((record.primary for record in records if record.version == base), None)


def _numbers(base: str, metric: str, one: Judged) -> str:
    told = f"{metric} {metric_text(one.value)}"
    found = one.against
    if found is None or found.delta is None:
        why = found.refused if found is not None else f"{base} was not trained beside it"
        return f"{told}, not compared in pairs: {why}"
    ends = f"{signed_text(found.low)} to {signed_text(found.high)}"
    over = f" over {found.samples} samples" if found.samples else ""
    return f"{told}, {signed_text(found.delta)} against {base} (95 % interval {ends}{over}: {found.verdict})"


def _reason(experiment: Experiment, base: str, metric: str, one: Judged, count: int, how: str) -> str:
    name = experiment.folder.name
    return f"experiment {name} trained {count} candidates of {base} side by side; {how}: {_numbers(base, metric, one)}"


# the action


def _text(context: Context, base: str, insight: Insight, record: rounds.DraftRecord, run: Run, reason: str) -> str:
    """The action file, as it is drafted for a candidate that the user chose; its goal is the reason."""
    candidate = _candidate(insight, run.action or {}, run.name)
    told = [f"tried beside it: {one.action_text}: {one.outcome or 'no verdict'}" for one in _others(context, base, run)]
    # the base is named: `branch_from` may mean another version
    candidate = candidate.model_copy(
        update={"why": reason, "base": base, "reasons": (*candidate.reasons, *told), "evidence": ()}
    )
    # its own words are about what it had chosen, before the experiment
    draft = record.draft.model_copy(update={"chosen": ""})
    return documents.render_action(base, insight, draft, candidate, source=version_files.read(context.ws, base))


def _candidate(insight: Insight, action: Mapping[str, object], name: str) -> Candidate:
    """The one of the analysis, else one that was written into the plan by hand."""
    for candidate in insight.candidates:
        if candidate.base in (None, insight.version) and same_operation(candidate.operation, action):
            return candidate
    operation = parse_operation(dict(action))
    title = f"as in its run {name}"
    return Candidate(
        id=name, title=title, operation=dict(action), change=operation.describe(), risk="medium", why="", rank=1
    )


def _others(context: Context, base: str, run: Run) -> list[VersionRecord]:
    found, _ = tried.beside(context.ws, context.rules.primary_metric)
    return [one for one in found if one.base == base and not same_operation(one.operation, run.action)]
