"""Pydantic models of the files that the engine reads and writes. `docs/file_formats.md` describes each."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_serializer

from progtrain.advisor.interface import Candidate
from progtrain.engine import metrics
from progtrain.engine.complaints import first_problem
from progtrain.engine.files import read_json
from progtrain.engine.workspace import version_number

StepName = Literal["initialize", "train", "evaluate", "analyze", "extract", "check", "author", "report"]
QuestionKind = Literal["audit", "repair", "attempts", "review"]

#: what a review shows of a candidate
_CARD = {"id", "change", "why", "reasons", "risk", "rank", "probability", "base"}
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,199}", re.ASCII)


#: it stands alone on a line that a cluster reads
Word = Annotated[str, Field(pattern=r"^[^\s#\"'\\]+$")]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class Metric(_File):
    # an evaluator may say more than is asked
    model_config = ConfigDict(extra="allow", defer_build=True)

    name: str
    #: None: not a number in this evaluation
    value: float | None
    higher_is_better: bool


class EvalScore(_File):
    """`eval_score.json`. Keys of the evaluator's own are kept."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    dataset_id: str
    created_at: datetime
    #: 0: nothing was measured, the script reported it
    num_samples: int = Field(ge=0)
    metrics: list[Metric] = Field(min_length=1)
    latency_ms: float | None

    def metric(self, name: str) -> Metric | None:
        """Under any spelling of its name."""
        return metrics.value_of(name, {m.name: m for m in self.metrics})


class Protocol(BaseModel):
    """`_eval/protocol.json`: scores are comparable where evaluator, data and seed agree."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    evaluator_sha256: str
    data_sha256: str
    checkpoint_sha256: str
    script_sha256: str
    seed: int
    split: str
    num_samples: int
    created_at: datetime
    task: str
    class_names: list[str] | None = None
    #: what answered -> share of the samples
    served_by: Any = None

    def comparable(self, other: Protocol) -> bool:
        mine = (self.evaluator_sha256, self.data_sha256, self.seed, self.split)
        return mine == (other.evaluator_sha256, other.data_sha256, other.seed, other.split)


class Mark(_File):
    """`.progtrain/marks/v003/train.json`: written last, it says that a step is done (rule of resuming)."""

    step: StepName
    version: str
    finished_at: datetime
    seconds: float
    #: path in the workspace -> sha256
    outputs: dict[str, str]
    #: what the step was done with: script, rules, evaluator ... name -> sha256
    inputs: dict[str, str] = Field(default_factory=dict)
    #: True: outputs were found finished and valid without a mark, and taken over
    adopted: bool = False


def _file_name(value: str) -> str:
    """What comes from a file that others may have written leads to no place outside its folder."""
    if not _NAME.fullmatch(value) or value == "stop":
        raise ValueError("a name of letters, digits, - and _ belongs here")
    return value


def _version(value: str) -> str:
    if version_number(value) is None:
        raise ValueError("a version such as v001 belongs here")
    return value


QuestionId = Annotated[str, AfterValidator(_file_name)]


class Decision(_File):
    """`.progtrain/inbox/{question}.json`: the user's answer to one question."""

    question: QuestionId
    #: accept: what is proposed; choose: another candidate; edit: with these texts; redraft: ask the advisor
    #: again; skip: do without (a repair or a fix that is not wanted); retry: try the same again; stop
    answer: Literal["accept", "choose", "edit", "redraft", "skip", "retry", "stop"]
    candidate: str | None = None
    #: version to build on, when it is not the one that `branch_from` gives
    base: str | None = None
    analysis: str | None = None
    action: str | None = None
    hint: str | None = None
    #: sha256 of the diff that was on screen: no other one is accepted with this answer
    shown: str | None = None
    by: str = "user"
    at: datetime


class Review(_File):
    """`.progtrain/drafts/v003/review.json`: the open question with all that is needed to answer it."""

    question: QuestionId
    kind: QuestionKind
    version: Annotated[str, AfterValidator(_version)]
    title: str
    #: what is asked, in a few lines
    text: str = ""
    #: unified diff of what would be written
    diff: str = ""
    #: file that the diff is about
    target: str = ""
    #: decision answers that make sense here
    answers: list[str]
    # for kind "review"
    chosen: str | None = None
    base: str | None = None
    candidates: list[Candidate] = Field(default_factory=list)
    author: str = ""
    notes: list[str] = Field(default_factory=list)
    #: what was checked before showing it: "compiles", "one change, as declared", "rules hold"
    checks: list[str] = Field(default_factory=list)
    #: why the chosen action cannot be applied; empty when it can
    problems: list[str] = Field(default_factory=list)
    #: lines of the instruction that nothing enforces
    not_enforced: list[str] = Field(default_factory=list)
    #: of a data action: its rows, as `drafting.addition.shown` has them
    addition: dict[str, Any] | None = None

    @field_serializer("candidates")
    def _as_cards(self, candidates: list[Candidate]) -> list[dict[str, Any]]:
        return [candidate.model_dump(mode="json", include=_CARD) for candidate in candidates]


