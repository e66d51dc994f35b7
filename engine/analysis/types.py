"""What the analysis takes and gives: plain values that can be written to JSON and read again.

Operations are kept as plain mappings here (as in the YAML block of an action file), so that reading an
insight for a status line does not import the code that rewrites scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from progtrain.advisor.interface import Briefing, Fact, Finding, Option, Risk, Tried
from progtrain.engine.script.action.catalogue import find_recipe, sentences_of

_PARTS = frozenset({"optimizer", "schedule", "loss", "model", "data", "trainer"})

Verdict = Literal["better", "worse", "within noise"]


@dataclass(frozen=True)
class Limits:
    """What the rules and the instruction allow, and what counts as better.

    `locked` holds whatever an operation may not touch: canonical setting keys, recipe ids, parts of the
    script ("optimizer", "schedule", "loss", "model", "data", "trainer").
    """

    primary_metric: str
    higher_is_better: bool
    locked: frozenset[str] = frozenset()
    forbidden_recipes: frozenset[str] = frozenset()
    #: when not None, an operation may change nothing else: setting keys, recipe ids or parts of the script
    allowed_only: frozenset[str] | None = None
    max_versions: int = 10
    seed: int = 42
    #: which version the next one is made from
    branch_from: Literal["latest", "best"] = "latest"

    def refusal(self, touched: Iterable[str]) -> str | None:
        """Why an operation that touches these is not allowed; None when it is."""
        names = frozenset(touched)
        if held := names & (self.locked | self.forbidden_recipes):
            return f"locked by the rules: {', '.join(sorted(held))}"
        if self.allowed_only is not None and not self._stays_inside(names, self.allowed_only):
            return f"the rules allow changes to {', '.join(sorted(self.allowed_only))} only"
        return None

    @staticmethod
    def _stays_inside(names: frozenset[str], allowed: frozenset[str]) -> bool:
        """By the recipe's name, by the part of the script that it stays in, or by each setting that it changes."""
        if any(find_recipe(name) for name in names & allowed):
            return True
        parts = names & _PARTS
        return bool(parts and parts <= allowed) or names - _PARTS - {"revert"} <= allowed


@dataclass(frozen=True)
class VersionRecord:
    """A version that was trained and evaluated, and the action that made it."""

    version: str
    #: text of its script
    source: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    primary: float | None = None
    #: version that the action was applied to; None for the first
    base: str | None = None
    #: the operation as in the action file, without `base`; None for the first, or a change made by hand
    operation: Mapping[str, Any] | None = None
    #: the action in words, for lists
    action_text: str = ""
    verdict_previous: str | None = None
    #: verdict against `base`: what the action brought. None: taken from `verdict_previous` where that fits
    verdict_base: str | None = None
    latency_ms: float | None = None
    #: False: scored by another evaluator or on other data than the version under analysis
    comparable: bool = True

    @property
    def outcome(self) -> str | None:
        """What its action brought: "better", "worse", "within noise", or None where nobody knows."""
        return self.verdict_base or self.verdict_previous


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourcedFact(Fact):
    """A fact and where it comes from."""

    #: file in the workspace and, where it makes sense, row or key:
    #: "Models/Artifacts/v001/logs/version_0/metrics.csv, val_loss, epoch 12"
    source: str = ""

    def plain(self) -> Fact:
        """Without the source, as an advisor gets it."""
        return Fact.model_validate(self.model_dump(exclude={"source"}))


class Comparison(_Frozen):
    """Paired bootstrap of one metric between two versions over the validation samples that both have."""

    #: the version compared against
    against: str
    #: the metric that was compared: the one asked for, or "loss" where that does not decompose
    metric: str
    higher_is_better: bool
    #: this version minus the other, over the common samples
    delta: float
    #: ends of the 95 % interval of `delta`
    low: float
    high: float
    verdict: Verdict
    #: common samples
    n: int
    method: str


