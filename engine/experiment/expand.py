"""From a plan to its runs and their evaluations. Each kind of plan has one function."""

from __future__ import annotations

import ast
import itertools
import math
import operator
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan, Range, RunType, Task
from progtrain.engine.files import sha256_text, try_read_json
from progtrain.engine.script.names import nearest

#: before it the settings of each run, where nothing else is said
_FIRST_SEED = 42
_TAKEN = frozenset({"analysis", "inbox"})
#: at most so many runs are made of one plan: more are a typing error
MOST_RUNS = 10_000
#: characters of a name: a seed and the names of jobs come behind it
_LONGEST = 100
_TRIAL = re.compile(r"trial(\d{3,})(?:_seed(\d+))?")


class Run(NamedTuple):
    """One setting of the variables, with one seed."""

    name: str
    type: RunType
    #: what varies: name -> value, in the order of the plan
    parameters: Mapping[str, Any]
    #: those, and what all runs share
    settings: Mapping[str, Any]
    #: runs that differ in the seed alone have one point
    point: str
    seed: int | None = None
    checkpoint: str | None = None
    action: Mapping[str, Any] | None = None


class Cell(NamedTuple):
    """One evaluation of one run."""

    run: str
    task: Task
    epoch: str | int

    @property
    def name(self) -> str:
        return f"{self.task.name}_{self.epoch if isinstance(self.epoch, str) else f'epoch{self.epoch}'}"


def runs(plan: Plan, folder: ExperimentFolder) -> list[Run]:
    """All that the plan asks for; of kind hpo what its search has asked for so far.

    Raises `InputError` where it comes to none, two have one name or one setting, or `skip` matches nothing.
    """
    found = [*_varied(plan, folder), *_searched(plan, folder), *_added(plan)]
    _refuse_twins(found, folder)
    kept = _without_skipped(plan, found, folder)
    if not kept and plan.experiment.kind != "hpo":
        reason = "nothing to run: looked for points of the variables and for runs.add, found none that is left"
        raise InputError(reason, file=folder.plan, fix="give variables, or add runs; see where and runs.skip")
    return kept


def cells(plan: Plan, planned: Sequence[Run], folder: ExperimentFolder) -> list[Cell]:
    """The evaluations of these runs. Raises `InputError` where a row of the matrix matches nothing."""
    tasks = {task.name: task for task in plan.tasks}
    if not plan.evaluation.matrix:
        return [Cell(run.name, task, "best") for run in planned for task in tasks.values()]
    found: dict[tuple[str, str], Cell] = {}
    for at, row in enumerate(plan.evaluation.matrix):
        matching = [run for run in planned if fnmatchcase(run.name, row.run) or fnmatchcase(run.point, row.run)]
        if not matching and (planned or plan.experiment.kind != "hpo"):
            raise _nothing(folder, f"evaluation.matrix[{at}].run", row.run, [run.name for run in planned])
        for name in row.tasks:
            if name not in tasks:
                raise _nothing(folder, f"evaluation.matrix[{at}].tasks", name, list(tasks))
            for run, epoch in itertools.product(matching, row.epochs):
                cell = Cell(run.name, tasks[name], epoch)
                found.setdefault((run.name, cell.name), cell)
    return list(found.values())


