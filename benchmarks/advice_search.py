"""Random search and TPE over what actions can reach: the script's settings, and the recipes as switches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna

from benchmarks.advice_trials import Desk, Trial, halving, seeds, set_value, value_of
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.operations import parse_operation

#: where a search may go: bounds and whether on a logarithmic scale; settings that the script lacks are left out
SPACE: dict[str, tuple[float, float, bool]] = {
    "learning_rate": (1e-5, 0.5, True),
    "batch_size": (4, 256, True),
    "hidden_size": (4, 256, True),
    "weight_decay": (1e-6, 0.1, True),
    "dropout": (0.0, 0.6, False),
}
#: one of each row, or none
_EITHER = {
    "optimizer": ("adamw", "sgd_momentum"),
    "schedule": ("cosine_schedule", "reduce_on_plateau", "warmup"),
}
#: each on or off; on in a quarter of random draws
_SWITCHES = (
    "gradient_clipping", "label_smoothing", "early_stopping", "weight_averaging", "gradient_accumulation",
    "input_standardisation", "class_weights", "batch_norm", "huber_loss",
    "best_epoch",
)  # fmt: skip
_ON = 0.75
#: what a training that failed counts in a search: worse than any that went through
_FAILED = 20.0


def _searching(make: Callable[[], optuna.samplers.BaseSampler]) -> Callable[[Desk, int], list[Trial]]:
    def search(desk: Desk, count: int) -> list[Trial]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=make())
        space = _space(desk.first)
        best, held = desk.measure(desk.first)
        _tell_first(study, space, desk.first, best)
        trials = [Trial(1, best, held)]
        while len(trials) < count:
            trial = study.ask(space)
            valid, held = desk.measure(scripted(desk.first, trial.params), best)
            study.tell(trial, _FAILED if math.isinf(valid) else math.log(valid))
            trials.append(Trial(len(trials) + 1, valid, held))
            best = min(best, valid)
        return trials

    return search


def _space(first: str) -> dict[str, optuna.distributions.BaseDistribution]:
    space: dict[str, optuna.distributions.BaseDistribution] = {}
    for key, (low, high, log) in SPACE.items():
        value = value_of(first, key)
        if isinstance(value, int):
            space[key] = optuna.distributions.IntDistribution(int(low), int(high), log=log)
        elif value is not None:
            space[key] = optuna.distributions.FloatDistribution(low, high, log=log)
    for name, recipes in _EITHER.items():
        fitting = [recipe for recipe in recipes if _with_recipe(first, recipe) is not None]
        space[name] = optuna.distributions.CategoricalDistribution(["as it is", *fitting])
    for recipe in _SWITCHES:
        if _with_recipe(first, recipe) is not None:
            space[recipe] = optuna.distributions.FloatDistribution(0.0, 1.0)
    return space


def _tell_first(
    study: optuna.Study, space: dict[str, optuna.distributions.BaseDistribution], first: str, valid: float
) -> None:
    """The search knows the first version, where that lies within its space."""
    params: dict[str, Any] = {}
    for name in space:
        low, high, log = SPACE.get(name, (0.0, 0.0, False))
        if name in _EITHER:
            params[name] = "as it is"
        elif name in _SWITCHES:
            params[name] = _ON / 2
        else:
            value = value_of(first, name)
            params[name] = max(value, low) if log and name == "weight_decay" else value
            if not low <= params[name] <= high:
                return
    told = _FAILED if math.isinf(valid) else math.log(valid)
    study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=told))


def _with_recipe(source: str, recipe: str) -> str | None:
    try:
        return parse_operation({"operation": "recipe", "recipe": recipe}).apply(source)
    except InputError:
        return None


def scripted(first: str, params: dict[str, Any]) -> str:
    """The first version with recipes, then settings, since a recipe may bring a setting of its own."""
    source = first
    for name, value in params.items():
        recipe = value if name in _EITHER else name
        if (name in _EITHER and value != "as it is") or (name in _SWITCHES and value > _ON):
            source = _with_recipe(source, recipe) or source
    for name in SPACE:
        if name in params:
            value = params[name] if isinstance(params[name], int) else float(f"{params[name]:.3g}")
            if value_of(source, name) != value:
                source = set_value(source, name, value)
    return source


SEARCHES: dict[str, Callable[[Desk, int], list[Trial]]] = {
    "seeds": seeds,
    "halving": halving,
    "random": _searching(lambda: optuna.samplers.RandomSampler(seed=0)),
    "tpe": _searching(lambda: optuna.samplers.TPESampler(seed=0)),
    "tpe3": _searching(lambda: optuna.samplers.TPESampler(seed=0, n_startup_trials=3)),
}
