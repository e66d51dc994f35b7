"""What goes into the advisor and what comes out: the only types that both sides share.

`advisor` imports nothing of the engine, so that the engine can hand it a briefing as JSON in a process of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Risk = Literal["low", "medium", "high"]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Fact(Frozen):
    """One number or word that the engine worked out. The model refers to it as `@key`."""

    key: str
    #: as it appears in a document, e.g. "0.9611", "+0.0139", "v003"
    display: str
    #: the raw value, for checks of sign and precision
    value: float | int | str | None = None
    #: what the key means, in words
    meaning: str
    #: a word that says what the value amounts to: "large", "early", "up"
    bucket: str | None = None
    #: 0 is the most important; a briefing that must be shortened loses the highest first
    importance: int = 1
    #: file in the workspace and, where it makes sense, row or key:
    #: "Models/Artifacts/v001/logs/version_0/metrics.csv, val_loss, epoch 12"
    source: str = ""


class Finding(Frozen):
    """One diagnosis with its evidence."""

    id: str
    #: 0 to 1: how clearly the facts show it
    strength: float
    #: a sentence with `@key` placeholders
    text: str
    evidence: tuple[str, ...]


class Candidate(Frozen):
    """An action on offer, with what speaks for and against it."""

    id: str
    title: str = ""
    #: as in the action file's YAML block: {"operation": "set", "setting": ..., "from": ..., "to": ...}
    operation: dict[str, Any] = Field(default_factory=dict)
    #: the operation in words: "learning_rate 0.001 → 0.0003"
    change: str
    risk: Risk
    #: why and when one does that, a sentence that may hold `@key` placeholders
    why: str
    #: why it stands where it stands, readable as they are
    reasons: tuple[str, ...] = ()
    #: fact keys that it rests on
    evidence: tuple[str, ...] = ()
    #: what the rules give it, 0 to 1, more where the user asks for it; 0: nobody says
    score: float = 0.0
    #: place in the rules' own ranking, from 1
    rank: int
    #: version to apply it to, where that is not the one under analysis
    base: str | None = None
    note: str = ""
    #: moves of settings that it acts like, and what else it acts on, by the words of `prose/subjects.py`
    effects: tuple[str, ...] = ()
    #: model and rules together; None before a model has chosen, and where the rules alone drafted
    probability: float | None = None
    #: what may be written about it, by section: goal, impact, risk, verification; empty: the advisor's own sentences
    sentences: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Tried(Frozen):
    """An action of an earlier version and what came of it."""

    version: str
    action: str
    verdict: str
    #: what had been proposed, where the user chose this against the advice
    instead_of: str = ""


class Briefing(Frozen):
    """All that the advisor knows."""

    version: str
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    options: tuple[Candidate, ...]
    tried: tuple[Tried, ...] = ()
    #: the user's instruction, line by line, locks included
    instruction: tuple[str, ...] = ()
    #: hints given in reviews of this workspace, the newest last
    hints: tuple[str, ...] = ()
    #: a line a locked setting, for the prose
    limits: tuple[str, ...] = ()


class Settings(Frozen):
    """How to run the model."""

    #: None: the bundled model
    model: Path | None = None
    #: None: fitted to the prompt
    context_tokens: int | None = None
    #: -1: all; None: all where they fit, else none
    gpu_layers: int | None = None
    #: None: as many as there are physical cores
    threads: int | None = None
    seed: int = 42
    #: seconds without a new token after which the model is given up
    timeout_seconds: float = 120.0


class Ranked(Frozen):
    """One option as the model sees it."""

    id: str
    #: probability among the options on offer; they sum to 1
    probability: float
    #: what the model alone gives it, where the rules' order had a say in `probability`
    model: float | None = None


class Prose(Frozen):
    """What is written, numbers filled in, ready for Markdown. Every number in it comes from a fact."""

    summary: str
    #: sentences about the change of the metrics
    metric_deltas: tuple[str, ...]
    evidence: tuple[str, ...]
    hypotheses: tuple[str, ...]
    next_focus: tuple[str, ...]
    goal: str
    expected_impact: str
    risk: str
    verification: str


class Proposal(Frozen):
    """What a model wrote when it was asked for code, as it is: nobody has looked at it yet."""

    author: str
    model_sha256: str
    text: str
    prompt: str
    seed: int
    notes: tuple[str, ...] = ()


class Draft(Frozen):
    """What the advisor made of a briefing."""

    #: "progtrain-advisor 3M (f16)", or "rules only"
    author: str
    #: sha256 of the model file; None when the rules alone wrote it
    model_sha256: str | None
    chosen: str
    ranking: tuple[Ranked, ...]
    prose: Prose
    #: what was given up and why, one line each: "the model wrote no usable summary: drafted by the rules"
    notes: tuple[str, ...] = ()
    #: what the user's hints brought about, one line each
    asked: tuple[str, ...] = ()
    #: what model and rules would have chosen alone; None where they are of one mind
    disagreement: str | None = None
    #: prompt and raw output, so that the draft can be made again
    prompt: str = ""
    raw: str = ""
    seed: int = 42
    seconds: dict[str, float] = Field(default_factory=dict)

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that stands beside it."""
        return (*self.notes, *self.asked, *([self.disagreement] if self.disagreement else []))
