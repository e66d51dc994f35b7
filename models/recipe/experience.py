"""What the trials taught: a judge of options, fitted to measured outcomes, that labels the choices of the corpus.

The judge sees what the rendered prompt shows and nothing else, so that what it knows can be learned from prompts. Its
worth is measured on families of tasks that it was not fitted to.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.interface import Briefing
from advisor.prompts import action_slug, by_rank, signals
from engine.insight.evidence import score
from engine.insight.vocabulary import CANDIDATES, DIAGNOSES

Array = NDArray[Any]

#: gains are cut here: what a step beyond brings is not worth a risk for the others
_LOWEST, _HIGHEST = -1.0, 1.5


@dataclass(frozen=True)
class State:
    """A version with its past, and what came of the candidates that were tried from it."""

    seed: int
    family: str
    briefing: Briefing
    #: option -> log(error of the best version so far / error after it), on held-out samples; empty: only looked at
    gains: Mapping[str, float]

    @property
    def best(self) -> float:
        return max(self.gains.values())


#: families of tasks that neither judge nor model learn from: what they are judged on
HELD_OUT_FAMILIES = frozenset({"rings", "waves"})

FOLDER = Path(__file__).parent / "experience"
STATES, TRIALS = "states.jsonl.gz", "trials.csv.gz"
COLUMNS = (
    "seed", "family", "version", "best", "metric", "option", "change", "base", "rank",
    "valid_before", "held_before", "valid_after", "held_after", "verdict", "gain", "seconds",
)  # fmt: skip


def write(states: Sequence[Mapping[str, Any]], trials: Sequence[Mapping[str, Any]], folder: Path = FOLDER) -> None:
    """The table of trials, a row each, and the briefing of each state; joined by seed and version."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(trials)
    lines = "".join(json.dumps(state, ensure_ascii=False) + "\n" for state in states)
    for name, content in ((TRIALS, text.getvalue()), (STATES, lines)):
        (folder / name).write_bytes(gzip.compress(content.encode(), 9, mtime=0))


