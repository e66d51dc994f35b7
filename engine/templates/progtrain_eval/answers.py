"""From finished answers to what the metrics take."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .common import EvalError
from .external import ExternalModel
from .judge import Judge
from .samples import Samples
from .seen import Seen
from .trained import Answer, TrainedModel


def all_answers(model: TrainedModel | ExternalModel, raws: Sequence[Any], batch: int) -> list[Answer]:
    try:
        answers = [a for n in range(0, len(raws), batch) for a in model.answer(raws[n : n + batch])]
    except (RuntimeError, TypeError, ValueError):  # inputs of different shapes make no batch
        answers = []
    return answers if len(answers) == len(raws) else [model.answer([raw])[0] for raw in raws]


def median_latency(model: TrainedModel | ExternalModel, raws: list[Any], warm_up: int, count: int) -> float:
    """Milliseconds for one sample, pre- and postprocessing included."""
    times = []
    for raw in [*raws[:warm_up], *raws[:count]]:
        start = time.perf_counter()
        model.answer([raw])
        times.append(getattr(model, "took", time.perf_counter() - start) * 1000)
    return statistics.median(times[len(raws[:warm_up]) :])


def judge_answers(judge: Judge, answers: list[Answer], samples: Samples, script: ModuleType | None) -> list[Seen]:
    """Judges finished answers: texts, boxes, or numbers, together where shapes agree. Returns a Seen a sample."""
    index = {name: number for number, name in enumerate(judge.names or [])}
    told = getattr(script, "per_sample_loss", None)
    losses = torch.full((len(answers),), math.nan, dtype=torch.float64)
    if told is not None:
        losses = torch.tensor([float(told(a.scores, t)) for a, t in zip(answers, samples.targets)], dtype=torch.float64)
    done, targets = [a.prediction for a in answers], samples.targets
    all_finite = torch.ones(len(done), dtype=torch.bool)
    if all(isinstance(value, str) for value in (*targets, *done)) and not set(targets) <= set(index):
        judge.task, together = "text", [Seen(list(targets), done, None, losses, all_finite)]
    elif isinstance(targets[0], Mapping):
        judge.task, together = "detection", [Seen(targets, [a.scores for a in answers], None, losses, all_finite)]
    else:
        together = judge_numbers(judge, answers, samples, index, losses)
    begin = 0
    for seen in together:
        judge.see(samples.ids[begin : begin + len(seen.losses)], seen)
        begin += len(seen.losses)
    return [one_of(seen, row) for seen in together for row in range(len(seen.losses))]


def judge_numbers(
    judge: Judge, answers: list[Answer], samples: Samples, index: Mapping[str, int], losses: Tensor
) -> list[Seen]:
    targets = [as_number(target, index, "target") for target in samples.targets]
    given = [None if a.prediction is None else as_number(a.prediction, index, "prediction") for a in answers]
    scores = [None if a.scores is None else torch.as_tensor(a.scores).double().squeeze() for a in answers]
    predictions = given if all(value is not None for value in given) else [None] * len(given)
    if any(value is None for value in scores):
        scores = [None] * len(scores)
    if scores[0] is None and predictions[0] is None:
        raise EvalError("some answers have scores, others a prediction only")
    columns: list[list[Any]] = [scores, targets, predictions]
    same = [len({None if v is None else tuple(v.shape) for v in column}) == 1 for column in columns]
    sizes = [len(answers)] if all(same) else [1] * len(answers)
    found, begin = [], 0
    for size in sizes:
        part: list[Any] = [None if c[begin] is None else torch.stack(c[begin : begin + size]) for c in columns]
        seen = judge.judged(*part)
        own = losses[begin : begin + size]
        seen.losses = torch.where(own.isnan(), seen.losses, own)
        found.append(seen)
        begin += size
    return found


def as_number(value: Any, index: Mapping[str, int], what: str) -> Tensor:
    """A target or prediction as a tensor; names of classes become their indices."""
    if isinstance(value, str):
        if value not in index:
            known = ", ".join(index) or "there are none"
            raise EvalError(f"the {what} {value!r} is none of CLASS_NAMES ({known})")
        value = index[value]
    if isinstance(value, (list, tuple)) and any(isinstance(part, str) for part in value):
        raise EvalError(f"the {what} {value!r} holds several texts: give one text, a class's name, or numbers")
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return torch.tensor(np.asarray(value, dtype=np.float64).squeeze())


def one_of(seen: Seen, row: int) -> Seen:
    only = slice(row, row + 1)
    sure = None if seen.probabilities is None else seen.probabilities[only]
    return Seen(seen.targets[only], seen.predictions[only], sure, seen.losses[only], seen.finite[only])
