"""Every path of an experiment. Nobody else joins its file names."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.script.names import nearest
from progtrain.engine.workspace import Folder, JobFolder, Workspace, inside

_ATTEMPT = re.compile(r"(.+)-(\d+)")


class CellFolder(Folder):
    """`experiments/cap/rank8/eval/logs/caps_best/`: one evaluation of one run."""

    score = inside("path", "eval_score.json")
    per_sample = inside("path", "per_sample.csv")
    #: what was evaluated how: hashes of evaluator, data and checkpoint
    protocol = inside("path", "protocol.json")
    config = inside("path", "eval.yaml")


class RunFolder(Folder):
    """`experiments/cap/rank8/`: one setting of the variables."""

    #: of scripts: a link to the one that is run
    script = inside("path", "train.py")
    setup = inside("path", "setup_finetune.yaml")
    recipe = inside("path", "finetune.yaml")
    batch_script = inside("path", "finetune.slurm")
    artifacts = inside("path", "artifacts")
    attempts = inside("path", "attempts")
    marks = inside("path", "marks")
    evaluations = inside("path", "eval")
    #: where a script finds what it would find in the user's workspace
    workspace = inside("path", "workspace")
    #: the parameters it was scaffolded with, and a hash of what they come from
    scaffolded = inside("path", "run.json")

    @cached_property
    def names(self) -> tuple[str, str, str]:
        """`scaffolded`, `attempts` and `marks` as text: of hundreds of runs paths take as long to make as files to
        read.
        """
        path = os.fspath(self.path)
        return f"{path}/run.json", f"{path}/attempts", f"{path}/marks"

    def attempt(self, what: str, number: int) -> JobFolder:
        """`what`: "train", or the name of a cell."""
        return JobFolder(self.attempts / f"{what}-{number}")

    def attempts_at(self, what: str) -> list[int]:
        """The numbers of those that were begun, in order."""
        if not self.attempts.is_dir():
            return []
        found = (match for path in self.attempts.iterdir() if (match := _ATTEMPT.fullmatch(path.name)))
        return sorted(int(match[2]) for match in found if match[1] == what)

    def changes(self, what: str, number: int) -> Path:
        """In which settings an attempt differs from the plan, and why."""
        return self.attempts / f"{what}-{number}.changes.json"

    def failure(self, what: str, number: int) -> Path:
        """What came of an attempt that brought no results, and whether another one is to follow."""
        return self.attempts / self.failure_name(what, number)

    @staticmethod
    def failure_name(what: str, number: int) -> str:
        return f"{what}-{number}.failure.json"

    def again(self, what: str, number: int) -> Path:
        """A person's word that a failed attempt is to be followed by another one."""
        return self.attempts / f"{what}-{number}.again.json"

    def pruned(self, number: int) -> Path:
        """A search's word that this attempt at the training was ended early."""
        return self.attempts / f"train-{number}.pruned.json"

    def mark(self, what: str) -> Path:
        """Written last: it says that this is done."""
        return Path(self.mark_name(what))

    def mark_name(self, what: str) -> str:
        return f"{self.names[2]}/{what}.json"

    def cell(self, name: str) -> CellFolder:
        return CellFolder(self.evaluations / "logs" / name)

    def cell_script(self, name: str) -> Path:
        return self.evaluations / f"{name}.slurm"


class ExperimentFolder(Folder):
    """`experiments/cap/`."""

    plan = inside("path", "experiment.yaml")
    #: for people; never read back
    summary = inside("path", "experiment_summary.md")
    #: one line of JSON a finished run or cell
    results = inside("path", "results.jsonl")
    analysis = inside("path", "analysis")
    results_table = inside("analysis", "results.csv")
    comparisons = inside("analysis", "comparisons.csv")
    report = inside("analysis", "report.md")
    plots = inside("analysis", "plots")
    lock = inside("path", ".lock")
    inbox = inside("path", "inbox")
    #: how the runner's jobs were when it looked last, and when that was
    seen = inside("path", "seen.json")
    #: what happened when, a line of JSON each
    journal = inside("path", "journal.jsonl")
    runner_log = inside("path", "runner.log")

    @property
    def name(self) -> str:
        return self.path.name

    def run(self, name: str) -> RunFolder:
        return RunFolder(self.path / name)

    def cancelled(self, run: str) -> Path:
        """A person's word that a run is not to go on; it is taken back when the run is resumed."""
        return self.inbox / f"cancel-{run}.json"

    def log(self, what: str) -> Path:
        """Of a stage or a worker: `what` is "run-experiment", "scaffold-peft"."""
        return self.path / f"{what}.log"


def folder(ws: Workspace, name: str) -> ExperimentFolder:
    return ExperimentFolder(ws.experiments / name)


def names(ws: Workspace) -> list[str]:
    """Experiments that have a plan."""
    return sorted(path.parent.name for path in ws.experiments.glob("*/experiment.yaml"))


def existing(ws: Workspace, name: str) -> ExperimentFolder:
    """Raises `InputError` where there is none of that name."""
    found = folder(ws, name)
    if found.plan.is_file():
        return found
    known = names(ws)
    near = nearest(name, known, 1) or known[:5]
    fix = f"did you mean {' or '.join(near)}?" if near else f"progtrain experiment design {name} writes its plan"
    raise InputError(f"there is no experiment {name}", file=found.plan, fix=fix)
