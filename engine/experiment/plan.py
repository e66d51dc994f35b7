"""`experiment.yaml`: the plan of an experiment, read whole before anything of it is done.

Nothing in it is passed over in silence: a key that nobody knows is refused, with the one that was probably meant.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from progtrain.engine.complaints import first_problem, in_words
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.files import read_text
from progtrain.engine.jobs import sizes
from progtrain.engine.script.names import nearest
from progtrain.engine.yaml_text import number, read_mapping

Kind = Literal["grid", "list", "random", "hpo", "repeats", "candidates"]
#: trained: with its parameters; control: the base as it is; eval-only: a checkpoint that is there
RunType = Literal["trained", "control", "eval-only"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_MEMORY = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?B?)?", re.IGNORECASE)
_TIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name of letters, digits and - _ . + belongs here: it is a folder's")
    return value


def _size(value: str) -> str:
    if value != "auto" and not _MEMORY.fullmatch(value):
        raise ValueError('"auto", or a size such as 16G belongs here')
    return value


def _duration(value: str) -> str:
    if value != "auto" and not _TIME.fullmatch(value):
        raise ValueError('"auto", or a time as Slurm writes it belongs here: minutes, 04:30:00 or 2-12:00:00')
    return value


def _option(value: str) -> str:
    if reason := sizes.refused_option(value):
        raise ValueError(reason)
    return value


def each_once(value: tuple[int, ...]) -> tuple[int, ...]:
    """Seeds. Raises `ValueError`."""
    if len(set(value)) < len(value):
        raise ValueError("a seed is there twice")
    return value


Name = Annotated[str, AfterValidator(_name)]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2, max_length=99), AfterValidator(each_once)
]
#: of a setting; YAML 1.1 reads 1e-5 as text
Value = Annotated[Any, BeforeValidator(number)]


class Keyed(BaseModel):
    """A part of a file whose keys are all known: another one is refused, with the nearest."""

    model_config = ConfigDict(extra="forbid", defer_build=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data if isinstance(data, dict) else ():
            if key not in known:
                meant = nearest(str(key), known, 1)
                hint = f"did you mean {meant[0]}?" if meant else f"known are {', '.join(known)}"
                raise ValueError(f"there is no key {key!r} here; {hint}")
        return data


class Question(Keyed):
    """Key `experiment`: what is asked."""

    name: Name
    question: str = ""
    hypothesis: str = ""
    kind: Kind = "grid"


class Tools(Keyed):
    """Which workers do the work: names of modules in `workers/`."""

    training: str | None = "lightning"
    evaluation: list[str] = ["progtrain"]


class Base(Keyed):
    """What the runs are variations of: a script, a tool's recipe, or a command."""

    #: of the workspace; `02_train_v003.py` brings its config files and modules with it
    script: str | None = None
    recipe: str | None = None
    #: words of a command; `{rank}` stands for a parameter, `{artifacts}` for the run's folder of results
    command: list[str] | None = None
    #: of a recipe: `path` of a local model folder, and what the tool asks besides
    model: dict[str, Any] = {}
    #: of a recipe: `train` and `valid`, files of the workspace
    data: dict[str, Any] = {}


class Range(Keyed):
    """Where kind `random` or `hpo` may draw a value of a variable, both ends included."""

    low: Annotated[float, BeforeValidator(number)]
    high: Annotated[float, BeforeValidator(number)]
    log: bool = False
    #: whole numbers only
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log is true")
        return self


def _variable(held: Any) -> Any:
    """Values to go through, or a range to draw from."""
    if isinstance(held, list) and held:
        return number(held)
    if not isinstance(held, dict):
        raise ValueError("a list of values belongs here, or a range: {low: 1e-5, high: 1e-2, log: true}")
    try:
        return Range.model_validate(held)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(": ".join((*map(str, first["loc"]), in_words(first)))) from error


#: a list of values, or a `Range`
Variable = Annotated[Any, BeforeValidator(_variable)]


class AddedRun(Keyed):
    """A run besides those that the variables make."""

    name: Name
    type: RunType = "trained"
    parameters: dict[str, Value] = {}
    #: eval-only: what is evaluated, a path in the workspace
    checkpoint: str | None = None
    #: kind candidates: the one change, as `action-extract.md` has it
    action: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _whole(self) -> AddedRun:
        if (self.type == "eval-only") != (self.checkpoint is not None):
            raise ValueError("a checkpoint belongs to a run of type eval-only, and to no other")
        return self


