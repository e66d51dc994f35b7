"""From finished answers to what the metrics take."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .common import ROOT, EvalError
from .external import ExternalModel
from .judge import Judge
from .samples import Samples
from .seen import Seen
from .tasks import as_number
from .trained import Answer, TrainedModel
from .unanswered import check, texts


def all_answers(
    model: TrainedModel | ExternalModel, raws: Sequence[Any], batch: int, *, some: bool = False
) -> list[Answer]:
    """Raises `EvalError` where a model from elsewhere fails at every sample; at any, unless `some` will do."""
    if isinstance(model, ExternalModel):
        answers = [a for n in range(0, len(raws), batch) for a in model.answer(raws[n : n + batch])]
        check(answers if some else [a for a in answers if a.error], f"{model.script.relative_to(ROOT)}: ", some)
        return answers
    try:
        answers = [a for n in range(0, len(raws), batch) for a in model.answer(raws[n : n + batch])]
    except (RuntimeError, TypeError, ValueError):  # inputs of different shapes make no batch
        answers = []
    return answers if len(answers) == len(raws) else [model.answer([raw])[0] for raw in raws]


def median_latency(model: TrainedModel | ExternalModel, raws: list[Any], warm_up: int, count: int) -> float | None:
    """Milliseconds for one sample, pre- and postprocessing included; None where none of these has an answer."""
    times = []
    for raw in [*raws[:warm_up], *raws[:count]]:
        start = time.perf_counter()
        answered = not model.answer([raw])[0].error
        times.append(getattr(model, "took", time.perf_counter() - start) * 1000 if answered else math.nan)
    known = [took for took in times[len(raws[:warm_up]) :] if math.isfinite(took)]
    return statistics.median(known) if known else None


def judge_answers(
    judge: Judge, answers: list[Answer], samples: Samples, script: ModuleType | None
) -> list[Seen | None]:
    """Judges finished answers, those that are there. Returns a Seen a sample, None where there is no answer."""
    there = [n for n, answer in enumerate(answers) if not answer.error]
    if not there:
        return [None] * len(answers)
    ids, raws, targets = ([column[n] for n in there] for column in (samples.ids, samples.raws, samples.targets))
    seen = judge_all(judge, [answers[n] for n in there], replace(samples, ids=ids, raws=raws, targets=targets), script)
    by_place = dict(zip(there, seen))
    return [by_place.get(n) for n in range(len(answers))]


def judge_all(judge: Judge, answers: list[Answer], samples: Samples, script: ModuleType | None) -> list[Seen]:
    """Texts, boxes, or numbers, together where shapes agree. Returns a Seen a sample."""
    index = {name: number for number, name in enumerate(judge.names or [])}
    told = getattr(script, "per_sample_loss", None)
    losses = torch.full((len(answers),), math.nan, dtype=torch.float64)
    if told is not None:
        losses = torch.tensor([float(told(a.scores, t)) for a, t in zip(answers, samples.targets)], dtype=torch.float64)
    done, targets = [a.prediction for a in answers], samples.targets
    all_finite = torch.ones(len(done), dtype=torch.bool)
    if texts(targets, answers, judge.names):
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
    predictions: list[Any] = given if all(value is not None for value in given) else [None] * len(given)
    if any(value is None for value in scores):
        scores = [None] * len(scores)
    if scores[0] is None and predictions[0] is None:
        predictions = [most_likely(a, value) for a, value in zip(answers, given)]
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


def most_likely(answer: Answer, given: Tensor | None) -> Tensor:
    """The class with the highest score, beside answers that are a class only. Raises `EvalError` for other scores."""
    if given is not None:
        return given
    scores = torch.as_tensor(answer.scores).squeeze()
    if scores.dim() != 1:
        raise EvalError("some answers have scores, others a prediction only")
    return scores.argmax().double()


def one_of(seen: Seen, row: int) -> Seen:
    only = slice(row, row + 1)
    sure = None if seen.probabilities is None else seen.probabilities[only]
    return Seen(seen.targets[only], seen.predictions[only], sure, seen.losses[only], seen.finite[only])
