"""Each diagnosis is found where it was planted, and nothing is found in a healthy training."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from progtrain.engine.analysis.advise.diagnosis import TOLD, diagnose
from progtrain.engine.analysis.facts import tell
from progtrain.engine.analysis.measure.curves import read_metrics
from progtrain.engine.analysis.measure.failures import Failures
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.measure.shape import summarise
from progtrain.engine.analysis.vocabulary import DIAGNOSES

if TYPE_CHECKING:
    from tests.insight.conftest import Lab

GOOD = Failures(
    samples=200,
    mean_loss=0.2,
    wrong=12,
    imbalance=1.05,
    worst_class="a",
    worst_class_recall=0.91,
    worst_class_share=1.0,
    class_spread=0.05,
    confident_wrong=0.05,
    tail_loss=0.4,
    chance_loss=1.1,
)
SETTINGS: dict[str, Any] = {"learning_rate": 0.001, "batch_size": 32, "hidden_size": 64}


def measured(lab: Lab, train: list[float], val: list[float] | None = None, **changes: Any) -> Measurements:
    steps = changes.pop("steps", None)
    shape = summarise(read_metrics(lab.curves(train, val if val is not None else [v * 1.08 for v in train], steps)))
    base = Measurements(
        version="v001",
        metric="accuracy",
        higher_is_better=True,
        best="v001",
        value=0.94,
        task="classification",
        shape=shape,
        settings=SETTINGS,
        optimizer="Adam",
        schedule="CosineAnnealingLR",
        parameters=5_000,
        train_samples=1_000,
        val_samples=200,
        input_scale=2.0,
        input_offset=0.5,
        failures=GOOD,
    )
    return replace(base, **changes)


def findings(m: Measurements) -> dict[str, float]:
    found = diagnose(m, frozenset(fact.key for fact in tell(m)))
    assert [f.strength for f in found] == sorted((f.strength for f in found), reverse=True)
    assert all(0 <= f.strength <= 1 and f.id in DIAGNOSES for f in found)
    return {f.id: f.strength for f in found}


def noise(seed: int, spread: float, count: int) -> list[float]:
    generator = random.Random(seed)
    return [generator.gauss(0, spread) for _ in range(count)]


def test_a_healthy_training_is_called_so_alone(lab: Lab) -> None:
    train = [max(0.01, v + n) for v, n in zip(lab.decay(40, 1.1, 0.18, 0.3), noise(1, 0.001, 40), strict=True)]
    assert list(findings(measured(lab, train))) == ["healthy"]


def test_divergence(lab: Lab) -> None:
    m = measured(lab, [1.1, 1.5, math.nan], [1.1, math.inf, math.nan], value=None)
    assert findings(m)["divergence"] == 1.0


def test_divergence_without_nan(lab: Lab) -> None:
    assert next(iter(findings(measured(lab, [1.1, 2.0, 8.0, 30.0, 90.0])))) == "divergence"


def test_learning_rate_too_high(lab: Lab) -> None:
    train = [1.0 + abs(n) for n in noise(3, 0.6, 20)]
    poor = replace(GOOD, mean_loss=1.0)
    found = findings(measured(lab, train, failures=poor, settings={**SETTINGS, "learning_rate": 0.3}))
    assert next(iter(found)) == "learning_rate_too_high"
    assert "learning_rate_too_low" not in found


def test_learning_rate_too_low(lab: Lab) -> None:
    train = [1.1 - 0.008 * i for i in range(20)]
    found = findings(measured(lab, train, failures=replace(GOOD, mean_loss=0.98)))
    assert found["learning_rate_too_low"] >= 0.6
    assert "learning_rate_too_high" not in found and "overfitting" not in found


def test_too_few_epochs(lab: Lab) -> None:
    train = lab.decay(8, 1.1, 0.15, 0.25)
    found = findings(measured(lab, train))
    assert next(iter(found)) == "too_few_epochs"
    assert "plateau" not in found


def test_a_single_epoch_is_too_few(lab: Lab) -> None:
    assert next(iter(findings(measured(lab, [0.6])))) == "too_few_epochs"


def test_overfitting(lab: Lab) -> None:
    train = lab.decay(40, 1.1, 0.02, 0.2)
    val = [0.5 + 0.6 * math.exp(-0.4 * i) + 0.006 * max(0, i - 12) for i in range(40)]
    found = findings(measured(lab, train, val))
    assert next(iter(found)) == "overfitting"
    assert "underfitting" not in found and "too_few_epochs" not in found


def test_underfitting(lab: Lab) -> None:
    train = lab.decay(30, 1.1, 0.95, 0.3)
    found = findings(measured(lab, train, failures=replace(GOOD, mean_loss=1.0, wrong=120), value=0.4))
    assert found["underfitting"] >= 0.8
    assert "overfitting" not in found


def test_too_little_capacity(lab: Lab) -> None:
    train = lab.decay(40, 1.1, 0.6, 0.3)
    found = findings(measured(lab, train, failures=replace(GOOD, mean_loss=0.63), value=0.7))
    assert found["too_little_capacity"] >= 0.5


def test_too_much_capacity(lab: Lab) -> None:
    train = lab.decay(40, 1.1, 0.003, 0.9)
    val = [0.6 + 0.5 * math.exp(-1.2 * i) + 0.02 * max(0, i - 4) for i in range(40)]
    found = findings(measured(lab, train, val, parameters=200_000))
    assert found["too_much_capacity"] >= 0.7
    assert "overfitting" in found


def test_noisy_gradients(lab: Lab) -> None:
    train = lab.decay(20, 1.1, 0.4, 0.15)
    steps = [[max(0.01, loss * (1 + n)) for n in noise(i, 0.7, 20)] for i, loss in enumerate(train)]
    failures = replace(GOOD, mean_loss=0.45)
    small = findings(measured(lab, train, steps=steps, failures=failures, settings={**SETTINGS, "batch_size": 4}))
    assert small["noisy_gradients"] >= 0.6
    large = findings(measured(lab, train, steps=steps, failures=failures, settings={**SETTINGS, "batch_size": 512}))
    assert "noisy_gradients" not in large


def test_plateau(lab: Lab) -> None:
    train = lab.decay(60, 1.1, 0.3, 0.6)
    val = [v * 1.1 + 0.00001 * i for i, v in enumerate(train)]
    found = findings(measured(lab, train, val, failures=replace(GOOD, mean_loss=0.33)))
    assert found["plateau"] >= 0.7
    assert "too_few_epochs" not in found


def test_schedule_missing(lab: Lab) -> None:
    train = lab.decay(40, 1.1, 0.25, 0.3)
    val = [v * 1.1 + n for v, n in zip(train, noise(4, 0.015, 40), strict=True)]
    assert "schedule_missing" in findings(measured(lab, train, val, schedule=None))
    assert "schedule_missing" not in findings(measured(lab, train, val, schedule="CosineAnnealingLR"))


def test_class_imbalance(lab: Lab) -> None:
    rare = replace(
        GOOD, imbalance=8.0, worst_class="rare", worst_class_recall=0.3, worst_class_share=0.2, class_spread=0.68
    )
    assert findings(measured(lab, lab.decay(40, 1.1, 0.18, 0.3), failures=rare))["class_imbalance"] >= 0.8
    common = replace(rare, worst_class_share=2.0)
    assert "class_imbalance" not in findings(measured(lab, lab.decay(40, 1.1, 0.18, 0.3), failures=common))


@pytest.mark.parametrize(("scale", "offset"), [(2500.0, 1.0), (2.0, 15.0)])
def test_unscaled_inputs(lab: Lab, scale: float, offset: float) -> None:
    raw = {"val_samples": None, "input_scale": scale, "input_offset": offset}
    train = lab.decay(40, 1.1, 0.18, 0.3)
    assert findings(measured(lab, train, **raw))["unscaled_inputs"] >= 0.6
    assert "unscaled_inputs" not in findings(measured(lab, train, **raw, standardised=True))


def test_label_noise(lab: Lab) -> None:
    noisy = replace(GOOD, confident_wrong=0.8, wrong=18)
    assert findings(measured(lab, lab.decay(40, 1.1, 0.18, 0.3), failures=noisy))["label_noise"] >= 0.7


def test_label_noise_in_regression_is_a_heavy_tail(lab: Lab) -> None:
    tail = Failures(samples=200, mean_loss=0.2, tail_loss=0.85, chance_loss=1.1)
    m = measured(lab, lab.decay(40, 1.1, 0.18, 0.3), failures=tail, task="regression")
    assert findings(m)["label_noise"] >= 0.7


def test_nothing_known_is_no_reason_to_complain() -> None:
    m = Measurements(version="v001", metric="accuracy", higher_is_better=True, best="v001")
    assert findings(m) == {"healthy": 0.5}


def test_evidence_names_facts_only_and_its_text_their_keys(lab: Lab) -> None:
    m = measured(lab, lab.decay(8, 1.1, 0.15, 0.25))
    keys = frozenset(fact.key for fact in tell(m))
    for finding in diagnose(m, keys):
        assert set(finding.evidence) <= keys
        assert all(f"@{key}" in finding.text for key in finding.evidence)
        assert finding.strength >= TOLD


@pytest.mark.parametrize(
    ("action", "verdict", "first"),
    [
        ("learning_rate 0.2 → 2.0", "worse", "learning_rate_too_high"),
        ("hidden_size 32 → 64", "worse", "underfitting"),
        ("learning_rate 0.2 → 2.0", "within noise", "underfitting"),
    ],
)
def test_a_collapse_after_a_change_of_the_rate_is_put_down_to_the_rate(
    lab: Lab, action: str, verdict: str, first: str
) -> None:
    """The loss sits at that of a constant guess."""
    nothing_learned = replace(GOOD, mean_loss=1.1, wrong=180)
    flat = [1.1, 1.1, 1.1, 1.1, 1.1, 1.1]
    m = measured(lab, flat, flat, value=0.1, failures=nothing_learned, last_action=action, verdict_previous=verdict)
    assert diagnose(m, frozenset())[0].id == first
