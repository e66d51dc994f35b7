"""`results.jsonl`: what came of an experiment's runs. One line a finished cell, and one a run that failed for good.

The runner appends, everybody reads; lines are never changed, and the last one about the same thing counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from progtrain.engine import metrics
from progtrain.engine.experiment import result_lines
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.files import append_line
from progtrain.engine.schema import Metric

if TYPE_CHECKING:
    from progtrain.engine.experiment.workers.base import Score


class Row(BaseModel):
    """A line. Keys that a later version writes besides are kept."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    experiment: str
    run: str
    #: runs that differ in the seed alone have one
    point: str
    type: Literal["trained", "control", "eval-only"] = "trained"
    seed: int | None = None
    #: what varies
    parameters: dict[str, Any] = {}
    #: those that the training had, from its hparams where they are known
    settings: dict[str, Any] = {}
    #: where an attempt differs from the plan, such as half the batch: setting -> value
    changes: dict[str, Any] = {}
    #: None: the line is about the whole run, which failed before its evaluations
    task: str | None = None
    #: worker of the evaluation
    tool: str | None = None
    epoch: str | int | None = None
    state: Literal["done", "failed", "cancelled"]
    #: why it is not done
    cause: str = ""
    #: each has, besides, on how many `samples` it was measured; see `measured`
    metrics: list[Metric] = []
    evaluator_sha256: str = ""
    data_sha256: str = ""
    #: path in the experiment's folder; empty where the tool tells of no samples
    per_sample: str = ""
    #: starts of the training
    attempts: int = 0
    #: of the training, all attempts together
    seconds: float | None = None
    #: of a search: after which epoch its training was ended early
    pruned: int | None = None
    #: most that it held, in bytes: of the machine, and of one device
    memory: int | None = None
    gpu_memory: int | None = None
    #: optimizer steps, and samples that were trained on, all epochs together
    steps: int | None = None
    samples: int | None = None
    #: what was expected of it: `seconds`, `memory`, as `plan.estimates` had them
    estimate: dict[str, Any] = {}
    executor: str = "local"
    #: as the training saw it: "cpu", "NVIDIA H100"
    device: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    plan_sha256: str = ""


def measured(scores: Iterable[Score]) -> list[Metric]:
    """The numbers of an evaluation as a row keeps them."""
    kept = {score.metric: score for score in scores}
    return [
        Metric.model_validate(
            {
                "name": name,
                "value": metrics.finite(s.value),
                "higher_is_better": s.higher_is_better,
                "samples": s.samples,
            }
        )
        for name, s in kept.items()
    ]


def samples_of(metric: Metric) -> int:
    """How many it was measured on; 0 where nobody said."""
    samples: Any = (metric.model_extra or {}).get("samples")
    return samples if isinstance(samples, int) else 0


def append(folder: ExperimentFolder, row: Row) -> None:
    """Raises `StorageError` when the disk is full or cannot be written."""
    append_line(folder.results, row.model_dump(mode="json"))


def read(folder: ExperimentFolder) -> list[Row]:
    """In the order in which they came first; empty where there are none yet. A torn last line is left out."""
    return read_file(folder.results)


def read_file(path: Path) -> list[Row]:
    return result_lines.following(path, _row)()


def following(folder: ExperimentFolder) -> Callable[[], list[Row]]:
    """As `read`, each time it is asked: it then reads no more than what is new."""
    return result_lines.following(folder.results, _row)


def _row(line: Mapping[str, Any]) -> Row | None:
    try:
        return Row.model_validate(line)
    except ValidationError:
        return None  # not of this version, or damaged: what is right beside it still counts
