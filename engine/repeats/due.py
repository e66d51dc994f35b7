"""Which repeats the rules ask for, and the step of the loop that makes them: part of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.engine import metrics, values
from progtrain.engine.analysis.types import VersionRecord
from progtrain.engine.control import marks
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import history
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.loop.steps import evaluate
from progtrain.engine.loop.steps import report as reports
from progtrain.engine.repeats import found, seeds, verdicts
from progtrain.engine.repeats import run as repeats
from progtrain.engine.status.snapshot import NOT_MEASURED

#: "auto" repeats short trainings so often: two runs tell next to nothing of their spread, four something (t of 3
#: degrees of freedom: 3.2)
AUTO = 3


def reasons(context: Context, version: str) -> list[str]:
    """Why the version has to be evaluated, or repeated; empty when that is done."""
    if why := evaluate.reasons(context, version):
        return why
    times = due(context, version)
    return [f"eval_config.repeats asks for {times} repeats"] if times else []


def run(context: Context, version: str) -> str:
    """Evaluates, and repeats where the rules ask for it. Returns a line for the journal. Raises as `evaluate.run`."""
    times = 0 if evaluate.reasons(context, version) else due(context, version)
    text = "" if times else evaluate.run(context, version)
    if times := times or due(context, version):
        try:
            told = repeats.repeat(context, version, times)
        except StepFailed as error:
            # the version itself is whole
            context.journal.warn(f"{version}: {error.reason}")
            told = error.reason
        text = "; ".join(filter(None, (text, told)))
    return text


def report(context: Context, version: str) -> str:
    """The step "report", once the first version and the best one have the repeats that the rules ask for: they may have
    been made before the rules did. Returns and raises as `reports.run`."""
    records = history.records(context.ws, context.rules) if context.rules.repeats else []
    missing = {one: times for one in _first_and_best(context, records) if (times := due(context, one))}
    for one, times in missing.items():
        try:
            repeats.repeat(context, one, times)
        except (InputError, StepFailed) as error:
            context.journal.warn(f"{one} is not confirmed by other seeds: {error.reason}")
    if missing:
        verdicts.reconsider(context)
    return reports.run(context, version)


def _first_and_best(context: Context, records: Sequence[VersionRecord]) -> list[str]:
    named = [one for one in (*records[:1], _best(context, records)) if one is not None]
    return list(dict.fromkeys(one.version for one in named))


def _best(context: Context, records: Sequence[VersionRecord]) -> VersionRecord | None:
    higher = context.rules.higher_is_better(context.rules.primary_metric)
    return metrics.best((one for one in records if one.comparable), lambda one: one.primary, higher)


def due(context: Context, version: str) -> int:
    """How many repeats there should be of an evaluated version that has fewer; 0: none are due.

    "auto": of the first version, and of each that scores best so far, so that the spread is known from where the next
    ones begin and the best of them is confirmed; only where a training is short.
    """
    asked = context.rules.repeats
    if not asked:
        return 0
    wanted = (AUTO if asked == "auto" else asked) - found.anyway(context.ws, version)
    if found.tried(context.ws, version) >= wanted or found.hopeless(context.ws, version):
        return 0
    mark = marks.read(context.ws, version, "train")
    if mark is None or mark.adopted:
        return 0
    if asked != "auto":
        return wanted if _can_be(context, version) else 0
    if mark.seconds > repeats.SHORT:
        context.journal.note_once([_too_long(version, mark.seconds)])
        return 0
    records = history.records(context.ws, context.rules, until=version)
    best = _best(context, records)
    asked_for = len(records) == 1 or (best is not None and best.version == version)
    return wanted if asked_for and _can_be(context, version) else 0


def _can_be(context: Context, version: str) -> bool:
    """A version whose seed cannot be changed is no reason to end a loop."""
    try:
        repeats.refuse(context, version)
        seeds.changeable(context.ws, version)
    except InputError as error:
        context.journal.note_once([f"{version}: {NOT_MEASURED}: {error.reason}"])
        return False
    return True


def _too_long(version: str, seconds: float) -> str:
    return (
        f"{version} trained for {values.show(round(seconds))} s: longer than what is repeated by itself; "
        f"progtrain repeat {version} measures the noise of its seed"
    )
