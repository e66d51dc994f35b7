"""Everything that was measured on one version, in one frozen value: what facts and diagnoses are told from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from progtrain.engine.analysis.measure.failures import Failures
from progtrain.engine.analysis.measure.shape import Shape
from progtrain.engine.analysis.types import Comparison

_STANDARDISED = re.compile(
    r"standardi[sz]|normali[sz]e|StandardScaler|MinMaxScaler|/\s*(?:255|16|127)\b|\bstd\b|\.std\(", re.IGNORECASE
)


@dataclass(frozen=True)
class Measurements:
    """None, or an empty part, where something is not known."""

    version: str
    metric: str
    higher_is_better: bool
    best: str
    previous: str | None = None
    best_earlier: str | None = None
    versions_left: int = 0
    task: str | None = None
    value: float | None = None
    previous_value: float | None = None
    best_value: float | None = None
    best_earlier_value: float | None = None
    against_previous: Comparison | None = None
    against_best: Comparison | None = None
    verdict_previous: str | None = None
    verdict_best: str | None = None
    last_action: str = ""
    shape: Shape = field(default_factory=Shape)
    #: canonical key -> value
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: canonical key -> file and line
    lines: Mapping[str, str] = field(default_factory=dict)
    optimizer: str | None = None
    schedule: str | None = None
    loss: str | None = None
    parameters: int | None = None
    #: the script itself puts its inputs on one scale
    standardised: bool = False
    train_samples: int | None = None
    #: optimizer steps, as the training's record tells
    trained_steps: int | None = None
    val_samples: int | None = None
    #: largest over smallest standard deviation of an input feature
    input_scale: float | None = None
    #: largest distance of a feature's mean from zero, in its standard deviations
    input_offset: float | None = None
    failures: Failures = field(default_factory=Failures)
    flipped_right: int | None = None
    flipped_wrong: int | None = None
    chance: float | None = None
    latency: float | None = None
    #: what was read -> its path in the workspace: score, log, per_sample, script, spec, history, task, stats, inputs
    sources: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str) -> str:
        """Where a fact comes from; empty where nobody knows."""
        return self.sources.get(name, "")

    def number(self, key: str) -> float | None:
        """A setting as a number."""
        value = self.settings.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def usual_rate(self) -> float:
        """Where good learning rates of small networks lie, by the optimizer: where a search would begin (D. Kingma,
        J. Ba: Adam, 2015; Y. Bengio: Practical recommendations for gradient-based training, 2012, 3.1.1). A training
        of few steps needs larger ones: with the root of 500 steps over what there are, up to five times."""
        rate = (0.03 if self.number("momentum") else 0.1) if self.is_sgd else 0.003
        return rate * min(5.0, max(1.0, math.sqrt(500 / self.steps))) if self.steps else rate

    @property
    def keeps_best(self) -> bool:
        """Whether what was evaluated are the weights of the best epoch rather than of the last one."""
        loss, best, last = self.failures.mean_loss, self.shape.val_loss, self.shape.final_val_loss
        if loss is None or best is None or last is None or best == last:
            return False
        return abs(loss - best) < 0.2 * abs(loss - last)

    @property
    def rate_away(self) -> float:
        """How many powers of ten the learning rate lies above the usual one; 0 where there is none to read."""
        rate = self.number("learning_rate")
        return math.log10(rate / self.usual_rate) if rate is not None and rate > 0 else 0.0

    @property
    def steps(self) -> float | None:
        """Optimizer steps of the whole training: as recorded, else by the log, else about; None where nobody knows."""
        if self.trained_steps:
            return self.trained_steps
        batch, samples = self.number("batch_size"), self.train_samples
        epochs = self.shape.epochs or self.number("epochs")
        if not (batch and samples and epochs):
            return None
        # a log may count something else than steps: only what lies between dropping and keeping a last batch counts
        least, most = epochs * (samples // batch), epochs * math.ceil(samples / batch)
        return self.shape.logged_steps if least <= self.shape.logged_steps <= most else most

    def too_short_for(self, steps: int) -> tuple[float, float, str] | None:
        """What so few steps leave of the score of a change that needs more of them; None where there are enough."""
        if self.steps is None or self.steps >= steps:
            return None
        return max(0.1, self.steps / steps), 0.0, f"against: there are only {self.steps:.0f} steps in all"

    @property
    def epochs(self) -> float:
        """As the script says, else as many as were trained."""
        return self.number("epochs") or self.shape.epochs

    @property
    def is_classification(self) -> bool | None:
        """None: nobody knows."""
        if self.failures.wrong is not None:
            return True
        if self.task is None:
            return False if self.failures.samples else None
        return "regress" not in self.task

    @property
    def is_sgd(self) -> bool:
        return (self.optimizer or "").casefold() == "sgd"

    @property
    def skill(self) -> float | None:
        """How much of a constant guess's loss the model takes away: 1 is perfect, 0 and below is nothing.

        From the evaluation's loss, which is the plain one for every version.
        """
        loss, of_chance = self.failures.mean_loss, self.failures.chance_loss
        return 1 - loss / of_chance if loss is not None and of_chance else None

    @property
    def train_skill(self) -> float | None:
        """The same on the training data; None where the log's loss is not the evaluation's plain one.

        It is taken for that where the logged validation loss and the evaluation's agree to a sixth. Regularised
        losses, and targets on another scale, do not.
        """
        loss, of_chance, shape = self.failures.mean_loss, self.failures.chance_loss, self.shape
        logged = [v for v in (shape.val_loss, shape.final_val_loss) if v is not None]
        trained = [v for v in (shape.train_loss, shape.final_train_loss) if v is not None]
        if not loss or not of_chance or not trained or not any(abs(v - loss) <= loss / 6 for v in logged):
            return None
        return 1 - min(trained) / of_chance

    @property
    def fits_training(self) -> float:
        """0 to 1: how surely the training data is fitted, whatever the validation says."""
        if self.train_skill is not None:
            return min(1.0, max(0.0, (self.train_skill - 0.4) / 0.45))
        drop = self.shape.total_drop
        return 0.0 if drop is None else min(1.0, max(0.0, (drop - 0.6) / 0.3))

    @property
    def best_delta(self) -> float | None:
        return difference(self.value, self.best_earlier_value)

    @property
    def previous_delta(self) -> float | None:
        return difference(self.value, self.previous_value)


def difference(value: float | None, other: float | None) -> float | None:
    """None where one of them is not known."""
    return None if value is None or other is None else value - other


def puts_on_one_scale(source: str) -> bool:
    """Whether the script says anything that puts its inputs on one scale."""
    return bool(_STANDARDISED.search(source))
