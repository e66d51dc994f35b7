"""What the rules lock, for tools whose settings stand in no script: before a run, and in what it has used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import values
from progtrain.engine.drafting import next_script
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import run_script
from progtrain.engine.experiment.plan import Range
from progtrain.engine.experiment.workers.base import Experiment, Piece
from progtrain.engine.script.names import FIXED, PARTS, canonical
from progtrain.engine.script.repair.failure import Failure

_BATCH = "batch_size"
#: a name of the plan -> the tool's setting that it means
Meant = Callable[[str], str]


def problems(
    experiment: Experiment, base: Mapping[str, Any], stated: Iterable[tuple[str, str, Any]], meant: Meant
) -> Iterator[InputError]:
    """What the plan would have otherwise than the rules: each setting once.

    `base`: the tool's settings, where the plan says nothing. `stated`: key in the plan, name, and its values or range.
    """
    rules = experiment.rules
    wanted, file = _wanted(experiment, meant), experiment.folder.plan
    said = set()
    for place, name, held in stated:
        setting = meant(name)
        said.add(setting)
        key = canonical(setting)
        if key in wanted:
            if _varies(held, wanted[key]):
                reason = f"{name} is not allowed: the rules say {wanted[key]!r}"
                fix = "leave it out of the plan, or change the rule yourself"
                if not values.same(base.get(setting), wanted[key]):
                    fix = f"write `controls: {{{name}: {values.show(wanted[key])}}}`, or change the rule yourself"
                yield InputError(f"{reason} ({rules.path})", file=file, place=f"key {place}", fix=fix)
        elif _varies(held, base.get(setting)) and (refusal := _refusal(experiment, key)):
            fix = "leave it out of the plan, or change the rule yourself"
            yield InputError(f"{name} is not allowed: {refusal}", file=file, place=f"key {place}", fix=fix)
    for setting, value in base.items():
        key = canonical(setting)
        if setting not in said and key in wanted and not values.same(value, wanted[key]):
            reason = f"{setting} is {value!r} where the plan says nothing, and the rules say {wanted[key]!r}"
            fix = f"write `controls: {{{setting}: {values.show(wanted[key])}}}`, or change the rule yourself"
            yield InputError(f"{reason} ({rules.path})", file=file, place="key controls", fix=fix)


def broken(piece: Piece, used: Mapping[str, Any], file: Path, meant: Meant = str) -> Failure | None:
    """The first setting that a run has used with another value than the rules lock; `file` tells of it."""
    wanted = _in_its_words(run_script.rules_of(piece.experiment, piece.run).locked, meant)
    for name, value in used.items():
        key = canonical(name)
        if key in wanted and not values.same(value, wanted[key]):
            where = piece.experiment.ws.relative(file)
            summary = f"{where}, key {name}: {name} was {value!r} in the run, the rules say {wanted[key]!r}"
            fix = f"let the run use the value of training_config.{key}, or change the rule"
            return Failure("outputs", summary, fix)
    return None


def smaller(experiment: Experiment, changes: Mapping[str, Any] | None, meant: Meant) -> dict[str, Any] | None:
    """Without what is locked; None where that is the batch."""
    free = {name: value for name, value in (changes or {}).items() if not _refusal(experiment, canonical(meant(name)))}
    return free if any(canonical(meant(name)) == _BATCH for name in free) else None


def _wanted(experiment: Experiment, meant: Meant) -> dict[str, Any]:
    rules = experiment.rules
    own = {canonical(name) for name in rules.training_config}
    # repeated runs have seeds of their own
    free = run_script.has_own_seeds(experiment)
    locked = {key: value for key, value in rules.locked.items() if key != "seed" or key in own or not free}
    return _in_its_words(locked, meant)


def _in_its_words(locked: Mapping[str, Any], meant: Meant) -> dict[str, Any]:
    """The rules may call a setting as the plan may."""
    return {canonical(meant(key)): value for key, value in locked.items()}


def _refusal(experiment: Experiment, key: str) -> str | None:
    """Why rules or instruction let a setting be nothing else than it is; None where they do not."""
    if key in FIXED and key not in experiment.rules.instruction.locked:
        return None
    return next_script.limits(experiment.rules).refusal({key, *([PARTS[key]] if key in PARTS else [])})


def _varies(held: Range | Sequence[Any], one: object) -> bool:
    """Whether another value than that one is among them."""
    return not all(values.same(value, one) for value in ((held.low, held.high) if isinstance(held, Range) else held))