class Runs(Keyed):
    add: list[AddedRun] = []
    #: names of runs that are not wanted
    skip: list[str] = []


class Resources(Keyed):
    """Where and with what each run works."""

    executor: Literal["local", "slurm"] = "local"
    partition: str | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    cpus: Annotated[int, Field(ge=1)] = 1
    memory: Annotated[str, BeforeValidator(str), AfterValidator(_size)] = "auto"
    time: Annotated[str, BeforeValidator(str), AfterValidator(_duration)] = "auto"
    account: str | None = None
    #: shell lines before the run, such as `module load cuda`
    setup: list[str] = []
    #: more options for sbatch, as they stand after #SBATCH
    sbatch: list[Annotated[str, AfterValidator(_option)]] = []
    python: str | None = None
    #: jobs that may wait in Slurm's queue or run at once
    max_queued: Annotated[int, Field(ge=1)] = 20
    #: local: runs that train at once
    parallel: Annotated[int, Field(ge=1)] = 1
    #: Slurm may take the node away and start the job again
    preemptible: bool = False
    #: seconds between two looks at Slurm's queue
    poll: Annotated[float, Field(ge=1, le=600)] = 30


class Task(Keyed):
    """One way of evaluating."""

    name: Name
    #: worker; by default the first of `tools.evaluation`
    tool: str | None = None
    script: str | None = None
    command: list[str] | None = None
    scorers: list[str] = []
    #: what the tool is given besides
    options: dict[str, Value] = {}


class Row(Keyed):
    """Which runs are evaluated by which tasks; `*` in the name of a run stands for anything."""

    run: str = "*"
    tasks: list[str]
    #: "best", "last", or the number of an epoch whose checkpoint the tool keeps
    epochs: list[Literal["best", "last"] | int] = ["best"]


class Evaluation(Keyed):
    tasks: list[Task] = []
    #: without one: every run by every task
    matrix: list[Row] = []
    #: all: once every training has ended; each: as soon as its own has
    when: Literal["all", "each"] = "all"


class Retry(Keyed):
    out_of_memory: Literal["halve", "fail"] = "halve"
    #: how often a run is started, at most; going on after a time limit does not count
    attempts: Annotated[int, Field(ge=1)] = 3
    #: of those, how often because a node was lost
    lost: Annotated[int, Field(ge=0)] = 2
    time_limit: Literal["resume", "fail"] = "resume"


class Search(Keyed):
    """Kind `hpo`."""

    metric: str
    trials: Annotated[int, Field(ge=1)] = 20
    parallel: Annotated[int, Field(ge=1)] = 1
    sampler: Literal["tpe", "random"] = "tpe"
    prune: Literal["asha"] | None = None
    #: None: as the table of well-known metrics says
    higher_is_better: bool | None = None
    #: with how many seeds the winner is confirmed
    confirm: Annotated[int, Field(ge=1)] = 3


class Notify(Keyed):
    mail: str | None = None
    webhook: str | None = None
    bell: bool = True
    on: list[Literal["ended", "failed", "waiting"]] = ["ended", "failed", "waiting"]


class Plan(Keyed):
    experiment: Question
    tools: Tools = Tools()
    base: Base = Base()
    variables: dict[str, Variable] = {}
    #: groups of variables that move together instead of crossing
    zip: list[list[str]] = []
    #: conditions that a point must meet, such as `rank * learning_rate < 1`
    where: list[str] = []
    #: kind random: how many
    points: Annotated[int, Field(ge=1)] | None = None
    #: settings that all runs share
    controls: dict[str, Value] = {}
    #: each point is trained with so many seeds, from `controls.seed` on
    repeats: Annotated[int, Field(ge=1)] = 1
    #: with these instead; `repeats` counts them then
    seeds: Seeds | None = None
    runs: Runs = Runs()
    resources: Resources = Resources()
    #: time, memory and size of a run, each with its basis; design writes it
    estimates: dict[str, Any] = {}
    evaluation: Evaluation = Evaluation()
    retry: Retry = Retry()
    search: Search | None = None
    notify: Notify = Notify()

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, told: Any) -> Any:
        seeds = told.get("seeds") if isinstance(told, dict) else None
        return {**told, "repeats": len(seeds)} if isinstance(seeds, list | tuple) else told

    @property
    def tasks(self) -> list[Task]:
        """As planned; where none is, one for each worker of `tools.evaluation`."""
        return self.evaluation.tasks or [Task(name=tool, tool=tool) for tool in self.tools.evaluation]

    def tool_of(self, task: Task) -> str:
        return task.tool or next(iter(self.tools.evaluation), "progtrain")


