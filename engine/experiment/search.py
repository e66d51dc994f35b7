"""Kind hpo: which point is tried next, which trial ends early, and how its winner is confirmed.

The study is optuna's (Tree-structured Parzen Estimator; Bergstra et al., 2011), but nothing of it is stored: it is
built anew from the trials' files each time, so that the runner stays their only writer. Trials end early by successive
halving without waiting for each other (ASHA; Li et al., 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from progtrain.engine import metrics, values
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, state
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan, Range, Search
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.state import AT_WORK, SETTLED, Part, RunState
from progtrain.engine.files import LineReader, try_read_json, write_json, write_text
from progtrain.engine.workspace import JobFolder

if TYPE_CHECKING:
    import optuna

#: epochs of the first rung, and how many times more each further one has; of those that reached one a third goes on
_FIRST_RUNG, _FACTOR = 1, 3
#: with fewer there is nothing to rank
_FEWEST = 3
#: drawings until a point is found that meets the conditions and is new
_TRIES = 200
_STRIDE = 100_003


class Trial(NamedTuple):
    """A point that was asked for, and what is known of it."""

    run: Run
    status: Literal["open", "done", "pruned", "failed"]
    #: by the metric of the search; None: not measured
    value: float | None = None


#: of trainings: epochs that are over -> the metric after them
Curves = dict[JobFolder, dict[int, float]]


def higher_is_better(search: Search) -> bool:
    told = search.higher_is_better
    return bool(metrics.higher_is_better(search.metric) if told is None else told)


def problems(plan: Plan, folder: ExperimentFolder) -> list[InputError]:
    """What keeps a search from being made."""
    if plan.search is None:
        return []
    found = []
    try:
        import optuna  # noqa: F401
    except ImportError:
        reason, fix = "a search needs optuna, which is not installed", "pip install 'progtrain[experiments]'"
        found.append(InputError(reason, file=folder.plan, place="key experiment.kind", fix=fix))
    if plan.search.higher_is_better is None and metrics.higher_is_better(plan.search.metric) is None:
        reason = f"nothing says whether a higher {plan.search.metric} is better"
        fix = "write `higher_is_better: true` or `false` beside it"
        found.append(InputError(reason, file=folder.plan, place="key search.metric", fix=fix))
    if not plan.variables:
        reason, fix = (
            "a search needs variables",
            "give ranges, such as `learning_rate: {low: 1e-5, high: 1e-2, log: true}`",
        )
        found.append(InputError(reason, file=folder.plan, place="key variables", fix=fix))
    return found


# what is known


def trials(
    states: Sequence[RunState],
    rows: Callable[[], Sequence[Row]],
    plan: Plan,
    folder: ExperimentFolder,
    known: dict[str, Trial],
) -> list[Trial]:
    """In the order in which they were asked for; repetitions of the winner are none.

    `known`: those that are done, from one call to the next: `rows` is asked only where there are others.
    """
    assert plan.search is not None
    own = [held for held in states if held.run.name.startswith("trial") and held.run.name == held.run.point]
    done = {held.run.name for held in own if held.phase == "done"} - known.keys()
    told = rows() if done else ()
    found = {
        held.run.name: known.get(held.run.name) or _trial(held, told, plan.search, folder)
        for held in sorted(own, key=lambda held: held.run.name)
    }
    known |= {name: found[name] for name in done}
    return list(found.values())


def _trial(held: RunState, rows: Sequence[Row], search: Search, folder: ExperimentFolder) -> Trial:
    if told := pruned(held.training, folder):
        return Trial(held.run, "pruned" if held.training.phase in SETTLED else "open", told.get("value"))
    if held.phase == "done":
        value = measured(held, rows, search, folder)
        return Trial(held.run, "failed" if value is None else "done", value)
    return Trial(held.run, "failed" if held.phase in ("failed", "cancelled", "lost") else "open")


def measured(held: RunState, rows: Sequence[Row], search: Search, folder: ExperimentFolder) -> float | None:
    """As its evaluation says, else the best that its training told."""
    for row in rows:
        if row.run == held.run.name and row.state == "done":
            found = metrics.value_of(search.metric, {metric.name: metric for metric in row.metrics})
            if found is not None and found.value is not None:
                return found.value
    told = list(_by_epoch(held.training, search, folder).values())
    return (max if higher_is_better(search) else min)(told, default=None)


def pruned(training: Part, folder: ExperimentFolder) -> dict[str, Any] | None:
    """Where its last attempt was ended early: `epoch` and `value` then."""
    return try_read_json(_pruned_file(training, folder)) if training.attempt else None


def _pruned_file(training: Part, folder: ExperimentFolder) -> Path:
    return folder.run(training.run.name).pruned(training.attempt)


def _by_epoch(training: Part, search: Search, folder: ExperimentFolder) -> dict[int, float]:
    """Epochs that are over -> the metric after them, as the training told while it ran."""
    path = state.live_file(state.attempt_of(training, folder)) if training.attempt else None
    found: dict[int, float] = {}
    newest: tuple[int, float] | None = None
    for line in LineReader(path).read() if path else ():
        epoch, told = line.get("epoch"), line.get("metrics")
        value = metrics.value_of(search.metric, told) if isinstance(told, dict) else None
        value = metrics.finite(value)
        if not isinstance(epoch, int) or value is None:
            continue
        # in the middle of an epoch it is still that of the one before
        if newest is not None and epoch > newest[0]:
            found.setdefault(epoch - 1, value)
        newest = (epoch, value)
    return found


# what is tried next


def following(plan: Plan, known: Sequence[Trial], repeats: Sequence[RunState], folder: ExperimentFolder) -> list[Run]:
    """Runs to begin now: new points while there is room for them, at the end the winner with further seeds.

    `repeats`: those of the winner that there are. Raises `InputError` where no new point can be found.
    """
    search = plan.search
    assert search is not None
    room = min(search.parallel - sum(trial.status == "open" for trial in known), search.trials - len(known))
    if room > 0:
        asked: list[Trial] = []
        for _ in range(room):
            point = ask(plan, [*known, *asked], folder)
            if point is None:
                break
            asked.append(Trial(expand.trial(plan, len(known) + len(asked) + 1, point), "open"))
        if asked:
            return [trial.run for trial in asked]
    if any(trial.status == "open" for trial in known) or repeats:
        return []
    best = winner(search, known)
    return expand.repeated(plan, best.run, search.confirm - 1) if best else []


def winner(search: Search, known: Sequence[Trial]) -> Trial | None:
    """Of those that ran to their end."""
    whole = [trial for trial in known if trial.status == "done"]
    return metrics.best(whole, lambda trial: trial.value, higher_is_better(search))


def ask(plan: Plan, known: Sequence[Trial], folder: ExperimentFolder) -> dict[str, Any] | None:
    """The next point: the same one for the same plan and results. None where all have been tried."""
    tried = [trial.run.parameters for trial in known]
    meets = expand.conditions(plan, folder)
    if not any(isinstance(held, Range) for held in plan.variables.values()):
        left = (point for point in expand.product(plan, folder) if meets(point))
        if all(any(values.same(point, other) for other in tried) for point in left):
            return None
    for attempt in range(_TRIES):
        # a study that is built anew would draw its first numbers again
        study = _study(plan, known, expand.first_seed(plan) + _STRIDE * len(known) + attempt)
        drawn = study.ask(_distributions(plan)).params
        point = {name: _value(held, drawn[name]) for name, held in plan.variables.items()}
        if meets(point) and not any(values.same(point, other) for other in tried):
            return point
    return None


def _study(plan: Plan, known: Sequence[Trial], seed: int) -> optuna.Study:
    import optuna

    search = plan.search
    assert search is not None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    if search.sampler == "tpe":
        # points that are still at work count as bad ones: the next is drawn elsewhere
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    direction: Literal["maximize", "minimize"] = "maximize" if higher_is_better(search) else "minimize"
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.add_trials([_told(plan, trial) for trial in known])
    return study


def _told(plan: Plan, trial: Trial) -> optuna.trial.FrozenTrial:
    import optuna

    status, value = trial.status, trial.value
    names = {"open": "RUNNING", "done": "COMPLETE", "pruned": "PRUNED", "failed": "PRUNED"}
    return optuna.trial.create_trial(
        params={name: _index(held, trial.run.parameters[name]) for name, held in plan.variables.items()},
        distributions=_distributions(plan),
        value=value if status == "done" else None,
        # one that failed has no value at all, which counts as worse than any
        intermediate_values={1: value} if status == "pruned" and value is not None else None,
        state=optuna.trial.TrialState[names[status]],
    )


def _distributions(plan: Plan) -> dict[str, optuna.distributions.BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, optuna.distributions.BaseDistribution] = {}
    for name, held in plan.variables.items():
        if not isinstance(held, Range):
            # by their places: any value may stand in a list
            found[name] = CategoricalDistribution(tuple(range(len(held))))
        elif held.whole:
            found[name] = IntDistribution(int(held.low), int(held.high), log=held.log)
        else:
            found[name] = FloatDistribution(held.low, held.high, log=held.log)
    return found


def _value(held: Sequence[Any] | Range, drawn: Any) -> Any:
    return expand.rounded(held, drawn) if isinstance(held, Range) else held[drawn]


def _index(held: Sequence[Any] | Range, value: Any) -> Any:
    if isinstance(held, Range):
        return value
    return next(place for place, one in enumerate(held) if values.same(one, value))


# which trials end early


def losers(
    plan: Plan, states: Sequence[RunState], folder: ExperimentFolder, ended: Curves
) -> Iterator[tuple[Part, dict[str, Any]]]:
    """Trainings at work that are not among the better third at a rung that they reached, and what to tell of each.

    `ended`: curves that grow no more, from one call to the next.
    """
    search = plan.search
    if search is None or search.prune is None:
        return
    own = [held for held in states if held.run.name == held.run.point and held.training.attempt]
    curves = {}
    for held in own:
        attempt = state.attempt_of(held.training, folder)
        curve = ended[attempt] if attempt in ended else _by_epoch(held.training, search, folder)
        curves[held.run.name] = curve
        if held.training.phase in SETTLED:
            ended[attempt] = curve
    for held in own:
        if held.training.phase in AT_WORK and pruned(held.training, folder) is None:
            told = _why_ended(held.run.name, curves, higher_is_better(search))
            if told is not None:
                yield held.training, told


def _why_ended(name: str, curves: Mapping[str, Mapping[int, float]], higher: bool) -> dict[str, Any] | None:
    rung = _FIRST_RUNG
    while rung in curves[name]:
        at_rung = [curve[rung] for curve in curves.values() if rung in curve]
        kept = metrics.ranked(at_rung, float, higher)[: max(1, len(at_rung) // _FACTOR)]
        value = curves[name][rung]
        if len(at_rung) >= _FEWEST and value not in kept:
            return {"epoch": rung, "value": value, "of": len(at_rung)}
        rung *= _FACTOR
    return None


def end_early(training: Part, told: Mapping[str, Any], folder: ExperimentFolder) -> None:
    """Asks it to save and stop; what is told of it stands first. Raises `StorageError`."""
    write_json(_pruned_file(training, folder), dict(told))
    request = try_read_json(state.attempt_of(training, folder).job)
    stop = values.within(request, "environment").get("PROGTRAIN_STOP_FILE")
    if isinstance(stop, str):
        # also in place of what its guard wrote there, which holds for one start alone
        write_text(Path(stop), "")


# what came of it


def told(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """For the report: the winner, and how it fared with other seeds."""
    search = plan.search
    if search is None:
        return []
    found: dict[str, list[tuple[str, float]]] = {}
    early = 0
    for row in rows:
        metric = metrics.value_of(search.metric, {metric.name: metric for metric in row.metrics})
        early += bool(row.pruned)
        if row.state == "done" and not row.pruned and metric and metric.value is not None:
            found.setdefault(row.point, []).append((row.run, metric.value))
    firsts = {point: value for point, seen in found.items() for run, value in seen if run == point}
    best = metrics.best(list(firsts), firsts.__getitem__, higher_is_better(search))
    if best is None:
        return []
    parameters = next(row.parameters for row in rows if row.point == best)
    shown = ", ".join(f"{name} {values.show(value)}" for name, value in parameters.items())
    said = f"The search tried {len(firsts) + early} points, {early} of them ended early. Best by {search.metric}: "
    said += f"**{best}** ({shown}) with {values.metric(firsts[best])}"
    again = [value for run, value in found[best] if run != best]
    if not again:
        return [f"{said}, trained once: it is the best of many, and such a one is usually lucky."]
    each = [firsts[best], *again]
    mean = sum(each) / len(each)
    spread = f"{values.metric(min(each))} to {values.metric(max(each))}"
    others = [value for point, value in firsts.items() if point != best]
    second = metrics.best(others, float, higher_is_better(search))
    said += f"; over {len(each)} seeds {values.metric(mean)} ({spread})."
    if second is not None and (second >= mean if higher_is_better(search) else second <= mean):
        said += f" That is no better than the {values.metric(second)} which another point reached once: not decided."
    return [said]
