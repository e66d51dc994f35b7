"""What the analysis takes and gives: plain values that can be written to JSON and read again.

Operations are kept as plain mappings here (as in the YAML block of an action file), so that reading an
insight for a status line does not import the code that rewrites scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from progtrain.advisor.interface import Briefing, Candidate, Fact, Finding, Frozen, Tried
from progtrain.engine.script.action.catalogue import find_recipe, with_words
from progtrain.engine.status.snapshot import NOT_MEASURED

_PARTS = frozenset({"optimizer", "schedule", "loss", "model", "data", "trainer"})

#: "trade-off": better as a whole, or in what it is for, and paid for elsewhere
Verdict = Literal["better", "worse", "within noise", "trade-off"]


@dataclass(frozen=True)
class Limits:
    """What the rules and the instruction allow, and what counts as better.

    `locked` holds whatever an operation may not touch: canonical setting keys, recipe ids, parts of the
    script ("optimizer", "schedule", "loss", "model", "data", "trainer").
    """

    primary_metric: str
    higher_is_better: bool
    locked: frozenset[str] = frozenset()
    #: when not None, an operation may change nothing else: setting keys, recipe ids or parts of the script
    allowed_only: frozenset[str] | None = None
    max_versions: int = 10
    seed: int = 42
    #: which version the next one is made from: the latest, the best, or the best that was found better than its base
    branch_from: Literal["latest", "best", "proven"] = "latest"
    #: what the script is started with: it counts before its defaults
    arguments: tuple[str, ...] = ()

    def refusal(self, touched: Iterable[str]) -> str | None:
        """Why an operation that touches these is not allowed; None when it is."""
        names = frozenset(touched)
        if held := names & self.locked:
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
    #: False: scored by another evaluator, or on other samples or data than the version under analysis
    comparable: bool = True
    #: why it is not, as "was ..."
    why_not: str = ""

    @property
    def outcome(self) -> str | None:
        """What its action brought: "better", "worse", "within noise", or None where nobody knows."""
        return self.verdict_base or self.verdict_previous


@dataclass(frozen=True)
class Repeat:
    """A training and evaluation of a version's script that differs from the version's own in its seed alone."""

    #: "r1", or where else it is from: "before-1", "experiment seeds/v002-s7"
    name: str
    seed: int | None
    metrics: Mapping[str, float | None]
    #: outcomes of single samples; None where there are none
    per_sample: Path | None = None


class Comparison(Frozen):
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
    #: common samples; 0 where the runs alone tell
    n: int
    method: str
    #: runs of the other and of this one that differ in the seed alone, the versions' own among them
    runs: tuple[int, int] = (1, 1)
    #: standard deviation between such runs, with its degrees of freedom, and whose runs told it; None: not measured
    noise_sd: float | None = None
    noise_freedom: int = 0
    noise_from: str = ""

    @property
    def seed_noise(self) -> str:
        """For people, beside the verdict."""
        if self.noise_sd is None:
            return NOT_MEASURED
        return f"seed noise {self.noise_sd:.2g} from {self.noise_freedom + 1} runs of {self.noise_from}"


class AddedRows(Frozen):
    """What training rows that a version was given besides have brought, against the version without them."""

    addition: str
    count: int
    #: what they are for, in words
    meant: str
    #: the samples that they are for, all others, and all; None where they cannot be told apart
    focus: Comparison | None = None
    rest: Comparison | None = None
    overall: Comparison | None = None
    #: against a training with as many random training rows; None, and why: there is none
    control: Comparison | None = None
    no_control: str = ""
    verdict: Verdict | None = None
    #: how many more steps the training took
    steps: str = ""


class MetricRow(Frozen):
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


class Slice(Frozen):
    """A part of the validation samples: a class, or a range of the target."""

    name: str
    kind: Literal["class", "target range"]
    samples: int
    #: share of right outcomes; None for regression
    right: float | None
    mean_loss: float | None
    #: `right` in the previous version, for classes
    right_previous: float | None = None


class SampleRow(Frozen):
    """One validation sample: one that failed, or one whose outcome changed since the previous version."""

    sample_id: str
    truth: str
    prediction: str
    loss: float | None = None
    confidence: float | None = None
    #: where the outcome changed: what it is now, and the earlier prediction
    now: Literal["right", "wrong"] | None = None
    before: str = ""


class Insight(Frozen):
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
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    candidates: tuple[Candidate, ...]
    #: what no action is offered on because something else decides it while the script runs, a sentence each
    not_offered: tuple[str, ...] = ()
    metrics: tuple[MetricRow, ...]
    against_previous: Comparison | None = None
    against_best: Comparison | None = None
    #: against the version that it was made from: what the action brought
    against_base: Comparison | None = None
    #: where it and what it was made from cannot be told apart: the experiment that would, and its cost; else empty
    undecided: str = ""
    #: sentences on metrics that moved in opposite directions
    trade_offs: tuple[str, ...] = ()
    #: where its action was to add training rows
    added_rows: AddedRows | None = None
    slices: tuple[Slice, ...] = ()
    worst_samples: tuple[SampleRow, ...] = ()
    flips: tuple[SampleRow, ...] = ()
    tried: tuple[Tried, ...] = ()
    #: on what this version was made from, and on itself, in experiments; `version` is EXPERIMENT/RUN
    beside: tuple[Tried, ...] = ()
    #: settings of imported runs, `version` being a run's name: evidence, on which nothing here rests
    elsewhere: tuple[Tried, ...] = ()
    #: snapshots of other MCP servers that lay there, whether they were used or not: name, state, age_hours, sha256
    evidence: tuple[Mapping[str, Any], ...] = ()
    #: the training log that was read
    log: str = ""
    warnings: tuple[str, ...] = ()

    def fact(self, key: str) -> Fact | None:
        return next((fact for fact in self.facts if fact.key == key), None)

    def candidate(self, candidate_id: str) -> Candidate | None:
        return next((c for c in self.candidates if c.id == candidate_id), None)

    def briefing(
        self, *, instruction: Iterable[str] = (), hints: Iterable[str] = (), limits: Iterable[str] = ()
    ) -> Briefing:
        """What an advisor gets to see."""
        told = Briefing(
            version=self.version,
            facts=self.facts,
            findings=self.findings,
            options=self.candidates,
            tried=self.tried,
            instruction=tuple(instruction),
            hints=tuple(hints),
            limits=tuple(limits),
        )
        return with_words(told)

    def to_json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"
