"""Where each model is good: by class, by range of the target, or by column of it; over the samples that all have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from progtrain.engine import metrics, values
from progtrain.engine.analysis.measure.samples import PerSample

#: more than these cannot be told apart in one picture
MOST = 24
#: fewer samples make no quarters
_FEW = 8


class Dimension(NamedTuple):
    name: str
    kind: Literal["class", "target range", "target column"]
    samples: int
    #: model -> share of right answers of a class, mean absolute error elsewhere; None where it has no answer there
    values: dict[str, float | None]

    @property
    def higher_is_better(self) -> bool:
        return self.kind == "class"


def find(models: dict[str, PerSample], ids: Sequence[str], columns: Sequence[str] = ()) -> list[Dimension]:
    """Empty where truth and answers are neither classes nor numbers. `columns`: names of the target's, where known."""
    if not models or not ids:
        return []
    first = next(iter(models.values()))
    truth = {i: first.truth[first.row[i]] for i in ids}
    if all(one.is_classification for one in models.values()):
        members: dict[str, list[str]] = {}
        for i in ids:
            members.setdefault(truth[i], []).append(i)
        return [_class(name, members[name], models) for name in sorted(members, key=_natural)]
    numbers = {i: found for i in ids if (found := _numbers(truth[i]))}
    width = {len(found) for found in numbers.values()}
    if len(numbers) < len(ids) or len(width) != 1:
        return []
    if (many := width.pop()) > 1:
        named = columns if len(columns) == many else [f"column {place + 1}" for place in range(many)]
        return [_errors(name, "target column", ids, models, at) for at, name in enumerate(named)]
    ordered = sorted(ids, key=lambda i: numbers[i][0])
    quarters = [ordered[len(ids) * q // 4 : len(ids) * (q + 1) // 4] for q in range(4)] if len(ids) >= _FEW else []
    return [
        _errors(f"{numbers[part[0]][0]:.4g} to {numbers[part[-1]][0]:.4g}", "target range", part, models, 0)
        for part in quarters
    ]


def _natural(name: str) -> tuple[int, float, str]:
    number = metrics.finite(values.number(name))
    return (1, 0.0, name) if number is None else (0, number, "")


def _numbers(text: str) -> tuple[float, ...]:
    """Empty for what is no list of numbers."""
    found = [metrics.finite(values.number(part)) for part in text.split()]
    known = [value for value in found if value is not None]
    return tuple(known) if len(known) == len(found) else ()


def _class(name: str, ids: Sequence[str], models: dict[str, PerSample]) -> Dimension:
    """A sample without an answer is a wrong one."""
    right = {model: sum(one.correct[one.row[i]] is True for i in ids) / len(ids) for model, one in models.items()}
    return Dimension(name, "class", len(ids), dict(right))


def _errors(
    name: str, kind: Literal["target range", "target column"], ids: Sequence[str], models: dict[str, PerSample], at: int
) -> Dimension:
    def error(one: PerSample) -> float | None:
        rows = [one.row[i] for i in ids]
        pairs = [(_numbers(one.truth[row]), _numbers(one.prediction[row])) for row in rows]
        apart = [abs(said[at] - true[at]) for true, said in pairs if len(said) == len(true)]
        return math.fsum(apart) / len(apart) if apart else None

    return Dimension(name, kind, len(ids), {model: error(one) for model, one in models.items()})


def outward(found: Sequence[Dimension]) -> Callable[[Dimension, str], float | None]:
    """How far out a model lies on an axis, 0 to 1: the share of right answers; of errors, the smallest of all models
    over its own, so that 1 is the best one."""

    def place(dimension: Dimension, model: str) -> float | None:
        value = dimension.values.get(model)
        if value is None or dimension.higher_is_better:
            return value
        least = min(other for other in dimension.values.values() if other is not None)
        return 1.0 if value == 0 else least / value

    return place


def told(found: Sequence[Dimension]) -> str:
    """What the numbers are."""
    if not found:
        return ""
    return "share of right answers" if found[0].higher_is_better else "mean absolute error"
