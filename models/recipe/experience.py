"""What the trials taught: a judge of options, fitted to measured outcomes, that labels the choices of the corpus.

The judge is what the rules say, and what the trials add to it. Beside the rules' score it sees what the rendered prompt
shows and nothing else, so that what it knows can be learned from prompts. Its worth is measured on families of tasks
that it was not fitted to.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from progtrain.advisor.interface import Briefing
from progtrain.advisor.prose.prompts import action_slug, by_rank, signals
from progtrain.engine.analysis.vocabulary import CANDIDATES, DIAGNOSES
from progtrain.engine.script.action.catalogue import with_words

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
            with_words(Briefing.model_validate(entry["briefing"])),
            gains.get((entry["seed"], entry["briefing"]["version"]), {}),
        )
        for entry in entries
    ]


def held_out() -> list[State]:
    """States of the families that nothing was learned from, with what was tried there."""
    return [state for state in read_states() if state.family in HELD_OUT_FAMILIES and state.gains]


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
    """What each option adds: its risk, and how its like fared before."""
    outcomes: dict[str, list[float]] = {}
    for tried in briefing.tried:
        outcomes.setdefault(kind(action_slug(tried.action)), []).append(_VERDICTS.get(tried.verdict, 0.0))
    rows = {}
    for option in briefing.options:
        stem, _, way = option.id.rpartition("_")
        mine = outcomes.get(kind(option.id), [])
        other = outcomes.get(f"{stem}_{_OPPOSITE.get(way, '')}", [])
        risk = {"low": 0.0, "medium": 0.5, "high": 1.0}[option.risk]
        rows[option.id] = [float(len(mine)), sum(mine), float(len(other)), sum(other), risk]
    return rows


#: what a change with the rules' full score brings in log error, beside one without any
_FULL_SCORE = 0.65


class Judge:
    """Expected gain of each option: in proportion to the rules' score, and what a ridge regression on kinds, kinds
    times findings, and the past found in what the trials brought beyond that.

    With families left out one by one, the changes it puts first bring 0.262 on average, those of the rules 0.228; any
    gain for a full score between 0.5 and 1.2 and any ridge between 150 and 600 is within 0.01 of it.
    """

    def __init__(self, ridge: float = 300.0) -> None:
        self._ridge = ridge

    def fit(self, states: Sequence[State]) -> Judge:
        rows, gains, groups = [], [], []
        for number, state in enumerate(states):
            shared, own, scores = _shared(state.briefing), _own(state.briefing), _scores(state.briefing)
            for option, gain in state.gains.items():
                if option in own:
                    rows.append(_row(shared, own[option], option))
                    gains.append(gain - _FULL_SCORE * scores[option])
                    groups.append(number)
        x, y = np.array(rows), _centred(np.array(gains), np.array(groups))
        self._weights = np.linalg.solve(x.T @ x + self._ridge * np.eye(x.shape[1]), x.T @ y)
        return self

    def gains(self, briefing: Briefing) -> dict[str, float]:
        """Of every option on offer, against the mean of all."""
        shared, own, scores = _shared(briefing), _own(briefing), _scores(briefing)
        added = np.array([_row(shared, row, option) for option, row in own.items()]) @ self._weights
        return {o: _FULL_SCORE * scores[o] + more for o, more in zip(own, added.tolist(), strict=True)}


def _scores(briefing: Briefing) -> dict[str, float]:
    """The rules'; an option that they say nothing of has none."""
    return {option.id: option.score for option in briefing.options}


def _row(shared: Sequence[float], own: Sequence[float], option: str) -> list[float]:
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
