"""Samples that a model from elsewhere leaves without an answer. None of them counts as a small error: where an answer
is right or wrong they are wrong, elsewhere they are missing, and `answered` says how many are there.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .common import EvalError
from .external import NOTHING, one_line
from .judge import Judge
from .measures import Metric, is_better
from .samples import Samples
from .seen import Row, Score
from .tasks import as_number
from .trained import Answer

#: the share of the samples that have an answer
ANSWERED = "answered"
#: an answer to these is right or wrong
RIGHT_OR_WRONG = ("classification", "binary", "multilabel", "text")


def mark_unknown(answers: Sequence[Answer], targets: Sequence[Any], names: Sequence[str] | None) -> None:
    """A class that is none of those told apart is no answer. Raises `EvalError` where there is no other one at all."""
    if isinstance(targets[0], Mapping) or texts(targets, answers, names):
        return
    known = set(names or [])
    for answer in answers:
        if isinstance(answer.prediction, str) and answer.prediction not in known and not answer.error:
            told = ", ".join(names or []) or "there are none"
            answer.error = one_line(f"the prediction {answer.prediction!r} is none of CLASS_NAMES ({told})")
    check(answers)


def texts(targets: Sequence[Any], answers: Sequence[Answer], names: Sequence[str] | None) -> bool:
    """Whether both are free texts, and no classes."""
    said = [answer.prediction for answer in answers if not answer.error]
    return all(isinstance(value, str) for value in (*targets, *said)) and not set(targets) <= set(names or [])


def check(answers: Sequence[Answer], where: str = "", some: bool = True) -> None:
    """Raises `EvalError` where every sample fails: that is a mistake to correct, and no result. A model that answers
    with nothing, without any complaint, has one: `answered` is 0. Not `some`: it has to say something too.
    """
    if answers and all(answer.error and (answer.error != NOTHING or not some) for answer in answers):
        raise EvalError(f"{where}{answers[0].error}")


def complete(judge: Judge, samples: Samples, answers: Sequence[Answer], scores: list[Score], path: str) -> list[Score]:
    """Puts in the rows of samples without an answer, and what served each. Returns the scores with that."""
    told = dict(zip(samples.ids, answers))
    judge.path = path
    judge.served = {i: a.served_by for i, a in told.items() if a.served_by}
    judge.errors = {i: a.error for i, a in told.items() if a.error}
    share = 1 - len(judge.errors) / len(told)
    if judge.errors:
        first = next(iter(judge.errors.values()))
        print(f"warning: {len(judge.errors)} of {len(told)} samples have no answer, the first because: {first}")
        place = {row.sample_id: n for n, row in enumerate(judge.rows)}
        judge.rows = [
            judge.rows[place[i]] if i in place else missing(judge, i, target)
            for i, target in zip(samples.ids, samples.targets)
        ]
        for name, parts in judge.parts.items():
            empty = 0.0 if counts_wrong(judge.metrics[name]) else math.nan
            judge.parts[name] = array("d", [parts[place[i]] if i in place else empty for i in samples.ids])
        for score in scores:
            if score.name in judge.metrics and math.isfinite(score.value):
                score.value = with_wrong(judge, judge.metrics[score.name], score.value, share)
    return [*scores, Score(ANSWERED, share, True, "share of the samples that have an answer")]


def no_scores(judge: Judge) -> list[Score]:
    """Of a model that answered nothing: no number, which ranks last whichever way is better."""
    wanted = {"loss": False, **{name: is_better(name, better) for name, better in judge.wanted.items()}}
    return [Score(name, math.nan, better, "no sample has an answer") for name, better in wanted.items()]


def shares(judge: Judge) -> dict[str, float]:
    """What served how much of the samples; what is missing to 1 has no answer."""
    served = Counter(judge.served.get(r.sample_id, judge.path) for r in judge.rows if r.sample_id not in judge.errors)
    return {path: count / len(judge.rows) for path, count in served.most_common()}


# one row, and the numbers with it


def missing(judge: Judge, sample_id: str, target: Any) -> Row:
    judged = judge.task or ("classification" if judge.names or isinstance(target, str) else "")
    return Row(sample_id, truth_of(judge, target), "", False if judged in RIGHT_OR_WRONG else None, math.nan, None)


def truth_of(judge: Judge, target: Any) -> str:
    """As `Judge.named` says it of the samples that were judged."""
    if isinstance(target, (str, Mapping)):
        return judge.named(target)
    value = as_number(target, {}, "target").reshape(-1)
    if judge.task == "classification" and len(value) > 1:
        value = value.argmax().reshape(1)
    if judge.task or not judge.names or len(value) > 1:
        return judge.named(value) if judge.task else " ".join(f"{number:.7g}" for number in value.tolist())
    return judge.class_name(int(value))


def counts_wrong(metric: Metric) -> bool:
    """Whether a sample's part of it is 1 or 0."""
    return metric.key in ("accuracy", "exact_match")


def with_wrong(judge: Judge, metric: Metric, value: float, share: float) -> float:
    """A metric of the answered samples, with the others as wrong ones; itself where it knows no right and wrong."""
    key, average = metric.key, metric.average
    if judge.task in ("classification", "binary") and metric.top == 1 and key in CONFUSION:
        if judge.task == "binary" and not (key == "accuracy" and average == "macro"):
            average = average if key == "accuracy" else "binary"
        return of_classes(judge, key, average or ("micro" if key == "accuracy" else "macro"))
    if judge.task in RIGHT_OR_WRONG and counts_wrong(metric):
        return value * share
    return value


#: metric -> from right, said and true samples of a class
CONFUSION = {
    "accuracy": lambda right, said, true: (right, true),
    "recall": lambda right, said, true: (right, true),
    "precision": lambda right, said, true: (right, said),
    "f1": lambda right, said, true: (2 * right, said + true),
}


def of_classes(judge: Judge, key: str, average: str) -> float:
    """As torchmetrics has it: a class that is neither true nor said anywhere does not count."""
    true, said = Counter(row.truth for row in judge.rows), Counter(row.prediction for row in judge.rows)
    right = Counter(row.truth for row in judge.rows if row.correct)
    classes = [judge.class_name(1)] if average == "binary" else sorted({*true, *said} - {""})
    pairs = [CONFUSION[key](right[name], said[name], true[name]) for name in classes]
    if average == "micro":
        pairs = [(sum(above for above, _ in pairs), sum(below for _, below in pairs))]
    weights = [true[name] for name in classes] if average == "weighted" else [1] * len(pairs)
    values = [above / below if below else 0.0 for above, below in pairs]
    return sum(w * v for w, v in zip(weights, values)) / max(sum(weights), 1)
