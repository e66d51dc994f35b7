"""Which validation samples are on show: by outcome, class, loss and words."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from progtrain.tui.look import words
from progtrain.tui.reading.samples import Outcome

OUTCOMES = ("all", "wrong", "right", "kept")
#: the samples with the highest loss
SHARES = {"worst tenth": 0.1, "worst quarter": 0.25, "worst half": 0.5}


@dataclass(frozen=True)
class SampleFilter:
    outcome: str = "all"
    #: true and predicted class; None: any
    truth: str | None = None
    prediction: str | None = None
    #: a key of `SHARES`, or a number that the loss has at least
    loss: str | float | None = None
    #: part of id, truth or prediction
    text: str = ""

    @classmethod
    def from_json(cls, data: Any) -> SampleFilter:
        """What was remembered; anything that means nothing is left out."""
        data = data if isinstance(data, dict) else {}
        truth, prediction, loss, told = (data.get(name) for name in ("truth", "prediction", "loss", "text"))
        known = (isinstance(loss, int | float) and not isinstance(loss, bool)) or loss in list(SHARES)
        return cls(
            outcome=data["outcome"] if data.get("outcome") in OUTCOMES else "all",
            truth=truth if isinstance(truth, str) else None,
            prediction=prediction if isinstance(prediction, str) else None,
            loss=loss if known else None,
            text=told if isinstance(told, str) else "",
        )

    def __bool__(self) -> bool:
        return self != SampleFilter()

    def of(self, outcomes: Sequence[Outcome], kept: Collection[str]) -> list[Outcome]:
        """Those of a version's `outcomes` that fit, in their order. `kept`: ids of which files are there."""
        least = self.least_loss(outcomes)
        wanted = self.text.casefold()
        return [
            o
            for o in outcomes
            if self._fits_outcome(o, kept)
            and (self.truth is None or o.truth == self.truth)
            and (self.prediction is None or o.prediction == self.prediction)
            and (least is None or (o.loss is not None and o.loss >= least))
            and wanted in f"{o.sample_id} {o.truth} {o.prediction}".casefold()
        ]

    def _fits_outcome(self, outcome: Outcome, kept: Collection[str]) -> bool:
        if self.outcome == "kept":
            return outcome.sample_id in kept
        return self.outcome == "all" or outcome.correct is (self.outcome == "right")

    def least_loss(self, outcomes: Sequence[Outcome]) -> float | None:
        """The loss from which samples are shown; of a share, that of its mildest sample among all of the version."""
        if not isinstance(self.loss, str):
            return self.loss
        losses = sorted((o.loss for o in outcomes if o.loss is not None), reverse=True)
        return losses[math.ceil(len(losses) * SHARES[self.loss]) - 1] if losses else None

    def told(self, outcomes: Sequence[Outcome]) -> str:
        """`wrong, truth 8, predicted 1, loss from 0.93 (worst tenth)`."""
        parts = [self.outcome] if self.outcome != "all" else []
        parts += [f"truth {self.truth}"] if self.truth is not None else []
        parts += [f"predicted {self.prediction}"] if self.prediction is not None else []
        if self.loss is not None:
            share = f" ({self.loss})" if isinstance(self.loss, str) else ""
            parts.append(f"loss from {words.number(self.least_loss(outcomes))}{share}")
        parts += [f'"{self.text}"'] if self.text else []
        return ", ".join(parts)


def classes(outcomes: Sequence[Outcome], field: str) -> list[tuple[str, int, int]]:
    """Values of `truth` or `prediction`, numbers in their order, each with how many samples and how many wrong ones.

    None where nothing is classified.
    """
    if not any(o.correct is not None for o in outcomes):
        return []
    counted: dict[str, tuple[int, int]] = {}
    for outcome in outcomes:
        samples, wrong = counted.get(name := getattr(outcome, field), (0, 0))
        counted[name] = samples + 1, wrong + (outcome.correct is False)
    return sorted(((name, *entry) for name, entry in counted.items()), key=lambda found: _order(found[0]))


def _order(name: str) -> tuple[bool, float, str]:
    try:
        value = float(name)
    except ValueError:
        return True, 0.0, name
    return not math.isfinite(value), value if math.isfinite(value) else 0.0, name