def read(folder: ExperimentFolder) -> Plan:
    """Raises `InputError` with the key that is wrong."""
    return parse(read_text(folder.plan), folder)


def parse(text: str, folder: ExperimentFolder) -> Plan:
    try:
        plan = Plan.model_validate(read_mapping(text, folder.plan))
    except ValidationError as error:
        raise first_problem(error, folder.plan) from error
    for refuse in (_refuse_name, _refuse_base, _refuse_variables, _refuse_kind):
        refuse(plan, folder)
    return plan


def _wrong(folder: ExperimentFolder, key: str, reason: str, fix: str) -> InputError:
    return InputError(reason, file=folder.plan, place=f"key {key}", fix=fix)


def _refuse_name(plan: Plan, folder: ExperimentFolder) -> None:
    if plan.experiment.name != folder.path.name:
        reason = f"the experiment is called {plan.experiment.name}, its folder {folder.path.name}"
        raise _wrong(folder, "experiment.name", reason, "give both one name")


def _refuse_base(plan: Plan, folder: ExperimentFolder) -> None:
    given = [name for name in ("script", "recipe", "command") if getattr(plan.base, name)]
    needed = plan.tools.training is not None
    if len(given) > 1 or (needed and not given):
        found = f"found {' and '.join(given)}" if given else "found none"
        reason = f"one of script, recipe and command says what is trained; {found}"
        raise _wrong(folder, "base", reason, "name one, such as `script: 02_train_v001.py`")


def _refuse_variables(plan: Plan, folder: ExperimentFolder) -> None:
    for name in plan.variables:
        if name in plan.controls:
            reason = f"{name} is a variable and a control"
            raise _wrong(folder, f"variables.{name}", reason, "a setting varies, or it is the same for all runs")
        if plan.repeats > 1 and name == "seed":
            raise _wrong(folder, "variables.seed", "repeats give each run its seed", "leave one of both out")
    for at, group in enumerate(plan.zip):
        missing = [name for name in group if name not in plan.variables]
        if missing or len(group) < 2:
            reason = f"{missing[0]} is no variable" if missing else "a group has at least two variables"
            raise _wrong(folder, f"zip[{at}]", reason, f"variables are {', '.join(plan.variables) or 'none'}")


def _refuse_kind(plan: Plan, folder: ExperimentFolder) -> None:
    kind = plan.experiment.kind
    ranges = [name for name, values in plan.variables.items() if isinstance(values, Range)]
    if ranges and kind not in ("random", "hpo"):
        reason = f"{ranges[0]} is a range, and a {kind} has values"
        raise _wrong(folder, f"variables.{ranges[0]}", reason, "list its values, or let kind be random or hpo")
    if kind == "random" and plan.points is None:
        raise _wrong(folder, "points", "kind random needs to know how many points to draw", "write `points: 20`")
    if kind != "random" and plan.points is not None:
        raise _wrong(folder, "points", f"points belong to kind random, this is a {kind}", "take the key out")
    if (kind == "hpo") != (plan.search is not None):
        reason = "kind hpo and key search belong together"
        raise _wrong(folder, "search", reason, "write `search: {metric: val_loss, trials: 20}`, or another kind")
    if kind == "candidates" and (not plan.base.script or plan.variables):
        reason = "the runs of kind candidates are a version's script with one action each"
        raise _wrong(folder, "base.script", reason, "name `script: 02_train_v003.py`, and leave variables out")
    if kind != "candidates" and any(run.action for run in plan.runs.add):
        raise _wrong(folder, "runs.add", "an action belongs to kind candidates", "give parameters instead")
