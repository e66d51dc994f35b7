"""By how much a setting moves: sizes of a step up or down, by the strength of the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from progtrain.advisor.interface import Candidate, Finding, Risk
from progtrain.engine.analysis.advise.evidence import strength
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.types import Limits, VersionRecord
from progtrain.engine.script.names import canonical

Value = int | float | tuple[Any, ...]
_Size = Callable[[Any, "Situation"], Value | None]


@dataclass(frozen=True)
class Situation:
    """What candidates are made for, and what the size of a step may depend on: a version's script, what was measured
    on it, and the past."""

    record: VersionRecord
    measured: Measurements
    findings: Sequence[Finding]
    limits: Limits
    #: all versions so far, in order
    history: Sequence[VersionRecord] = ()
    #: the record that the hooks kept of its training (`engine/live`), empty where there is none
    training: Mapping[str, Any] = field(default_factory=dict)
    #: candidates of versions that were trained beside them, in experiments
    beside: Sequence[VersionRecord] = ()
    #: training rows that could be added where it fails most
    rows: Candidate | None = None

    @property
    def source(self) -> str:
        return self.record.source

    @property
    def again(self) -> str:
        """The candidate whose like has just made the script better: a second step of that kind may be longer."""
        helped = self.record.operation and self.record.outcome == "better"
        return "_".join(kind_of(self.record.operation)) if helped else ""

    def strength(self, *ids: str) -> float:
        return strength(self.findings, *ids)


def kind_of(operation: Any) -> tuple[str, str]:
    """("learning_rate", "down"), ("cosine_schedule", "recipe"), ("v002", "revert"), ("additions", "data")."""
    kind = operation.get("operation")
    if kind == "data":
        return "additions", "data"
    if kind == "set":
        before, after = _magnitude(operation.get("from")), _magnitude(operation.get("to"))
        known = before is not None and after is not None
        direction = ("up" if after > before else "down") if known else "to"  # type: ignore[operator]
        return canonical(str(operation.get("setting"))), direction
    return str(operation.get("recipe") or operation.get("version") or operation.get("function")), str(kind)


def _magnitude(value: Any) -> float | None:
    """Of a list, the sum."""
    if isinstance(value, list | tuple):
        sizes = [_magnitude(item) for item in value]
        return math.fsum(s for s in sizes if s is not None) if None not in sizes else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def nice(value: float) -> float:
    """To one digit that counts, as people choose rates: 0.00033 -> 0.0003."""
    if value <= 0 or not math.isfinite(value):
        return value
    exponent = math.floor(math.log10(value))
    return float(f"{round(value / 10**exponent)}e{exponent}")


def _rate_down(value: float, s: Situation) -> float | None:
    clear = s.strength("divergence", "learning_rate_too_high")
    lost = clear if s.measured.skill is None or s.measured.skill < 0.3 else min(clear, 0.79)
    factor = _rate_factor(value / s.measured.usual_rate, lost)
    if s.again == "learning_rate_down":
        factor = max(10.0, factor)
    smaller = nice(value / (max(10.0, factor) if s.strength("divergence") >= 0.8 else factor))
    return smaller if 1e-7 <= smaller < value else None


def _rate_up(value: float, s: Situation) -> float | None:
    most = 3.0 if s.measured.is_sgd else 0.3
    factor = _rate_factor(s.measured.usual_rate / value, s.strength("learning_rate_too_low")) if value > 0 else 3.0
    return next((nice(value * f) for f in (factor, 3.0) if value < nice(value * f) <= most), None)


def _rate_factor(away: float, clear: float) -> float:
    """3 without evidence. With it, further the further the usual rate is away: half of the way on a logarithmic
    scale, and all of it where the evidence is strong and nothing is to be lost; never more than 30 at once."""
    if clear < 0.4:
        return 3.0
    return min(30.0, max(3.0, away if clear >= 0.8 else math.sqrt(max(1.0, away))))


def _epochs_up(value: int, s: Situation) -> int:
    clear = s.strength("too_few_epochs", "learning_rate_too_low", "underfitting")
    return _round_count(math.ceil(value * (3.0 if clear >= 0.8 else 2.0 if clear >= 0.5 else 1.5)))


def _epochs_down(value: int, s: Situation) -> int | None:
    best = s.measured.shape.best_epoch
    fewer = max(_round_count(math.ceil(1.25 * best)) if best else 0, value // 3)
    return fewer if 1 <= fewer <= 0.85 * value else None


def _round_count(value: int) -> int:
    return math.ceil(value / 5) * 5 if value > 20 else value


def _batch_up(value: int, s: Situation) -> int | None:
    larger = value * (4 if s.strength("noisy_gradients") >= 0.8 and value <= 16 else 2)
    samples = s.measured.train_samples
    # fewer than eight steps an epoch are too few to learn from
    return larger if larger <= 4096 and (samples is None or larger * 8 <= samples) else None


def _batch_down(value: int, s: Situation) -> int | None:
    return value // 2 if value >= 8 else None


def _each(change: Callable[[int], int]) -> _Size:
    """For a single width and for a list of them."""

    def size(value: Any, s: Situation) -> Value | None:
        if isinstance(value, tuple):
            whole = [item for item in value if isinstance(item, int)]
            return tuple(change(item) for item in whole) if len(whole) == len(value) else None
        return change(value) if isinstance(value, int) else None

    return size


def _at_least(low: int, size: _Size) -> _Size:
    def bounded(value: Any, s: Situation) -> Value | None:
        new = size(value, s)
        items = new if isinstance(new, tuple) else (new,)
        return new if all(item is not None and item >= low for item in items) else None

    return bounded


def _wider(value: Any, s: Situation) -> Value | None:
    """To a usual width at once where a layer is too narrow to pass on much."""
    clear = s.strength("too_little_capacity") >= 0.6
    factor = 4 if clear or s.again == "hidden_size_up" else 2
    return _each(lambda n: max(n * 4, 32 if clear else 0) if n <= 8 else n * (factor if n <= 64 else 2))(value, s)


def _narrower(value: Any, s: Situation) -> Value | None:
    factor = 4 if s.strength("too_much_capacity") >= 0.6 else 2
    return _each(lambda n: n // (factor if n >= 64 else 2))(value, s)


def _deeper(value: Any, s: Situation) -> int | None:
    return value + 1 if isinstance(value, int) and value < 24 else None


def _shallower(value: Any, s: Situation) -> int | None:
    return value - 1 if isinstance(value, int) and value > 1 else None


def _more_share(first: float, step: float, most: float, *ids: str) -> _Size:
    """For a rate between 0 and 1: from nothing to `first`, then in steps, twice as large where it is clear."""

    def size(value: float, s: Situation) -> float | None:
        wide = 2 if s.strength(*ids) >= 0.8 else 1
        new = first if value <= 0 else round(min(most, value + step * wide), 4)
        return new if new > value else None

    return size


def _less_share(none_below: float) -> _Size:
    """Half of it; none where it was little, or where even the training data is clearly not fitted."""

    def size(value: float, s: Situation) -> float | None:
        if value <= 0:
            return None
        needless = value <= none_below or s.strength("underfitting", "too_little_capacity") >= 0.6
        return 0.0 if needless else round(value / 2, 2)

    return size


def _decay_up(value: float, s: Situation) -> float | None:
    if value <= 0:
        # AdamW decays the weights themselves, the others through a gradient that they rescale
        if "adamw" in (s.measured.optimizer or "").casefold():
            return 0.01
        return 1e-3 if s.strength("overfitting") >= 0.7 else 1e-4
    clear = s.strength("overfitting") >= 0.7 or s.again == "weight_decay_up"
    more = nice(value * (10 if clear else 3))
    return more if more <= 0.3 else None


def _decay_down(value: float, s: Situation) -> float | None:
    if value <= 1e-6:
        return None
    return 0.0 if s.strength("underfitting", "too_little_capacity") >= 0.6 else nice(value / 10)


def _momentum_up(value: float, s: Situation) -> float | None:
    return next((m for m in (0.9, 0.95, 0.98) if m > value + 1e-9), None)


def _double(most: float) -> _Size:
    def size(value: float, s: Situation) -> Value | None:
        # a share of all steps has a bound that a number of steps does not
        return value * 2 if 0 < value * 2 <= (most if value < 1 else 10_000) else None

    return size


def _clip_down(value: float, s: Situation) -> float | None:
    return nice(value / (10 if s.strength("divergence") >= 0.8 else 2)) if value > 0.05 else None


#: the setting with its direction -> risk, why, and what gives the new value, None where there is no room
TUNINGS: dict[str, tuple[Risk, str, _Size]] = {
    "learning_rate_down": ("low", "smaller steps end closer to a minimum", _rate_down),
    "learning_rate_up": ("medium", "larger steps get further in the same time", _rate_up),
    "epochs_up": ("low", "for a validation loss that still falls at the end", _epochs_up),
    "epochs_down": ("low", "the epochs after the best one bring nothing", _epochs_down),
    "batch_size_up": ("low", "gradients over more samples are less noisy", _batch_up),
    "batch_size_down": ("medium", "more steps an epoch, and noise that helps to explore", _batch_down),
    "hidden_size_up": ("medium", "a wider model can express more", _wider),
    "hidden_size_down": ("medium", "a narrower model can memorise less", _at_least(4, _narrower)),
    "layers_up": ("medium", "a deeper model can express more", _deeper),
    "layers_down": ("medium", "a shallower model can memorise less", _shallower),
    "dropout_up": (
        "low",
        "units that may be missing cannot rely on each other",
        _more_share(0.2, 0.1, 0.6, "overfitting", "too_much_capacity"),
    ),
    "dropout_down": ("low", "less noise lets the model fit more", _less_share(0.2)),
    "weight_decay_up": ("low", "smaller weights make smoother functions", _decay_up),
    "weight_decay_down": ("low", "weights that may grow fit more", _decay_down),
    "label_smoothing_up": ("low", "keeps the model from being too sure", _more_share(0.1, 0.05, 0.3, "label_noise")),
    "label_smoothing_down": ("low", "lets the model be as sure as the data allows", _less_share(0.1)),
    "momentum_up": ("medium", "averages steps over a longer time", _momentum_up),
    "warmup_up": ("low", "keeps early steps small for longer", _double(0.4)),
    "patience_up": ("low", "gives validation more time before training stops", _double(200)),
    "gradient_clip_down": ("low", "bounds the step that one bad batch can take", _clip_down),
}
