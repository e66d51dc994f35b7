"""Verdicts from a paired bootstrap over the same validation samples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from progtrain.engine.analysis.compare.pairs import compare
from progtrain.engine.analysis.measure.samples import PerSample


def classes(predictions: Sequence[int], truth: Sequence[int], start: int = 0) -> PerSample:
    n = len(truth)
    correct = [p == t for p, t in zip(predictions, truth, strict=True)]
    return PerSample(
        ids=[f"s{i + start}" for i in range(n)],
        truth=[str(t) for t in truth],
        prediction=[str(p) for p in predictions],
        correct=list(correct),
        loss=[0.1 if c else 2.0 for c in correct],
        confidence=[None] * n,
        parts={"accuracy": [float(c) for c in correct]},
    )


def numbers(predictions: Sequence[float], truth: Sequence[float]) -> PerSample:
    n = len(truth)
    errors = [(p - t) ** 2 for p, t in zip(predictions, truth, strict=True)]
    return PerSample(
        ids=[f"s{i}" for i in range(n)],
        truth=[str(t) for t in truth],
        prediction=[str(p) for p in predictions],
        correct=[None] * n,
        loss=list(errors),
        confidence=[None] * n,
        parts={"rmse": list(errors)},
    )


def guesses(accuracy: float, seed: int, n: int = 400, k: int = 4) -> tuple[list[int], list[int]]:
    generator = random.Random(seed)
    truth = [i % k for i in range(n)]
    return [t if generator.random() < accuracy else (t + 1) % k for t in truth], truth


@pytest.mark.parametrize("metric", ["accuracy", "f1", "precision", "recall", "auroc", "loss"])
def test_equal_predictions_are_within_noise_with_no_difference(metric: str) -> None:
    one = classes(*guesses(0.9, 1))
    result = compare(one, one, metric, metric != "loss", 42)
    assert result is not None
    assert (result.delta, result.low, result.high, result.verdict) == (0.0, 0.0, 0.0, "within noise")


@pytest.mark.parametrize("metric", ["accuracy", "f1", "auroc"])
def test_a_clear_difference_is_better_and_the_other_way_round_worse(metric: str) -> None:
    low, high = classes(*guesses(0.7, 1)), classes(*guesses(0.95, 2))
    there, back = compare(low, high, metric, True, 42), compare(high, low, metric, True, 42)
    assert there and back
    assert (there.verdict, back.verdict) == ("better", "worse")
    assert there.low <= there.delta <= there.high


def test_a_small_difference_is_within_noise() -> None:
    truth = [i % 4 for i in range(400)]
    one, other = list(truth), list(truth)
    one[0] = other[1] = other[2] = 3
    result = compare(classes(one, truth), classes(other, truth), "accuracy", True, 42)
    assert result and result.verdict == "within noise"
    assert result.low <= 0 <= result.high


@pytest.mark.parametrize("metric", ["rmse", "mae", "mse", "r2", "val/L1"])
def test_regression_metrics_are_worked_out_again_from_the_samples(metric: str) -> None:
    generator = random.Random(3)
    truth = [generator.gauss(0, 10) for _ in range(300)]
    rough = numbers([t + generator.gauss(0, 3) for t in truth], truth)
    fine = numbers([t + generator.gauss(0, 1) for t in truth], truth)
    result = compare(rough, fine, metric, metric == "r2", 42)
    assert result and (result.metric, result.verdict) == (metric, "better")


def test_rmse_is_the_root_of_the_mean_square() -> None:
    truth = [0.0, 0.0, 0.0, 0.0]
    result = compare(numbers([1, 1, 1, 1], truth), numbers([3, 3, 3, 3], truth), "rmse", False, 42)
    assert result and result.delta == pytest.approx(2.0)
    assert result.verdict == "worse"


def test_macro_f1_counts_every_class_alike() -> None:
    truth = [0] * 90 + [1] * 10
    result = compare(classes([0] * 100, truth), classes(truth, truth), "f1", True, 42)
    assert result and result.delta == pytest.approx(1 - (2 * 90 / 190) / 2)


def test_only_common_samples_count_and_the_method_says_so() -> None:
    predictions, truth = guesses(0.9, 1, n=100)
    result = compare(classes(predictions, truth), classes(predictions, truth, start=40), "accuracy", True, 42)
    assert result and result.n == 60
    assert "40 samples left out" in result.method
    assert compare(classes(predictions, truth), classes(predictions, truth, start=500), "accuracy", True, 42) is None


def test_what_does_not_come_from_single_samples_falls_back_to_the_loss() -> None:
    low, high = classes(*guesses(0.7, 1)), classes(*guesses(0.95, 2))
    result = compare(low, high, "auroc", True, 42)
    assert result and (result.metric, result.higher_is_better) == ("loss", False)
    assert "auroc does not come from single samples" in result.method


def test_the_seed_decides_the_interval() -> None:
    low, high = classes(*guesses(0.8, 1)), classes(*guesses(0.85, 2))
    assert compare(low, high, "loss", False, 1) == compare(low, high, "loss", False, 1)
    assert compare(low, high, "loss", False, 1) != compare(low, high, "loss", False, 2)


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    """Of 60 pairs with equal quality about one in twenty is called different; more than nine would be a fault."""
    called = 0
    for seed in range(60):
        one, other = classes(*guesses(0.8, 2 * seed, n=150)), classes(*guesses(0.8, 2 * seed + 1, n=150))
        result = compare(one, other, "accuracy", True, 42)
        called += result is not None and result.verdict != "within noise"
    assert called <= 9


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
def test_what_is_of_class_one_is_compared_by_that_class(metric: str) -> None:
    """Whatever it is called, and the same where the model gives one score for yes or no."""
    truth = [0] * 80 + [1] * 20
    before, after = [0] * 80 + [1] * 5 + [0] * 15, [0] * 76 + [1] * 4 + [1] * 15 + [0] * 5
    of_one = {"f1": (10 / 25, 30 / 39), "precision": (1.0, 15 / 19), "recall": (5 / 20, 15 / 20)}[metric]

    def named(predictions: list[int]) -> PerSample:
        plain = classes(predictions, truth)
        words = {"0": "no", "1": "yes"}
        told = ([words[cell] for cell in column] for column in (plain.truth, plain.prediction))
        return replace(plain, **dict(zip(("truth", "prediction"), told, strict=True)), class_one="yes")

    a, b = named(before), named(after)
    found = compare(a, b, f"binary_{metric}", True, 42)
    assert found
    assert found.metric == f"binary_{metric}"
    assert found.delta == pytest.approx(of_one[1] - of_one[0])
    assert "of class yes" in found.method
    one_score = compare(replace(a, one_score=True), replace(b, one_score=True), metric, True, 42)
    macro = compare(a, b, metric, True, 42)
    assert one_score
    assert macro
    assert one_score.delta == found.delta != macro.delta


def test_of_what_class_one_is_nobody_knows_the_loss_decides() -> None:
    truth = [0, 1] * 20
    result = compare(classes([0] * 40, truth), classes(truth, truth), "binary_f1", True, 42)
    assert result
    assert result.metric == "loss"
