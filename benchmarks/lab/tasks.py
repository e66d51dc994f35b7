"""Made-up learning tasks: data drawn by a rule, with the faults that real data has. The same for the same seed.

Nothing here comes from a published data set, so that what is learned from these tasks can be judged on real ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DATASET_ID = "made_up_v1"
#: samples of the split that outcomes are measured on; the loop never sees it
TEST_SAMPLES = 1200


@dataclass(frozen=True)
class Task:
    """Inputs of shape [samples, features] and targets of shape [samples], for each split."""

    family: str
    seed: int
    #: 0: a number is to be told
    classes: int
    splits: dict[str, tuple[Array, Array]]
    #: what is wrong with the data, in words
    faults: tuple[str, ...]

    @property
    def features(self) -> int:
        return int(self.splits["train"][0].shape[1])

    @property
    def regression(self) -> bool:
        return self.classes == 0

    def write(self, root: Path) -> None:
        """`dataset/prepdata/` of a workspace."""
        folder = root / "dataset" / "prepdata" / DATASET_ID
        for name, (inputs, targets) in self.splits.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            np.savez(folder / name / "data.npz", x=inputs.astype(np.float32), y=targets)
        inputs, targets = self.splits["train"]
        features = {
            f"x{i}": {"mean": round(float(column.mean()), 6), "std": round(float(column.std()), 6)}
            for i, column in enumerate(inputs.T)
        }
        stats: dict[str, Any] = {
            "dataset_id": DATASET_ID,
            "task_type": "regression" if self.regression else "classification",
            "features": features,
            "splits": {name: {"num_samples": len(y)} for name, (_, y) in self.splits.items()},
        }
        if not self.regression:
            names = [f"class {c}" for c in range(self.classes)]
            stats |= {"num_classes": self.classes, "class_names": names}
            for name, (_, y) in self.splits.items():
                stats["splits"][name]["per_class"] = {str(c): int((y == c).sum()) for c in range(self.classes)}
        (folder / "stats.json").write_text(json.dumps(stats, indent=2) + "\n")


def _clusters(rng: np.random.Generator, n: int, features: int, classes: int) -> tuple[Array, Array]:
    """Several Gaussian blobs a class."""
    blobs = int(rng.integers(1, 5))
    centres = rng.normal(size=(classes * blobs, features)) * rng.uniform(0.7, 1.8)
    spread = rng.uniform(0.3, 0.9, size=(classes * blobs, 1))
    which = rng.integers(0, classes * blobs, size=n)
    return centres[which] + spread[which] * rng.normal(size=(n, features)), which % classes


def _teacher(rng: np.random.Generator, n: int, features: int, classes: int) -> tuple[Array, Array]:
    """What a random network says."""
    inputs = rng.normal(size=(n, features))
    width = int(rng.integers(4, 24))
    hidden = np.tanh(inputs @ rng.normal(size=(features, width)) * rng.uniform(0.5, 2.0) / np.sqrt(features) * 2)
    scores = hidden @ rng.normal(size=(width, max(1, classes)))
    return inputs, scores[:, 0] if classes == 0 else (scores - scores.mean(axis=0)).argmax(axis=1)


def _linear(rng: np.random.Generator, n: int, features: int, classes: int) -> tuple[Array, Array]:
    """Some features count, straight; the rest are decoys."""
    inputs = rng.normal(size=(n, features))
    weights = rng.normal(size=(features, max(1, classes))) * (rng.random(features) < 0.5)[:, None]
    scores = inputs @ weights + rng.uniform(0.05, 0.6) * rng.normal(size=(n, max(1, classes)))
    return inputs, scores[:, 0] if classes == 0 else scores.argmax(axis=1)


def _rings(rng: np.random.Generator, n: int, features: int, classes: int) -> tuple[Array, Array]:
    """Shells around the origin in a few dimensions, among decoys."""
    deep = min(features, int(rng.integers(2, 5)))
    labels = rng.integers(0, classes, size=n)
    direction = rng.normal(size=(n, deep))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = 1.0 + labels + rng.normal(size=n) * rng.uniform(0.05, 0.25)
    inputs = rng.normal(size=(n, features)) * 0.7
    inputs[:, :deep] = direction * radius[:, None]
    return inputs, labels


def _waves(rng: np.random.Generator, n: int, features: int, classes: int) -> tuple[Array, Array]:
    """A signal over time: its frequency is the class, or the number."""
    time = np.linspace(0, 1, features)
    if classes == 0:
        frequency = rng.uniform(1, 5, size=n)
        targets: Array = frequency
    else:
        targets = rng.integers(0, classes, size=n)
        frequency = 1.0 + 1.2 * targets + rng.normal(size=n) * 0.2
    phase = rng.uniform(0, 2 * np.pi if rng.random() < 0.4 else 1.0, size=n)
    signal = np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None])
    return signal + rng.uniform(0.1, 0.6) * rng.normal(size=(n, features)), targets


def _products(rng: np.random.Generator, n: int, features: int, classes: int) -> tuple[Array, Array]:
    """Sums of products and squares of features."""
    inputs = rng.normal(size=(n, features))
    scores = np.zeros((n, max(1, classes)))
    for column in range(scores.shape[1]):
        for _ in range(int(rng.integers(2, 6))):
            one, other = rng.integers(0, features, size=2)
            scores[:, column] += rng.normal() * inputs[:, one] * inputs[:, other]
        scores[:, column] += inputs @ rng.normal(size=features) * 0.3
    return inputs, scores[:, 0] if classes == 0 else scores.argmax(axis=1)


def _patterns(rng: np.random.Generator, n: int, features: int, classes: int) -> tuple[Array, Array]:
    """Small pictures: a class's prototype, shifted and blurred by noise."""
    side = max(4, int(np.sqrt(features)))
    prototypes = (rng.random(size=(classes, side, side)) < 0.35) * 1.0
    labels = rng.integers(0, classes, size=n)
    shift = int(rng.integers(0, 2))
    moves = rng.integers(-shift, shift + 1, size=(n, 2))
    pictures = np.stack([np.roll(prototypes[c], tuple(m), axis=(0, 1)) for c, m in zip(labels, moves, strict=True)])
    return (pictures + rng.uniform(0.2, 0.7) * rng.normal(size=pictures.shape)).reshape(n, -1), labels


