"""A small fixed exam for any model: five briefings on which engineers agree, marked for facts, diagnosis, choice, form.

The right answer never stands first in the rules' ranking, so that a model cannot pass by leaning on it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from progtrain.advisor import process
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Candidate, Draft, Fact, Finding, Frozen, Risk, Settings
from progtrain.advisor.prose import prompts
from progtrain.engine.analysis.vocabulary import CANDIDATES, DIAGNOSES, FACTS, bucket
from progtrain.engine.script.action.catalogue import words_of

Value = float | int | str

#: What most questions share; a question adds to it.
_COMMON: dict[str, Value] = {
    "version": "v003",
    "previous": "v002",
    "best": "v003",
    "task": "classification",
    "metric": "accuracy",
    "value": 0.9122,
    "previous_value": 0.9067,
    "delta_previous": 0.0055,
    "verdict_previous": "within noise",
    "delta_low": -0.0061,
    "delta_high": 0.0167,
    "epochs": 30,
    "optimizer": "Adam",
    "schedule": "none (constant)",
    "train_samples": 1200,
    "val_samples": 360,
}
#: So many questions without anything usable, and a model does not serve.
_FAILED = 2
_SECTIONS = (*prompts.BEFORE, *prompts.AFTER)


_Question = tuple[str, dict[str, Value], tuple[str, ...], frozenset[str], str]
#: diagnosis; facts; options in the rules' order; the right ones; what a summary that has understood holds one of
_QUESTIONS: tuple[_Question, ...] = (
    (
        "overfitting",
        {"train_loss": 0.0312, "val_loss": 0.4127, "gap": 0.924, "rise": 0.38, "best_epoch": 6, "weight_decay": 0.0},
        ("learning_rate_up", "add_weight_decay", "epochs_up", "add_dropout", "hidden_size_up"),
        frozenset({"add_weight_decay", "add_dropout"}),
        r"overfit|memoris|memoriz|generalis|generaliz|capacity",
    ),
    (
        "learning_rate_too_high",
        {"train_loss": 0.71, "val_loss": 0.78, "gap": 0.09, "roughness": 0.83, "learning_rate": 0.1, "best_epoch": 11},
        ("epochs_up", "learning_rate_down", "hidden_size_up", "learning_rate_up"),
        frozenset({"learning_rate_down"}),
        r"learning rate|steps? (?:are|is) too|too large|too high",
    ),
    (
        "too_few_epochs",
        {"train_loss": 0.42, "val_loss": 0.44, "gap": 0.05, "late_slope": 0.09, "best_epoch": 30, "roughness": 0.1},
        ("add_dropout", "epochs_up", "learning_rate_down", "add_weight_decay"),
        frozenset({"epochs_up"}),
        r"too soon|too few epochs|still (?:improv|fall)|not finished|more epochs|longer",
    ),
    (
        "unscaled_inputs",
        {"train_loss": 0.55, "val_loss": 0.58, "input_scale": 2400.0, "input_offset": 12.0, "first_drop": 0.02},
        ("hidden_size_up", "add_input_standardisation", "add_label_smoothing", "epochs_down"),
        frozenset({"add_input_standardisation"}),
        r"scale|standardi|features",
    ),
    (
        "class_imbalance",
        {"imbalance": 9.0, "worst_class": "class 3", "worst_class_recall": 0.31, "class_spread": 0.62, "wrong": 32},
        ("learning_rate_down", "add_class_weights", "add_warmup", "batch_size_up"),
        frozenset({"add_class_weights"}),
        r"class|rare|recall",
    ),
)


class Mark(Frozen):
    """How one question was answered."""

    question: str
    #: sentences as the model wrote them, and how many of them keep to the facts
    sentences: int
    true_to_facts: int
    diagnosed: bool
    chosen: str
    chosen_well: bool
    #: sections that the model wrote itself; the others were filled by the rules
    sections: int
    seconds: float
    notes: tuple[str, ...]
    by_model: bool


def serves(marks: Sequence[Mark]) -> bool:
    return sum(not mark.by_model for mark in marks) < _FAILED


def line(marks: Sequence[Mark]) -> str:
    """What a user reads."""
    count = len(_QUESTIONS)
    said = sum(mark.sentences for mark in marks)
    true = sum(mark.true_to_facts for mark in marks)
    form = sum(mark.sections for mark in marks) / (count * len(_SECTIONS))
    return (
        f"exam: facts {100 * true / max(1, said):.0f} % ({said} sentences), "
        f"diagnosis {sum(mark.diagnosed for mark in marks)} of {count}, "
        f"choice {sum(mark.chosen_well for mark in marks)} of {count}, form {100 * form:.0f} %"
    )


def pace(marks: Sequence[Mark]) -> str:
    """How long a draft takes here, from the facts to its file, the process's start included."""
    return f"a draft takes {median(mark.seconds for mark in marks):.1f} s here"