def by_run(planned: Sequence[Run], cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Name of a run -> its evaluations, in their order."""
    found: dict[str, list[Cell]] = {run.name: [] for run in planned}
    for cell in cells:
        found[cell.run].append(cell)
    return found


def trial(plan: Plan, number: int, parameters: Mapping[str, Any]) -> Run:
    """A point that a search has asked for."""
    return _run(plan, f"trial{number:03d}", "trained", parameters)


def repeated(plan: Plan, run: Run, count: int) -> list[Run]:
    """A point again, with so many further seeds."""
    first = first_seed(plan) if run.seed is None else run.seed
    return [_seeded(run, seed) for seed in range(first + 1, first + 1 + count)]


def _seeded(run: Run, seed: int) -> Run:
    return run._replace(name=f"{run.point}_seed{seed}", seed=seed, settings={**run.settings, "seed": seed})


def _searched(plan: Plan, folder: ExperimentFolder) -> Iterator[Run]:
    """Trials and their repetitions: each stands in its folder alone."""
    if plan.experiment.kind != "hpo":
        return
    for path in sorted(folder.path.glob("trial*/run.json"), key=lambda path: path.parent.name):
        told = try_read_json(path)
        match = _TRIAL.fullmatch(path.parent.name)
        if match is None or told is None or not isinstance(told.get("parameters"), dict):
            continue
        made = trial(plan, int(match[1]), told["parameters"])
        yield _seeded(made, int(match[2])) if match[2] else made


def _varied(plan: Plan, folder: ExperimentFolder) -> Iterator[Run]:
    if plan.experiment.kind in ("hpo", "candidates"):
        return
    points = _drawn(plan) if plan.experiment.kind == "random" else product(plan, folder)
    meets = conditions(plan, folder)
    for point in points:
        if meets(point):
            yield from _repeated(plan, point)


def conditions(plan: Plan, folder: ExperimentFolder) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a point meets `where`. Raises `InputError` for a condition that is none."""
    each = [_condition(text, plan, folder, at) for at, text in enumerate(plan.where)]
    return lambda point: all(holds({**plan.controls, **point}) for holds in each)


def product(plan: Plan, folder: ExperimentFolder) -> Iterator[dict[str, Any]]:
    """The crossing of all variables; those of one group move together."""
    listed = {name: list(held) for name, held in plan.variables.items() if not isinstance(held, Range)}
    axes: list[list[dict[str, Any]]] = []
    grouped = {name: group for group in plan.zip for name in group}
    for name in listed:
        group = grouped.get(name, [name])
        if name != min(group, key=list(listed).index):
            continue
        lengths = {len(listed[member]) for member in group}
        if len(lengths) > 1:
            told = ", ".join(f"{member} has {len(listed[member])}" for member in group)
            reason = f"variables that move together have as many values each: {told}"
            raise InputError(reason, file=folder.plan, place="key zip", fix="give them as many values")
        axes.append([dict(zip(group, row, strict=True)) for row in zip(*(listed[m] for m in group), strict=True)])
    count = math.prod(len(axis) for axis in axes) * plan.repeats
    if count > MOST_RUNS:
        reason = f"{count:,} runs; more than {MOST_RUNS:,} are not meant"
        raise InputError(reason, file=folder.plan, place="key variables", fix="use kind random or hpo")
    if not axes and plan.repeats == 1 and plan.experiment.kind != "repeats":
        return
    for chosen in itertools.product(*axes):
        merged = {name: value for part in chosen for name, value in part.items()}
        yield {name: merged[name] for name in listed}


def _drawn(plan: Plan) -> Iterator[dict[str, Any]]:
    """Points drawn by the seed: the same ones each time the plan is read."""
    rng = random.Random(first_seed(plan))
    for _ in range(plan.points or 0):
        yield {name: _draw(held, rng) for name, held in plan.variables.items()}


def _draw(held: Sequence[Any] | Range, rng: random.Random) -> Any:
    if not isinstance(held, Range):
        return rng.choice(held)
    if held.log:
        return rounded(held, math.exp(rng.uniform(math.log(held.low), math.log(held.high))))
    return rounded(held, rng.uniform(held.low, held.high))


def rounded(held: Range, value: float) -> int | float:
    """Three digits: enough to tell points apart, few enough to read."""
    if held.whole:
        return min(max(round(value), math.ceil(held.low)), math.floor(held.high))
    return min(max(float(f"{value:.3g}"), held.low), held.high)


def _repeated(plan: Plan, point: Mapping[str, Any]) -> Iterator[Run]:
    base = _run(plan, name_of(point) or "base", "trained", point)
    yield from _with_seeds(plan, base)


def _with_seeds(plan: Plan, base: Run) -> Iterator[Run]:
    if base.type == "eval-only" or (plan.repeats == 1 and plan.experiment.kind != "repeats"):
        yield base
        return
    for seed in plan.seeds or range(first_seed(plan), first_seed(plan) + plan.repeats):
        yield _seeded(base, seed)


def _added(plan: Plan) -> Iterator[Run]:
    for added in plan.runs.add:
        made = _run(plan, added.name, added.type, added.parameters if added.type == "trained" else {})
        made = made._replace(checkpoint=added.checkpoint, action=added.action)
        # what is not trained comes to the same each time: a checkpoint, or the base of a recipe
        once = added.type == "eval-only" or (added.type == "control" and plan.base.recipe is not None)
        yield from [made] if once else _with_seeds(plan, made)


def _run(plan: Plan, name: str, type: RunType, parameters: Mapping[str, Any]) -> Run:
    settings = {} if type == "eval-only" else {**plan.controls, **parameters}
    seed = settings.get("seed")
    return Run(name, type, dict(parameters), settings, name, seed if isinstance(seed, int) else None)


def first_seed(plan: Plan) -> int:
    """Of repeated runs, of points that are drawn, and of a search."""
    seed = plan.controls.get("seed", _FIRST_SEED)
    return seed if isinstance(seed, int) else _FIRST_SEED


def name_of(point: Mapping[str, Any]) -> str:
    """`{"rank": 8, "learning_rate": 1e-05}` -> `"rank8_learning_rate1e-5"`. Not of any length: it is a folder's."""
    name = "_".join(f"{_plain(name)}{_plain(values.show(value))}" for name, value in point.items())
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}-{sha256_text(name)[:8]}"


