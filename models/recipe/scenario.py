"""Made-up but coherent training results: facts, findings, options and a history, as the engine would brief them.

The numbers are drawn so that they fit the diagnosis; their words come from the engine's own bounds.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from models.recipe import words
from models.recipe.figures import (
    CLASSES,
    CURVES,
    LOGARITHMIC,
    METRICS,
    REGRESSION_NEVER,
    SHOWN_BY,
    TOGETHER,
    USUAL,
)
from progtrain.advisor.interface import Briefing, Candidate, Fact, Finding, Risk, Tried
from progtrain.engine.analysis.advise.evidence import FOR, score
from progtrain.engine.analysis.advise.tuning import TUNINGS
from progtrain.engine.analysis.vocabulary import CANDIDATES, DIAGNOSES, FACTS, RELATIVE_BUCKETS, bucket
from progtrain.engine.script.action.catalogue import recipes, words_of


@dataclass
class Scenario:
    """What is true behind one briefing, while it is drawn."""

    rng: random.Random
    task: str
    metric: str
    higher: bool
    number: int
    findings: list[tuple[str, float]]
    verdict: str | None
    best_number: int
    values: dict[str, float | int | str] = field(default_factory=dict)
    buckets: dict[str, str] = field(default_factory=dict)


def briefing(seed: int) -> Briefing:
    """The same briefing for the same seed."""
    rng = random.Random(seed)
    scene = _scene(rng)
    _draw_numbers(scene)
    _draw_words(scene)
    if scene.values["optimizer"] == "SGD":
        scene.buckets["learning_rate"] = bucket("learning_rate", float(scene.values["learning_rate"]) / 30) or ""
    tried = _history(scene)
    if scene.number > 1 and tried:
        scene.values["last_action"] = tried[-1].action
    facts = _facts(scene)
    options = _options(scene, tried)
    return Briefing(
        version=f"v{scene.number:03d}",
        facts=facts,
        findings=tuple(_finding(name, strength, facts) for name, strength in scene.findings),
        options=options,
        tried=tried,
        instruction=words.instruction(rng) if rng.random() < 0.3 else (),
        hints=words.hint(rng, [o.id for o in options]) if rng.random() < 0.15 else (),
        limits=words.limits(rng) if rng.random() < 0.3 else (),
    )


def _scene(rng: random.Random) -> Scenario:
    task = "classification" if rng.random() < 0.7 else "regression"
    metric = rng.choice(list(METRICS[task]))
    number = 1 if rng.random() < 0.22 else rng.randint(2, 12)
    first = rng.choice([d for d in DIAGNOSES if task == "classification" or d != "class_imbalance"])
    found = [(first, rng.uniform(0.4, 1.0))]
    for other in rng.sample(TOGETHER.get(first, ()), k=min(len(TOGETHER.get(first, ())), rng.choice((0, 1, 1, 2)))):
        if task == "classification" or other != "class_imbalance":
            found.append((other, found[-1][1] * rng.uniform(0.4, 0.95)))
    if rng.random() < 0.03:
        found = []
    verdict = rng.choice(("better", "better", "worse", "worse", "within noise")) if number > 1 else None
    best = number if verdict == "better" and rng.random() < 0.85 else rng.randint(1, max(1, number - 1))
    return Scenario(rng, task, metric, METRICS[task][metric][0], number, found, verdict, best)


def _draw_numbers(scene: Scenario) -> None:
    rng, values = scene.rng, scene.values
    ranges = dict(USUAL)
    for name, _ in reversed(scene.findings):
        ranges.update(SHOWN_BY[name])
    for key, (low, high) in ranges.items():
        log = key in LOGARITHMIC and low > 0
        values[key] = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
    for key in ("batch_size", "hidden_size", "nonfinite"):
        values[key] = round(float(values[key]))
    values["learning_rate"] = float(f"{values['learning_rate']:.0e}")
    epochs = rng.choice((3, 5, 8, 10, 12, 15, 20, 30, 40, 50, 80, 100, 200))
    best = min(epochs, max(1, round(float(values["epoch_share"]) * epochs)))
    values |= {"epochs": epochs, "best_epoch": best, "epoch_share": best / epochs}
    validation = rng.uniform(0.05, 2.0)
    training = validation * (1 - float(values["gap"]))
    final_validation = validation * (1 + max(0.0, float(values["rise"])))
    values |= {"val_loss": validation, "train_loss": training, "final_val_loss": final_validation}
    values["final_train_loss"] = training * rng.uniform(0.5, 1.0)
    names = {name for name, _ in scene.findings}
    values["weight_decay"] = (
        0.0 if "overfitting" in names or rng.random() < 0.5 else rng.choice((1e-5, 1e-4, 1e-2, 0.1))
    )
    values["dropout"] = 0.0 if rng.random() < 0.5 else rng.choice((0.1, 0.2, 0.3, 0.5, 0.6))
    values["parameters"] = round(math.exp(rng.uniform(math.log(200), math.log(5e6))))
    values["train_samples"] = rng.randint(80, 60000)
    values["val_samples"] = rng.randint(30, 10000)
    values["wrong"] = round(int(values["val_samples"]) * rng.uniform(0.005, 0.4))
    values["confused_count"] = rng.randint(1, 60)
    for key in ("flipped_right", "flipped_wrong"):
        values[key] = round(int(values["val_samples"]) * rng.uniform(0.0, 0.12))
    values["versions_left"] = rng.randint(0, 9)
    _draw_metric(scene)
    for key, value in values.items():
        if isinstance(value, (int, float)) and (word := bucket(key, float(value))):
            scene.buckets[key] = word
    scene.buckets["best_epoch"] = scene.buckets["epoch_share"]
    scene.buckets["parameters"] = rng.choice(RELATIVE_BUCKETS["parameters"])
    for key in ("wrong", "flipped_right", "flipped_wrong"):
        share = int(values[key]) / int(values["val_samples"])
        scene.buckets[key] = "none" if share == 0 else "few" if share < 0.02 else "some" if share < 0.1 else "many"


def _draw_metric(scene: Scenario) -> None:
    rng, values = scene.rng, scene.values
    _, low, high = METRICS[scene.task][scene.metric]
    value = rng.uniform(low, high)
    values["value"] = value
    values["chance"] = low * 0.8 if scene.higher else high * 1.2
    if scene.number == 1:
        values["best_value"] = value
        return
    sign = {"better": 1.0, "worse": -1.0}.get(scene.verdict or "", rng.choice((1.0, -1.0, 0.0, 1.0, -1.0)))
    small = (high - low) * (rng.uniform(0.01, 0.1) if scene.verdict != "within noise" else rng.uniform(0.0005, 0.01))
    delta = sign * small * (1 if scene.higher else -1)
    values |= {"previous_value": value - delta, "delta_previous": delta}
    values |= {"delta_low": delta - small * 0.7, "delta_high": delta + small * 0.7}
    if scene.verdict == "within noise":
        values |= {"delta_low": delta - small * 1.4, "delta_high": delta + small * 1.4}
    _draw_best(scene, delta, small)
    for key in ("delta_previous", "delta_best"):
        change = float(values[key])
        good = (change > 0) == scene.higher
        scene.buckets[key] = "unchanged" if change == 0 else "improved" if good else "worsened"


def _draw_best(scene: Scenario, delta: float, small: float) -> None:
    """The best version so far and the change against the best earlier one."""
    values, number = scene.values, scene.number
    way = 1 if scene.higher else -1
    value = float(values["value"])
    if scene.best_number == number:
        behind = delta if number == 2 else way * abs(small) * scene.rng.uniform(0.2, 1.0)
        values |= {"best_value": value, "delta_best": behind, "verdict_best": "better"}
    elif scene.best_number == number - 1:
        values |= {"best_value": values["previous_value"], "delta_best": delta, "verdict_best": scene.verdict or ""}
    else:
        behind = -way * (abs(delta) + small * scene.rng.uniform(0.3, 1.5))
        noisy = scene.rng.random() < 0.3
        values |= {
            "best_value": value - behind,
            "delta_best": behind,
            "verdict_best": "within noise" if noisy else "worse",
        }


def _draw_words(scene: Scenario) -> None:
    rng, values, number = scene.rng, scene.values, scene.number
    names = {name for name, _ in scene.findings}
    values |= {
        "version": f"v{number:03d}",
        "task": scene.task,
        "metric": scene.metric,
        "best": f"v{scene.best_number:03d}",
    }
    if number > 1:
        values |= {"previous": f"v{number - 1:03d}", "verdict_previous": scene.verdict or ""}
    values["optimizer"] = rng.choice(("Adam", "AdamW", "SGD", "Adam", "RMSprop"))
    constant = names & {"schedule_missing", "plateau"} or rng.random() < 0.6
    values["schedule"] = "constant" if constant else rng.choice(("cosine", "step", "reduce on plateau", "warm-up"))
    values["worst_class"] = words.class_name(rng)
    values["confused_pair"] = f"{words.class_name(rng)} → {words.class_name(rng)}"


def _facts(scene: Scenario) -> tuple[Fact, ...]:
    rng = scene.rng
    missing: set[str] = set()
    if rng.random() < 0.08:
        missing |= CURVES
    if scene.task == "regression":
        missing |= REGRESSION_NEVER
    elif rng.random() < 0.15:
        missing |= CLASSES
    if scene.number > 1 and rng.random() < 0.15:
        missing |= {"flipped_right", "flipped_wrong"}
    if rng.random() < 0.3:
        missing |= {"input_scale", "input_offset"}
    if scene.number > 1 and rng.random() < 0.1:
        missing |= {"verdict_previous", "delta_low", "delta_high", "verdict_best"}
    if rng.random() < 0.6:
        missing |= set(rng.sample(list(FACTS)[8:], rng.randint(1, 12)))
    if rng.random() < 0.06:
        missing |= set(rng.sample(list(FACTS)[4:], 30))
    first_only = {"flipped_right", "flipped_wrong", "last_action"} if scene.number == 1 else set()
    keys = [key for key in FACTS if key in scene.values and key not in missing | first_only]
    return tuple(
        Fact(
            key=key,
            display=show(key, scene.values[key], scene.metric),
            value=scene.values[key],
            meaning=FACTS[key],
            bucket=scene.buckets.get(key),
            importance=0 if key in ("version", "metric", "value") else 1,
        )
        for key in keys
    )


def show(key: str, value: float | int | str, metric: str = "") -> str:
    """As the engine prints it, near enough."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if key.startswith("delta"):
        return f"{value:+.4f}"
    if key in ("gap", "rise", "late_slope", "first_drop", "total_drop", "confident_wrong", "tail_loss", "epoch_share"):
        return f"{100 * value:.1f} %"
    return f"{value:.4g}"