def verdict(marks: Sequence[Mark]) -> str:
    if not serves(marks):
        return "does not serve: drafts would be written by the rules alone"
    good = {
        "diagnosis": sum(mark.diagnosed for mark in marks),
        "choice": sum(mark.chosen_well for mark in marks),
        "form": sum(mark.sections > len(_SECTIONS) / 2 for mark in marks),
    }
    weak = [name for name, count in good.items() if count < len(_QUESTIONS) - 1]
    return f"serves, but is weak in {' and '.join(weak)}: look at the rules' order as well" if weak else "serves"


def briefings() -> Iterator[Briefing]:
    return map(_briefing, _QUESTIONS)


def sit(settings: Settings, progress: Callable[[str], None] = lambda line: None) -> list[Mark]:
    """All questions, each in a process of its own; ends early with a model that has given nothing usable twice."""
    marks: list[Mark] = []
    for question in _QUESTIONS:
        mark = _answered(question, settings)
        marks.append(mark)
        progress(_describe(mark))
        if not serves(marks):
            break
    return marks


def _describe(mark: Mark) -> str:
    diagnosis = "understood" if mark.diagnosed else "not understood"
    choice = f"{mark.chosen} ({'good' if mark.chosen_well else 'not what an engineer would do'})"
    return f"{mark.question.replace('_', ' ')}: {diagnosis}, chose {choice}, {mark.seconds:.1f} s"


def _answered(question: _Question, settings: Settings) -> Mark:
    finding, _, _, right, words = question
    briefing = _briefing(question)
    seen: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        draft = process.draft(
            briefing,
            settings,
            events=Path(folder) / "events.jsonl",
            log=Path(folder) / "advisor.log",
            on_event=seen.append,
        )
    by_model = draft.model_sha256 is not None
    said = _said(draft) if by_model else {}
    grounding = Grounding(briefing)
    lines = [(name, line) for name, found in said.items() for line in found]
    chosen = _own_choice(draft)
    return Mark(
        question=finding,
        sentences=len(lines),
        true_to_facts=sum(grounding.problem(line, name) is None for name, line in lines),
        diagnosed=bool(re.search(words, " ".join(said.get("summary", ())), re.IGNORECASE)),
        chosen=chosen,
        chosen_well=by_model and chosen in right,
        sections=len({event["name"] for event in seen if event["event"] == "sentences"}) if by_model else 0,
        seconds=draft.seconds["total"],
        notes=draft.notes,
        by_model=by_model,
    )


def _said(draft: Draft) -> dict[str, list[str]]:
    """Section -> lines as the model wrote them, before anything was refused."""
    return {name: lines for name, lines in prompts.parse(draft.raw).items() if name in _SECTIONS}


def _own_choice(draft: Draft) -> str:
    """What the model alone puts first, the rules' order left aside."""
    return max(draft.ranking, key=lambda r: r.probability if r.model is None else r.model).id


def _briefing(question: _Question) -> Briefing:
    finding, facts, options, _, _ = question
    return Briefing(
        version="v003",
        facts=tuple(_fact(key, value) for key, value in {**_COMMON, **facts}.items()),
        findings=(Finding(id=finding, strength=0.9, text=DIAGNOSES[finding], evidence=tuple(facts)),),
        options=tuple(_option(name, rank) for rank, name in enumerate(options, 1)),
    )


def _fact(key: str, value: Value) -> Fact:
    shown = f"{value:+.4f}" if key.startswith("delta") and isinstance(value, float) else str(value)
    word = None
    if isinstance(value, (int, float)):
        word = bucket(key, value)
        if key == "best_epoch":
            word = bucket("epoch_share", value / float(_COMMON["epochs"]))
    return Fact(key=key, value=value, display=shown, meaning=FACTS[key], bucket=word)


def _option(name: str, rank: int) -> Candidate:
    risk: Risk = "medium" if name in ("learning_rate_up", "hidden_size_up", "add_class_weights") else "low"
    return Candidate(
        id=name, change=CANDIDATES[name], why=f"{CANDIDATES[name]}.", risk=risk, rank=rank, **words_of(name)
    )
