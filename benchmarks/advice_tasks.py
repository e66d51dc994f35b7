"""What the advice is measured on: real and made-up data, each with one fault planted whose answer is known.

A cell is a data set with a fault. What was planted, its repair and the diagnoses that count as right are written down
here, before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lab.scripts import Start, make_script, write_workspace
from benchmarks.lab.tasks import Task, make_task

PUBLISHED = ("iris", "wine", "breast_cancer", "digits", "diabetes")
#: of the made-up data: kind and seed, beyond those that the advisor learned from
MADE_UP = {
    "made-up clusters": ("clusters", 900_100),
    "made-up network": ("teacher", 900_001),
    "made-up linear": ("linear", 900_502),
}
#: unseen in an earlier round, and worked over since
SECOND = {
    "second clusters": ("clusters", 910_000),
    "second network": ("teacher", 910_201),
    "second rings": ("rings", 911_402),
    "second products": ("products", 910_303),
    "second waves": ("waves", 910_004),
    "second patterns": ("patterns", 910_005),
}
#: data whose diagnoses nobody looked at while rules were written: the first seed from 930,000 of each family that has
#: no fault of its own and 300 training samples
UNSEEN = {
    "unseen clusters": ("clusters", 930_005),
    "unseen network": ("teacher", 930_007),
    "unseen linear": ("linear", 930_002),
    "unseen rings": ("rings", 930_005),
    "unseen products": ("products", 930_002),
    "unseen waves": ("waves", 930_002),
    "unseen patterns": ("patterns", 930_000),
}
#: what the made-up data without settings of their own start from
_SOME_START = Start(0.005, 32, 20, 64, dropout=0.1, weight_decay=0.001)
#: training, validation, held out
_SHARES = (0.4, 0.3, 0.3)


def _start(learning_rate: float, batch_size: int, epochs: int, hidden_size: int, **more: float) -> Start:
    return Start(learning_rate, batch_size, epochs, hidden_size, dropout=more["dropout"], weight_decay=more["decay"])


#: what faults are planted into: the best-behaved of some seventy settings tried by hand, about 200 to 650 steps
HEALTHY: dict[str, Start] = {
    "iris": _start(0.01, 8, 30, 32, dropout=0.0, decay=0.003),
    "wine": _start(0.002, 8, 30, 128, dropout=0.3, decay=0.0),
    "breast_cancer": _start(0.001, 16, 20, 64, dropout=0.3, decay=0.01),
    "digits": _start(0.005, 32, 20, 128, dropout=0.3, decay=0.0),
    "diabetes": _start(0.003, 8, 20, 16, dropout=0.2, decay=0.003),
    "made-up clusters": _start(0.003, 32, 20, 128, dropout=0.2, decay=0.0),
    "made-up network": _start(0.003, 32, 25, 32, dropout=0.2, decay=0.003),
    "made-up linear": _start(0.01, 16, 25, 32, dropout=0.1, decay=0.001),
}


@dataclass(frozen=True)
class Cell:
    """One workspace to improve. `right` are the diagnoses that count; `fixed` is what the fault was planted into."""

    data: str
    fault: str
    task: Task
    start: Start
    fixed: Start
    #: recipe that fixes what no setting does
    fixed_by: str | None
    metric: str
    right: frozenset[str]

    @property
    def name(self) -> str:
        return f"{self.data.replace(' ', '_')}-{self.fault}"

    def write(self, root: Path, versions: int) -> None:
        """The workspace before its first version. Epochs and seed are locked by its rules."""
        root.mkdir(parents=True)
        write_workspace(
            root, self.task, self.start, metric=self.metric, branch_from="best", lock_epochs=True, versions=versions
        )

    def fixed_script(self) -> str:
        from progtrain.engine.script.action.operations import parse_operation

        source = make_script(self.task, self.fixed)
        if self.fixed_by is None:
            return source
        return parse_operation({"operation": "recipe", "recipe": self.fixed_by}).apply(source)


@dataclass(frozen=True)
class Fault:
    plant: Callable[[Task, Start], tuple[Task, Start, Start] | None]
    right: frozenset[str]
    fixed_by: str | None = None
    metric: str = "loss"


# the data


def published(name: str) -> Task:
    """A data set of scikit-learn, split by a fixed seed; inputs on one scale, a target with spread 1."""
    from sklearn import datasets

    inputs, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    classes = 0 if name == "diabetes" else int(targets.max()) + 1
    order = np.random.default_rng(0).permutation(len(inputs))
    ends = np.cumsum([int(share * len(inputs)) for share in _SHARES])[:-1]
    parts = dict(zip(("train", "valid", "test"), np.split(order, ends), strict=True))
    train = parts["train"]
    # pixels have one scale, and many are always empty
    pixels = name == "digits"
    inputs = inputs / 16 if pixels else (inputs - inputs[train].mean(axis=0)) / inputs[train].std(axis=0)
    if classes == 0:
        targets = (targets - targets[train].mean()) / targets[train].std()
    return Task(name, 0, classes, {k: (inputs[rows], targets[rows]) for k, rows in parts.items()}, ())


def load(name: str) -> Task:
    if name in PUBLISHED:
        return published(name)
    family, seed = (MADE_UP | SECOND | UNSEEN)[name]
    task = make_task(seed, family)
    if task.faults:
        raise ValueError(f"the data of seed {seed} come with a fault of their own: {', '.join(task.faults)}")
    return task


# the faults


_Planted = tuple[Task, Start, Start]


def _settings(**changes: Any) -> Callable[[Task, Start], _Planted]:
    return lambda task, good: (task, replace(good, **changes), good)


def _rate(factor: float, **changes: Any) -> Callable[[Task, Start], _Planted]:
    def plant(task: Task, good: Start) -> _Planted:
        good = replace(good, **changes)
        return task, replace(good, learning_rate=float(f"{good.learning_rate * factor:.0e}")), good

    return plant


def _overfit(task: Task, good: Start) -> _Planted:
    """Few samples, a wide and deep network without regularisation, many epochs, the last one kept."""
    few = _fewer(task, 60)
    bad = replace(
        good, batch_size=8, epochs=30, hidden_size=256, layers=3, dropout=0.0, weight_decay=0.0, keep_best=False
    )
    return few, bad, replace(bad, hidden_size=32, dropout=0.3, weight_decay=0.01, learning_rate=bad.learning_rate / 3)


def _fewer(task: Task, samples: int) -> Task:
    inputs, targets = task.splits["train"]
    kept = np.random.default_rng(1).permutation(len(targets))[:samples]
    return replace(task, splits=task.splits | {"train": (inputs[kept], targets[kept])})


def _batch_small(task: Task, good: Start) -> _Planted | None:
    """Two samples a step at a rate for larger batches, the last epoch kept."""
    if len(task.splits["train"][1]) > 300:
        return None  # thousands of steps
    epochs = min(good.epochs, max(8, 1200 // len(task.splits["train"][1])))
    fixed = replace(good, learning_rate=0.02, batch_size=32, epochs=epochs, keep_best=False)
    return task, replace(fixed, batch_size=2), fixed


def _unscaled(task: Task, good: Start) -> _Planted:
    """Each feature on a scale of its own, over four powers of ten, and away from zero."""
    rng = np.random.default_rng(2)
    scale = 10 ** rng.uniform(-2, 2, size=task.features)
    offset = rng.normal(size=task.features) * 3
    splits = {name: ((x + offset) * scale, y) for name, (x, y) in task.splits.items()}
    return replace(task, splits=splits), good, replace(good, standardised=True)


def _imbalanced(task: Task, good: Start) -> _Planted | None:
    """One class in twelve samples of the others, in training and validation; the held-out split stays as it was."""
    if task.regression:
        return None
    rng = np.random.default_rng(3)
    splits = dict(task.splits)
    for name in ("train", "valid"):
        inputs, targets = task.splits[name]
        rare = targets != 0
        kept = np.flatnonzero(~rare | (rng.random(len(targets)) < 1 / 8))
        for label in range(task.classes):
            of_it = np.flatnonzero(targets == label)[:3]
            kept = np.union1d(kept, of_it)
        splits[name] = (inputs[kept], targets[kept])
    return replace(task, splits=splits), good, good


def _healthy(task: Task, good: Start) -> _Planted | None:
    """Where the curves end flat; the others still gain a little when the locked epochs are over."""
    return (task, good, good) if task.family in {"wine", "breast_cancer", "diabetes", "teacher"} else None


FAULTS: dict[str, Fault] = {
    "rate_high": Fault(_rate(30, keep_best=False), frozenset({"learning_rate_too_high", "divergence"})),
    "rate_low": Fault(_rate(1 / 30), frozenset({"learning_rate_too_low"})),
    "overfit": Fault(_overfit, frozenset({"overfitting", "too_much_capacity"})),
    "too_small": Fault(_settings(hidden_size=1), frozenset({"underfitting", "too_little_capacity"})),
    "too_regularised": Fault(
        _settings(dropout=0.8, weight_decay=0.1), frozenset({"underfitting", "too_little_capacity"})
    ),
    "batch_small": Fault(_batch_small, frozenset({"noisy_gradients", "learning_rate_too_high", "schedule_missing"})),
    "batch_large": Fault(
        _settings(batch_size=512), frozenset({"learning_rate_too_low", "too_few_epochs", "underfitting"})
    ),
    # a constant rate that is far too high for the end of training, whose last epoch is kept
    "schedule": Fault(
        _rate(8, keep_best=False), frozenset({"schedule_missing", "learning_rate_too_high", "noisy_gradients"})
    ),
    "unscaled": Fault(_unscaled, frozenset({"unscaled_inputs"})),
    "imbalance": Fault(_imbalanced, frozenset({"class_imbalance"}), fixed_by="class_weights", metric="f1"),
    "healthy": Fault(_healthy, frozenset({"healthy", "plateau"})),
}


def cell(data: str, fault: str) -> Cell | None:
    """None where the data cannot have that fault."""
    task, planted = load(data), FAULTS[fault]
    made = planted.plant(task, HEALTHY.get(data, _SOME_START))
    if made is None:
        return None
    task, start, fixed = made
    return Cell(data, fault, task, start, fixed, planted.fixed_by, planted.metric, planted.right)


def _cells(*names: str, without: frozenset[str] = frozenset()) -> list[Cell]:
    found = (cell(data, fault) for data in names for fault in FAULTS if fault not in without)
    return [one for one in found if one]


#: groups of data sets, each with all faults that they can have. Which of the last two are healthy is not known
GROUPS: dict[str, Callable[[], list[Cell]]] = {
    "here": lambda: _cells(*PUBLISHED, *MADE_UP),
    "second": lambda: _cells(*SECOND, without=frozenset({"healthy"})),
    "unseen": lambda: _cells(*UNSEEN, without=frozenset({"healthy"})),
}
