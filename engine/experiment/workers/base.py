"""What a worker is: all that stages and runner know of a tool.

To add a tool, write one module here with one subclass of `TrainingWorker` or `EvaluationWorker`
(docs/contributing_worker.md).
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.clock import Clock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import workers
from progtrain.engine.experiment.expand import Cell, Run
from progtrain.engine.experiment.folder import CellFolder, ExperimentFolder, RunFolder
from progtrain.engine.experiment.plan import Plan, Task
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.script.names import nearest
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.workspace import JobFolder, Workspace


@dataclass(frozen=True)
class Experiment:
    """What every worker is given: the plan, and the workspace that it is in."""

    ws: Workspace
    rules: Rules
    dataset_id: str
    folder: ExperimentFolder
    plan: Plan
    clock: Clock
    #: interpreter of the tools and the user's scripts
    python: str

    def path(self, stated: str) -> Path:
        """A path of the plan: in the workspace, unless it is absolute."""
        return self.ws.root / Path(stated).expanduser()


@dataclass(frozen=True)
class Piece:
    """One run, as it is to be trained or evaluated."""

    experiment: Experiment
    run: Run
    #: evaluation: which
    cell: Cell | None = None
    #: settings that this attempt has otherwise than the plan, after it ran out of memory
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> RunFolder:
        return self.experiment.folder.run(self.run.name)

    @property
    def cell_folder(self) -> CellFolder:
        assert self.cell is not None
        return self.folder.cell(self.cell.name)

    @property
    def settings(self) -> dict[str, Any]:
        """Those that this attempt has."""
        return {**self.run.settings, **self.changes}


class Ended(NamedTuple):
    """What came of an attempt whose job has ended."""

    #: None: it is whole and valid
    failure: Failure | None = None
    #: files whose hashes its mark keeps
    outputs: Sequence[Path] = ()
    #: what a reader should know
    notes: Sequence[str] = ()


class Score(NamedTuple):
    """One number of an evaluation."""

    metric: str
    value: float | None
    #: how many it was measured on
    samples: int
    higher_is_better: bool


class Worker(ABC):
    """Does one thing to one tool. It keeps nothing in memory: all it knows stands in files."""

    #: as the plan's `tools` name it
    name: str
    #: what the tool is, in a line, for help and docs
    about: str

    @abstractmethod
    def problems(self, experiment: Experiment) -> list[InputError]:
        """What keeps the plan from being carried out by this tool, before anything is written: a setting that it does
        not have, a file or package that is missing."""

    @abstractmethod
    def files(self, piece: Piece) -> dict[Path, str]:
        """What is to be written for a run or cell: path -> text. Writes nothing. Raises `InputError`."""

    def links(self, piece: Piece) -> dict[Path, Path]:
        """Links to make besides: path -> where it leads."""
        return {}

    @abstractmethod
    def request(self, piece: Piece, attempt: JobFolder, *, resume: bool = False) -> JobRequest:
        """What an executor is to run. `resume`: an attempt before this one was cut short and left what can be gone on
        from; else what it left is set aside."""

    @abstractmethod
    def ended(self, piece: Piece, attempt: JobFolder, state: JobState) -> Ended:
        """Looks at what an ended job left, and brings it where it belongs."""


class TrainingWorker(Worker):
    @abstractmethod
    def settings(self, experiment: Experiment) -> dict[str, Any]:
        """What can vary: name -> its value in the base. Raises `InputError` where the base cannot be read."""

    def trains(self, run: Run) -> bool:
        """Whether this run is trained at all: some tools take a control as the untrained base."""
        return run.type != "eval-only"

    @abstractmethod
    def smaller(self, piece: Piece) -> dict[str, Any] | None:
        """Settings for another attempt after memory ran out on the device: half the batch, and twice the accumulation
        where the tool has one. None at a batch of one."""

    def can_resume(self, piece: Piece) -> bool:
        """Whether an attempt that was cut short left a checkpoint to go on from."""
        return False

    @abstractmethod
    def check(self, piece: Piece) -> Failure | None:
        """Whether the results of a training can be loaded, before evaluations begin. May take seconds."""


class EvaluationWorker(Worker):
    def for_task(self, experiment: Experiment, task: Task) -> list[InputError]:
        """What is wrong with a task of the plan."""
        return []

    @abstractmethod
    def scores(self, piece: Piece) -> list[Score]:
        """Of a finished cell; its samples stand in `piece.cell_folder.per_sample`, where the tool tells of them."""


@cache
def _all() -> dict[str, Worker]:
    found: dict[str, Worker] = {}
    for module in pkgutil.iter_modules(workers.__path__):
        if module.name != "base":
            made = importlib.import_module(f"{workers.__name__}.{module.name}").WORKERS
            found |= {f"{_kind(worker)} {worker.name}": worker for worker in made}
    return found


def _kind(worker: Worker) -> str:
    return "training" if isinstance(worker, TrainingWorker) else "evaluation"


def training(name: str) -> TrainingWorker:
    """Raises `InputError` for a tool that nobody works with."""
    found = _named("training", name)
    assert isinstance(found, TrainingWorker)
    return found


def evaluation(name: str) -> EvaluationWorker:
    """Raises `InputError` for a tool that nobody works with."""
    found = _named("evaluation", name)
    assert isinstance(found, EvaluationWorker)
    return found


def known(kind: str) -> list[str]:
    """`kind`: "training" or "evaluation"."""
    return [worker.name for worker in _all().values() if _kind(worker) == kind]


def _named(kind: str, name: str) -> Worker:
    if worker := _all().get(f"{kind} {name}"):
        return worker
    near = nearest(name, known(kind), 1)
    fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(known(kind))}"
    raise InputError(f"no worker does {kind} with {name}", place=f"key tools.{kind}", fix=fix)
