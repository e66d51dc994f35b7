"""Where a loop stands, as frozen values. Imports nothing, so that a screen can be drawn before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from progtrain.engine.schema import Review

Status = Literal[
    "not ready",  # something must be fixed first: `reason`, `fix`
    "not started",
    "starting",
    "initializing",
    "training",
    "evaluating",
    "repeating",  # a version with another seed: `Snapshot.reason`
    "analyzing",
    "drafting",
    "authoring",
    "reporting",
    "waiting",  # for the user: `Snapshot.review`
    "repairing",
    "stopping",
    "stopped",
    "failed",
    "finished",
    "runner gone",  # it ended without saying so
    "orphan training",  # no runner, but a guard and its script are alive
]

#: Step -> the status while it runs.
STEP_STATUS: dict[str, Status] = {
    "initialize": "initializing",
    "train": "training",
    "evaluate": "evaluating",
    "analyze": "analyzing",
    "extract": "drafting",
    "check": "authoring",
    "author": "authoring",
    "report": "reporting",
}
STEP_NAMES = tuple(STEP_STATUS)

#: While these last, time goes by and the machine works: figures that change every second are shown.
WORKING: frozenset[Status] = frozenset(
    {"starting", *STEP_STATUS.values(), "repairing", "repeating", "stopping", "orphan training"}
)

StepState = Literal["done", "running", "waiting", "failed", "pending"]

#: what is said where no two runs tell what another seed does
NOT_MEASURED = "seed noise not measured"
#: `VersionView.state` of a model from elsewhere, scored beside the versions
EXTERNAL = "external"


class StepView(NamedTuple):
    number: int
    name: str
    state: StepState
    seconds: float | None = None


class VersionView(NamedTuple):
    """One row of the version history, or of a model from elsewhere."""

    #: or the model's name
    version: str
    #: "done", "training", "evaluating", "drafting", "waiting", "failed", "stopped", "pending", or `EXTERNAL`
    state: str
    #: the primary metric; None before the evaluation, or when it was not a number
    value: float | None = None
    metrics: Mapping[str, float | None] = {}
    delta_previous: float | None = None
    delta_best: float | None = None
    verdict_previous: str | None = None
    verdict_best: str | None = None
    #: what the verdicts know of the noise of training, in words; empty where there is no verdict
    seed_noise: str = ""
    #: runs of its script with other seeds, its own among them, and over these the primary metric's mean and spread
    runs: int = 1
    mean: float | None = None
    spread: float | None = None
    #: the change that made it; "baseline" for the first
    action: str = ""
    reason: str = ""
    base: str | None = None
    is_best: bool = False
    attempts: int = 0
    created_at: str | None = None
    latency_ms: float | None = None
    train_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    #: why it has no rank among the others; empty where it has
    not_ranked: str = ""
    #: what answered -> share of the samples, where an evaluation says so; more than one: it is mixed, and not ranked
    served_by: Mapping[str, float] = {}


class Progress(NamedTuple):
    """Of the training that runs now, from the live callback."""

    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    samples_per_second: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None
    metrics: Mapping[str, float] = {}


class Snapshot(NamedTuple):
    """All that a screen needs to say where the loop stands."""

    root: Path
    status: Status
    #: why it is so, for "failed", "not ready", "stopped", "repairing"
    reason: str = ""
    fix: str = ""
    version: str | None = None
    step: str | None = None
    #: seconds since the status began
    since_seconds: float | None = None
    max_versions: int = 10
    dataset_id: str | None = None
    primary_metric: str | None = None
    higher_is_better: bool = True
    #: a runner holds the lock
    running: bool = False
    autopilot: bool = False
    steps: tuple[StepView, ...] = ()
    versions: tuple[VersionView, ...] = ()
    progress: Progress | None = None
    review: Review | None = None
    #: output of the script that runs now or ran last
    log: Path | None = None
    #: locked settings: key -> value
    locks: tuple[tuple[str, str], ...] = ()
    #: plain words on rules and instruction: "no instruction: no constraint of that kind"
    rules_notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: folder of the newest report
    report: Path | None = None