class Resources(_File):
    """What a job asks a cluster for. On this machine, where nobody hands out anything, it counts for nothing."""

    # as for the request that it is part of
    model_config = ConfigDict(extra="ignore", defer_build=True)

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    gpus: int = Field(default=0, ge=0)
    cpus: int | None = Field(default=None, ge=1)
    memory_mb: int | None = Field(default=None, ge=1)
    #: None: the time limit of the request, with some minutes more; without one what the partition gives
    minutes: int | None = Field(default=None, ge=1)
    #: lines of shell that run before, in the folder of the request: `module load cuda`
    setup: list[str] = Field(default_factory=list)
    #: what runs the guard on a node: an interpreter with progtrain; None: the one that submits
    python: str | None = None
    #: nodes that it must not run on
    exclude: list[Word] = Field(default_factory=list)
    #: who gets mail from the cluster when the job fails or has used most of its time
    mail: Word | None = None
    #: whether the cluster may end it and start it again later
    preemptible: bool = False
    #: how long before its time limit the script is asked to save and stop
    save_seconds: int = Field(default=60, ge=1)
    #: where `slurm-JOB.out` is to lie; None: in the job's own folder
    logs: str | None = None
    #: further options of the cluster's own, each as it stands after `#SBATCH`
    options: list[str] = Field(default_factory=list)


class JobRequest(_File):
    """`.progtrain/jobs/*/job.json`: what a guard is to run."""

    # progtrain may be upgraded while a loop runs: the guard that then starts knows more, or less, than the runner
    model_config = ConfigDict(extra="ignore", defer_build=True)

    name: str
    command: list[str]
    cwd: str
    #: added to the environment
    environment: dict[str, str] = Field(default_factory=dict)
    timeout_seconds: float | None = None
    #: import statements with which the script begins, and what it sets up between them: it may be started from an
    #: interpreter that has run them already
    imports: list[str] = Field(default_factory=list)
    #: folders that it adds to `sys.path` meanwhile, relative to `cwd` or not
    module_folders: list[str] = Field(default_factory=list)
    #: folders and files that it can write to, besides one for temporary files; None: all that its user can
    writable: list[str] | None = None
    resources: Resources = Field(default_factory=Resources)


class JobState(_File):
    """`.progtrain/jobs/*/state.json`, written by whoever watches over the script."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    #: "starting" is how guards of an earlier version said "pending"
    status: Literal["pending", "starting", "running", "ended", "unreachable"]
    #: for people: it may change while the job runs
    host: str
    #: the guard's own process, by which start of its machine, its number and when it began, in seconds after that start
    boot: str = ""
    pid: int
    create_time: float
    #: of the guard: all that it has started has it in its environment
    id: str = ""
    #: which folder it was begun in: device, inode and path
    place: str = ""
    script_pid: int | None = None
    script_began: float | None = None
    #: where the request has imports: "warm", or why the script was not started from a process that had run them
    started: str = ""
    started_at: datetime
    ended_at: datetime | None = None
    #: seconds from one to the other by a clock that nobody sets and that stands still while the machine sleeps; None:
    #: an earlier version did not tell
    took: float | None = None
    #: of the script; negative: ended by that signal
    exit_code: int | None = None
    #: "time limit", "cancelled", "could not start", "lost": why it did not end by itself; "go on later": it was asked
    #: to save because its time was nearly over, and did; "replaced": a newer attempt was named to it
    ended_by: str | None = None
    #: processes of the tree that were still there afterwards and were ended
    leftovers: int = 0
    #: most bytes that one process of the tree held; None: not measured
    memory: int | None = None
    #: on a cluster: the job's id there, its node, and how often it was started again under that id
    job: str | None = None
    node: str | None = None
    restarts: int = 0

    @property
    def seconds(self) -> float:
        if self.took is not None:
            return self.took
        return 0.0 if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()


_Model = TypeVar("_Model", bound=BaseModel)


def load(path: Path, model: type[_Model]) -> _Model:
    """Reads and validates a JSON file. Raises `InputError` with the key that is wrong."""
    return validate(read_json(path), model, path)


def validate(data: Any, model: type[_Model], path: Path | str) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise first_problem(error, path) from error