def _plain(text: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.+-") else "-" for c in text)
    return kept.strip("-.") or "-"


def _refuse_twins(found: Sequence[Run], folder: ExperimentFolder) -> None:
    by_name: dict[str, Run] = {}
    by_settings: dict[str, Run] = {}
    for run in found:
        if run.name in _TAKEN:
            reason = f"a run cannot be called {run.name}: it is the name of a folder of the experiment's own"
            raise InputError(reason, file=folder.plan, place="key runs.add", fix="choose another name")
        twin = by_name.setdefault(run.name, run)
        if twin is not run:
            reason = f"two runs are called {run.name}: {_told(twin)} and {_told(run)}"
            raise InputError(reason, file=folder.plan, fix="give them other names, or values that differ in writing")
        settings = sorted((name, _comparable(value)) for name, value in run.settings.items())
        same = by_settings.setdefault(repr((run.type, settings, run.checkpoint, run.action)), run)
        if same is not run:
            reason = f"{same.name} and {run.name} are the same run: {_told(run)}"
            raise InputError(reason, file=folder.plan, fix="take one of them out")


def _comparable(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(float(value) if is_number else value)


def _told(run: Run) -> str:
    said = ", ".join(f"{name} {values.show(value)}" for name, value in run.settings.items())
    return said or run.checkpoint or "the base as it is"


def _without_skipped(plan: Plan, found: Sequence[Run], folder: ExperimentFolder) -> list[Run]:
    skipped: set[str] = set()
    for at, pattern in enumerate(plan.runs.skip):
        matching = {run.name for run in found if fnmatchcase(run.name, pattern) or fnmatchcase(run.point, pattern)}
        if not matching:
            raise _nothing(folder, f"runs.skip[{at}]", pattern, [run.name for run in found])
        skipped |= matching
    return [run for run in found if run.name not in skipped]


def _nothing(folder: ExperimentFolder, key: str, wanted: str, known: Sequence[str]) -> InputError:
    near = nearest(wanted, known, 1)
    there = ", ".join(known[:6]) + (", ..." if len(known) > 6 else "") if known else "none"
    fix = f"did you mean {near[0]}?" if near else f"there are: {there}"
    return InputError(f"nothing matches {wanted!r}", file=folder.plan, place=f"key {key}", fix=fix)


# conditions: a small language of our own, read by Python's parser and never executed

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: values.same,
    ast.NotEq: lambda one, other: not values.same(one, other),
    ast.In: lambda one, others: any(values.same(one, other) for other in others),
    ast.NotIn: lambda one, others: not any(values.same(one, other) for other in others),
}


def _condition(text: str, plan: Plan, folder: ExperimentFolder, at: int) -> Callable[[Mapping[str, Any]], bool]:
    """Raises `InputError` where it is no comparison of variables, controls and values."""
    known = [*plan.variables, *plan.controls]

    def wrong(reason: str, fix: str = "compare variables and values, such as `rank * 2 <= width`") -> InputError:
        return InputError(reason, file=folder.plan, place=f"key where[{at}]", fix=fix)

    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise wrong(f"{text!r} is no condition") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known:
            near = nearest(node.id, known, 1)
            raise wrong(f"{node.id} is no variable", f"did you mean {near[0]}?" if near else f"known: {known}")

    def holds(point: Mapping[str, Any]) -> bool:
        try:
            return bool(_worked_out(tree, point))
        except (TypeError, ZeroDivisionError, ValueError) as error:
            raise wrong(f"{text!r} cannot be worked out: {error}") from error

    return holds


def _worked_out(node: ast.expr, point: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return point[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_worked_out(item, point) for item in items]
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _worked_out(inner, point)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_worked_out(inner, point)
        case ast.BoolOp(op=joined, values=parts):
            return (all if isinstance(joined, ast.And) else any)(_worked_out(part, point) for part in parts)
        case ast.BinOp(left=left, op=how, right=right) if type(how) in _BINARY:
            return _BINARY[type(how)](_worked_out(left, point), _worked_out(right, point))
        case ast.Compare(left=left, ops=ways, comparators=others):
            ends = [_worked_out(end, point) for end in (left, *others)]
            pairs = zip(ways, itertools.pairwise(ends), strict=True)
            return all(_COMPARED[type(way)](*pair) for way, pair in pairs if type(way) in _COMPARED or _refuse(way))
        case _:
            raise ValueError(f"{ast.unparse(node)} is more than a comparison")


def _refuse(node: ast.AST) -> bool:
    raise ValueError(f"{type(node).__name__} is more than a comparison")
