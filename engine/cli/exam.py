"""A small fixed briefing that any model is asked to draft over: does it serve at all?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from advisor import process
from advisor.interface import Briefing, Draft, Fact, Finding, Option, Settings
from engine.insight.vocabulary import CANDIDATES, FACTS

_FACTS = {
    "version": ("v003", "v003", None),
    "previous": ("v002", "v002", None),
    "best": ("v002", "v002", None),
    "metric": ("accuracy", "accuracy", None),
    "value": (0.9122, "0.9122", None),
    "previous_value": (0.9306, "0.9306", None),
    "delta_previous": (-0.0184, "-0.0184", "down"),
    "verdict_previous": ("worse", "worse", None),
    "train_loss": (0.0312, "0.0312", None),
    "val_loss": (0.4127, "0.4127", None),
    "gap": (0.924, "0.924", "large"),
    "best_epoch": (6, "6", "early"),
    "epochs": (30, "30", None),
    "rise": (0.38, "0.38", "large"),
    "weight_decay": (0.0, "0", None),
}
_OPTIONS = {
    "add_weight_decay": "no weight decay holds the weights back while @gap is large",
    "add_early_stopping": "validation turned at @best_epoch of @epochs",
    "learning_rate_up": "steps could be larger",
    "epochs_up": "more epochs could help",
}


def briefing() -> Briefing:
    """An overfitted version: every engineer would know what to do."""
    return Briefing(
        version="v003",
        facts=tuple(
            Fact(key=key, value=value, display=shown, meaning=FACTS[key], bucket=bucket)
            for key, (value, shown, bucket) in _FACTS.items()
        ),
        findings=(
            Finding(
                id="overfitting",
                strength=0.9,
                text="training loss is @train_loss while validation loss rose by @rise after epoch @best_epoch",
                evidence=("gap", "rise", "best_epoch"),
            ),
        ),
        options=tuple(
            Option(id=name, change=CANDIDATES[name], why=why, risk="low", rank=rank)
            for rank, (name, why) in enumerate(_OPTIONS.items(), 1)
        ),
    )


def sit(settings: Settings) -> Draft:
    """A draft over it, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return process.draft(
            briefing(), settings, events=Path(folder) / "events.jsonl", log=Path(folder) / "advisor.log"
        )