FAMILIES = {
    "clusters": _clusters, "teacher": _teacher, "linear": _linear, "rings": _rings,
    "waves": _waves, "products": _products, "patterns": _patterns,
}  # fmt: skip
#: of the families that cannot be learned from a few hundred samples otherwise
_MOST_FEATURES = {"teacher": 16, "rings": 8, "products": 6}
_CLASSES_ONLY = frozenset({"clusters", "rings", "patterns"})


def make_task(seed: int, family: str | None = None) -> Task:
    rng = np.random.default_rng(seed)
    family = family or str(rng.choice(list(FAMILIES)))
    classes = int(rng.choice([2, 3, 4, 6, 10]))
    if family not in _CLASSES_ONLY and rng.random() < 0.45:
        classes = 0
    features = min(int(rng.choice([4, 6, 8, 12, 20, 32, 64])), _MOST_FEATURES.get(family, 64))
    samples = {"train": int(rng.choice([100, 150, 250, 400, 600, 800])), "valid": int(rng.integers(100, 320))}
    samples["test"] = TEST_SAMPLES
    inputs, targets = FAMILIES[family](rng, sum(samples.values()), features, classes)
    faults: list[str] = []
    if classes and rng.random() < 0.2:
        kept = _imbalanced(targets, classes, rng)
        inputs, targets = inputs[kept], targets[kept]
        share = len(kept) / sum(samples.values())
        samples = {name: max(60, int(count * share)) for name, count in samples.items()}
        samples["test"] = len(kept) - samples["train"] - samples["valid"]
        faults.append("imbalance")
    ends = np.cumsum(list(samples.values()))
    parts = dict(zip(samples, np.split(np.arange(len(inputs))[: ends[-1]], ends[:-1]), strict=True))
    inputs, scaled = _rescaled(inputs, parts["train"], rng)
    faults += scaled
    targets, noisy = _noisy(targets, classes, parts, rng)
    faults += noisy
    splits = {name: (inputs[rows], targets[rows]) for name, rows in parts.items()}
    return Task(family, seed, classes, splits, tuple(faults))


def _imbalanced(targets: Array, classes: int, rng: np.random.Generator) -> Array:
    share = rng.uniform(0.08, 0.5, size=classes)
    share[int(rng.integers(classes))] = 1.0
    return np.flatnonzero(rng.random(len(targets)) < share[targets])


def _rescaled(inputs: Array, train: Array, rng: np.random.Generator) -> tuple[Array, list[str]]:
    """As often as not inputs come on one scale; else each feature has its own."""
    inputs = (inputs - inputs[train].mean(axis=0)) / (inputs[train].std(axis=0) + 1e-8)
    if rng.random() < 0.7:
        return inputs, []
    scale = 10 ** rng.uniform(-1.5, 2.0, size=inputs.shape[1])
    offset = rng.normal(size=inputs.shape[1]) * rng.choice([0.0, 3.0, 10.0])
    return (inputs + offset) * scale, ["unscaled"]


def _noisy(targets: Array, classes: int, parts: dict[str, Array], rng: np.random.Generator) -> tuple[Array, list[str]]:
    """Labels of training and validation that are wrong; the test split stays clean."""
    seen = np.concatenate([parts["train"], parts["valid"]])
    if classes == 0:
        targets = (targets - targets[parts["train"]].mean()) / (targets[parts["train"]].std() + 1e-8)
        targets = targets + rng.uniform(0.02, 0.3) * rng.normal(size=len(targets))
    if rng.random() > 0.15:
        return targets, []
    wrong = seen[rng.random(len(seen)) < rng.uniform(0.05, 0.2)]
    targets = targets.copy()
    if classes:
        targets[wrong] = rng.integers(0, classes, size=len(wrong))
    else:
        targets[wrong] += rng.standard_t(2, size=len(wrong)) * 3
    return targets, ["label noise"]