class MetricRow(_Frozen):
    """One metric in this version, the previous and the best earlier one."""

    name: str
    higher_is_better: bool
    value: float | None
    previous: float | None = None
    best: float | None = None
    delta_previous: float | None = None
    delta_best: float | None = None
    verdict_previous: Verdict | None = None
    verdict_best: Verdict | None = None
    note: str = ""


class Slice(_Frozen):
    """A part of the validation samples: a class, or a range of the target."""

    name: str
    kind: Literal["class", "target range"]
    samples: int
    #: share of right outcomes; None for regression
    right: float | None
    mean_loss: float | None
    #: `right` in the previous version, for classes
    right_previous: float | None = None


class SampleRow(_Frozen):
    """One validation sample that failed."""

    sample_id: str
    truth: str
    prediction: str
    loss: float | None
    confidence: float | None = None


class Flip(_Frozen):
    """A sample whose outcome changed since the previous version."""

    sample_id: str
    now: Literal["right", "wrong"]
    truth: str
    before: str
    prediction: str


class Candidate(_Frozen):
    """An action on offer, with what speaks for and against it."""

    id: str
    title: str
    #: as in the action file's YAML block: {"operation": "set", "setting": ..., "from": ..., "to": ...}
    operation: dict[str, Any]
    #: the operation in words: "learning_rate 0.001 → 0.0003"
    change: str
    risk: Risk
    #: why and when one does that; may hold `@key` placeholders
    why: str
    #: why it stands where it stands, readable as they are
    reasons: tuple[str, ...] = ()
    #: fact keys that it rests on
    evidence: tuple[str, ...] = ()
    #: 0 to 1
    score: float
    #: from 1
    rank: int
    #: version to apply it to, where that is not the one under analysis
    base: str | None = None
    note: str = ""

    def option(self) -> Option:
        return Option(
            id=self.id,
            change=self.change,
            why=self.why,
            risk=self.risk,
            rank=self.rank,
            score=self.score,
            sentences=sentences_of(self.id),
        )


class Insight(_Frozen):
    """All that the numbers of one version say, without a model."""

    version: str
    previous: str | None
    #: best version so far, this one included
    best: str
    #: best version before this one
    best_earlier: str | None
    primary_metric: str
    higher_is_better: bool
    task: str
    facts: tuple[SourcedFact, ...]
    findings: tuple[Finding, ...]
    candidates: tuple[Candidate, ...]
    metrics: tuple[MetricRow, ...]
    against_previous: Comparison | None = None
    against_best: Comparison | None = None
    #: against the version that it was made from: what the action brought
    against_base: Comparison | None = None
    #: sentences on metrics that moved in opposite directions
    trade_offs: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    worst_samples: tuple[SampleRow, ...] = ()
    flips: tuple[Flip, ...] = ()
    tried: tuple[Tried, ...] = ()
    #: the training log that was read
    log: str = ""
    warnings: tuple[str, ...] = ()

    def fact(self, key: str) -> SourcedFact | None:
        return next((fact for fact in self.facts if fact.key == key), None)

    def candidate(self, candidate_id: str) -> Candidate | None:
        return next((c for c in self.candidates if c.id == candidate_id), None)

    def briefing(
        self,
        *,
        instruction: Iterable[str] = (),
        hints: Iterable[str] = (),
        limits: Iterable[str] = (),
    ) -> Briefing:
        """What an advisor gets to see."""
        return Briefing(
            version=self.version,
            facts=tuple(fact.plain() for fact in self.facts),
            findings=self.findings,
            options=tuple(candidate.option() for candidate in self.candidates),
            tried=self.tried,
            instruction=tuple(instruction),
            hints=tuple(hints),
            limits=tuple(limits),
        )

    def to_json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Insight:
        """Raises pydantic's `ValidationError` on anything else than what `to_json` wrote."""
        return cls.model_validate_json(text)