def _finding(name: str, strength: float, facts: tuple[Fact, ...]) -> Finding:
    keys = tuple(fact.key for fact in facts if fact.key in SHOWN_BY[name])
    return Finding(id=name, strength=round(strength, 2), text=DIAGNOSES[name], evidence=keys)


def _history(scene: Scenario) -> tuple[Tried, ...]:
    rng = scene.rng
    tried = []
    known = list(CANDIDATES)
    for number in range(max(2, scene.number - rng.randint(1, 4)), scene.number + 1):
        last = number == scene.number
        verdict = (
            (scene.verdict or "") if last else rng.choice(("better", "better", "worse", "within noise", "within noise"))
        )
        tried.append(Tried(version=f"v{number:03d}", action=words.action(rng, rng.choice(known)), verdict=verdict))
    return tuple(tried)


_TO_NO_AVAIL = ("worse", "within noise")
_RISKS: dict[str, Risk] = {
    **{candidate: risk for candidate, (risk, _, _) in TUNINGS.items()},
    **{recipe.candidate_id: recipe.risk for recipe in recipes()},
}


def _options(scene: Scenario, tried: tuple[Tried, ...]) -> tuple[Candidate, ...]:
    """Four to twelve, with scores as the engine's reasons would give them."""
    rng = scene.rng
    never = {"add_class_weights", "add_label_smoothing", "label_smoothing_up", "label_smoothing_down"}
    pool = [c for c in CANDIDATES if scene.task == "classification" or c not in never]
    pool = [c for c in pool if scene.task == "regression" or c != "use_huber_loss"]
    wanted = [c for name, _ in scene.findings for c in FOR[name] if c in pool]
    count = rng.randint(4, 12)
    chosen = list(dict.fromkeys(rng.sample(wanted, min(len(wanted), rng.randint(1, 5))) + rng.sample(pool, count)))[
        :count
    ]
    findings = [Finding(id=name, strength=s, text="", evidence=()) for name, s in scene.findings]
    scores = {c: score(c, findings, _RISKS.get(c, "low")) for c in chosen}
    scores |= {f"undo_{t.version}": 0.6 if t.verdict == "worse" else 0.15 for t in tried if t.verdict in _TO_NO_AVAIL}
    if scene.values.get("verdict_best") == "worse" and rng.random() < 0.9:
        # the best version's own first change, beside changes that would stand on a worse one
        scores = {c: 0.6 * value for c, value in scores.items()}
        scores[f"back_to_v{scene.best_number:03d}"] = 0.6 + 0.4 * rng.uniform(0.2, 0.95)
    chosen = list(scores)[-12:]
    ordered = sorted(chosen, key=lambda c: -scores[c])
    return tuple(
        Candidate(
            id=c,
            change=CANDIDATES.get(c, c.replace("_", " ")),
            why="",
            risk=_RISKS.get(c, "low"),
            rank=place,
            score=scores[c],
            **words_of(c),
        )
        for place, c in enumerate(ordered, 1)
    )
