"""Training rows to add: offered where a version fails more in some classes, or a range of its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from progtrain.advisor.interface import Candidate
from progtrain.engine import values
from progtrain.engine.additions import focus, plan
from progtrain.engine.analysis.advise.evidence import FLOOR
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.parts import additions

_ID = "add_training_rows"
#: even the clearest case stands behind what is usually tried first
_MOST = 0.5
_SENTENCES: dict[str, tuple[str, ...]] = {
    "goal": (
        "Show the training more of what it gets wrong.",
        "Give the weakest part of the data more weight in the training.",
    ),
    "impact": (
        "Fewer errors in the weakest part of the data; the rest may lose a little.",
        "The weakest part gains first; the whole only where the rest does not lose.",
    ),
    "risk": (
        "Medium: what the rows gain in one place, the rest may lose.",
        "Medium: more rows of a kind shift what the model expects of all.",
    ),
    "verification": (
        "Compare the focus, the rest and the whole apart: better in one and worse in another is a trade-off.",
        "See whether as many random rows would have helped as much.",
    ),
}


def proposed(samples: PerSample | None, skill: float | None, *, by_loss: bool = True) -> Candidate | None:
    """The candidate, with the usual shares; None where the samples tell of no part that is weaker than the rest. A
    model that has learned little (`skill`, 0 to 1) fails everywhere. `by_loss`: whether the evaluator can tell the loss
    of training rows."""
    if samples is None or len(samples) < plan.LEAST or not (samples.is_classification or samples.numbers):
        return None
    try:
        found, _, filled = focus.chosen(plan.Plan({}), samples, "", not samples.is_classification)
    except InputError:
        return None
    words, clear = (_of_classes if samples.is_classification else _of_range)(found, samples)
    if clear <= 0:
        return None
    learned = 1.0 if skill is None else values.ramp(skill, 0.2, 0.6)
    return Candidate(
        id=_ID,
        title="add training rows where it fails",
        operation={
            "operation": "data",
            "focus": filled.focus,
            **({} if by_loss else {"replay": {"hard_by": "out_of_fold"}}),
        },
        change="",
        risk="medium",
        why="shows the training more of what it gets wrong: changed and repeated training rows of the weakest part",
        reasons=(f"for: failures are concentrated: {words}",),
        evidence=("worst_class", "worst_class_recall", "class_spread") if samples.is_classification else (),
        score=max(FLOOR, _MOST * clear * learned),
        rank=0,
        effects=("rare_classes",) if samples.is_classification else (),
        sentences=_SENTENCES,
    )


def not_offered(candidate: Candidate | None, source: str) -> tuple[str, ...]:
    """Why a script cannot be given the rows that would be proposed, in a sentence."""
    why = additions.why_not(source) if candidate else ""
    return (f"{_ID}: no action, {why}",) if why else ()


def _of_classes(found: Sequence[Mapping[str, Any]], samples: PerSample) -> tuple[str, float]:
    """In words, and how much these classes stand out, 0 to 1."""
    names = [one["slice"] for one in found]
    right = [
        [bool(ok) for ok, of in zip(samples.correct, samples.truth, strict=True) if (of in names) is there]
        for there in (True, False)
    ]
    if not all(right):
        return "", 0.0
    held, others = fmean(right[0]), fmean(right[1])
    told = f"recall {values.metric(held)} in class{'es' if len(names) > 1 else ''} {' and '.join(names)}"
    return f"{told} ({len(right[0])} samples), {values.metric(others)} elsewhere", values.ramp(others - held, 0.05, 0.4)


def _of_range(found: Sequence[Mapping[str, Any]], samples: PerSample) -> tuple[str, float]:
    truths, said = samples.numbers or ([], [])
    error = fmean(abs(truth - answer) for truth, answer in zip(truths, said, strict=True))
    held, ends, count = found[0]["value"], found[0]["slice"], found[0]["samples"]
    told = f"mean error {values.metric(held)} for targets from {ends} ({count} samples)"
    return f"{told}, {values.metric(error)} overall", values.ramp(held / error if error else None, 1.2, 3.0)