def read_states(folder: Path = FOLDER) -> list[State]:
    """In the order in which they were written. Raises `FileNotFoundError` where nothing was collected yet."""
    gains: dict[tuple[int, str], dict[str, float]] = {}
    with gzip.open(folder / TRIALS, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            own = gains.setdefault((int(row["seed"]), row["version"]), {})
            own[row["option"]] = min(_HIGHEST, max(_LOWEST, float(row["gain"])))
    with gzip.open(folder / STATES, "rt", encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    return [
        State(
            entry["seed"],
            entry["family"],
            Briefing.model_validate(entry["briefing"]),
            gains.get((entry["seed"], entry["briefing"]["version"]), {}),
        )
        for entry in entries
    ]


def kind(option: str) -> str:
    """`"undo_v003"` -> `"undo"`: which version it is makes no kind of its own."""
    return option.split("_")[0] if option.startswith(("undo_", "back_")) else option


KINDS = (*CANDIDATES, "undo", "back")
_PLACE = {name: place for place, name in enumerate(KINDS)}
_VERDICTS = {"worse": -1.0, "within noise": 0.0, "noise": 0.0, "better": 1.0}
_OPPOSITE = {"up": "down", "down": "up"}


def _shared(briefing: Briefing) -> list[float]:
    """What is the same for all options."""
    strengths = {finding.id: finding.strength for finding in briefing.findings}
    words = signals(briefing)
    optimizer = words.get("optimizer", "")
    return [
        *(strengths.get(name, 0.0) for name in DIAGNOSES),
        *(float(optimizer == name) for name in ("adam", "adamw", "sgd")),
        float(words.get("schedule", "constant") != "constant"),
        float(words.get("task") == "regression"),
        _VERDICTS.get(words.get("verdict_previous", ""), 0.0),
        _VERDICTS.get(words.get("verdict_best", ""), 0.0),
        float(words.get("best", "self") == "self"),
        min(4.0, float(len(briefing.tried))),
    ]


def _own(briefing: Briefing) -> dict[str, list[float]]:
    """What each option adds: its place, and how its like fared before."""
    ranked = by_rank(briefing)
    outcomes: dict[str, list[float]] = {}
    for tried in briefing.tried:
        outcomes.setdefault(kind(action_slug(tried.action)), []).append(_VERDICTS.get(tried.verdict, 0.0))
    rows = {}
    for place, option in enumerate(ranked):
        stem, _, way = option.id.rpartition("_")
        mine = outcomes.get(kind(option.id), [])
        other = outcomes.get(f"{stem}_{_OPPOSITE.get(way, '')}", [])
        rows[option.id] = [
            math.exp(-place / 3),
            float(place == 0),
            float(len(mine)),
            sum(mine),
            float(len(other)),
            sum(other),
            score(option.id, briefing.findings, option.risk),
            {"low": 0.0, "medium": 0.5, "high": 1.0}[option.risk],
        ]
    return rows


class Judge:
    """Expected gain of each option: ridge regression on kinds, kinds times findings, and the past, averaged with
    boosted trees on the same numbers."""

    def __init__(self, ridge: float = 8.0, trees: bool = True) -> None:
        self._ridge, self._with_trees = ridge, trees

    def fit(self, states: Sequence[State]) -> Judge:
        rows, wide, gains, groups = [], [], [], []
        for number, state in enumerate(states):
            shared, own = _shared(state.briefing), _own(state.briefing)
            for option, gain in state.gains.items():
                if option in own:
                    rows.append(_narrow(shared, own[option], option))
                    wide.append(_wide(shared, own[option], option))
                    gains.append(gain)
                    groups.append(number)
        y = _centred(np.array(gains), np.array(groups))
        x = np.array(wide)
        self._weights = np.linalg.solve(x.T @ x + self._ridge * np.eye(x.shape[1]), x.T @ y)
        self._trees = None
        if self._with_trees:
            from sklearn.ensemble import HistGradientBoostingRegressor

            self._trees = HistGradientBoostingRegressor(
                max_iter=150,
                learning_rate=0.05,
                max_leaf_nodes=12,
                min_samples_leaf=15,
                l2_regularization=5.0,
                categorical_features=[0],
                random_state=0,
            ).fit(np.array(rows), y)
        return self

    def gains(self, briefing: Briefing) -> dict[str, float]:
        """Of every option on offer, against the mean of all."""
        shared, own = _shared(briefing), _own(briefing)
        options = list(own)
        linear = np.array([_wide(shared, own[o], o) for o in options]) @ self._weights
        if self._trees is not None:
            trees = self._trees.predict(np.array([_narrow(shared, own[o], o) for o in options]))
            linear = (linear + trees) / 2
        return dict(zip(options, linear.tolist(), strict=True))

    def choose(self, briefing: Briefing) -> str:
        found = self.gains(briefing)
        return max(found, key=lambda option: found[option])


def _narrow(shared: Sequence[float], own: Sequence[float], option: str) -> list[float]:
    return [float(_PLACE.get(kind(option), len(KINDS))), *own, *shared]


def _wide(shared: Sequence[float], own: Sequence[float], option: str) -> list[float]:
    """Each kind has its own weight for everything that is shared."""
    block = len(shared) + 1
    row = [0.0] * (block * len(KINDS))
    start = block * _PLACE.get(kind(option), 0)
    row[start : start + block] = [1.0, *shared]
    return [*own, *row]


def _centred(values: Array, groups: Array) -> Array:
    """Without the mean of each group: which option is better counts, not how well a task can be learned."""
    means = np.bincount(groups, values) / np.maximum(1, np.bincount(groups))
    return np.asarray(values - means[groups])


# how good it is


def achieved(states: Iterable[State], choose: Any) -> list[float]:
    """What the choice brought in each state where it was tried: `choose` ranks, the first tried option counts."""
    found = []
    for state in states:
        order = choose(state)
        found.append(next(state.gains[option] for option in order if option in state.gains))
    return found


def by_rules(state: State) -> list[str]:
    return [option.id for option in by_rank(state.briefing)]


def by_judge(judge: Judge) -> Any:
    def order(state: State) -> list[str]:
        gains = judge.gains(state.briefing)
        return sorted(gains, key=lambda option: -gains[option])

    return order
