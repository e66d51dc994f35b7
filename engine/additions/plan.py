"""What an addition is to be made of: its shares, ways to change rows, and which rows are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from progtrain.engine.errors import InputError

#: of all additions of a version together, of the training rows
MOST = 0.5
#: fewer rows than these tell nothing
LEAST = 12
SHARES = {"augment": 0.08, "replay": 0.02}
#: way -> its parameters, of pictures and of numbers. Shares are of a side, amounts of the range or the class's spread
PICTURES: dict[str, dict[str, float]] = {
    "shift": {"share": 0.08},
    "noise": {"amount": 0.02},
    "flip": {},
    "crop": {"share": 0.9},
    "brightness": {"amount": 0.15},
}
NUMBERS: dict[str, dict[str, float]] = {"jitter": {"amount": 0.05}}
#: `augment(raw, target, rng)` in 05_augment.py or in the version's script
OWN = "own"
WAYS = (*PICTURES, *NUMBERS, OWN)
#: where the usual shares of a small training split would be less
_FEW = {"augment": 13, "replay": 3}
HARD_BY = ("training_loss", "out_of_fold")


class Plan(NamedTuple):
    """`focus`: {} for the weakest, or {"classes": [...]}, {"target_range": [low, high]} or {"metric_part": name}."""

    focus: dict[str, Any]
    augment: float = SHARES["augment"]
    #: () for what is usual with such rows
    ways: tuple[str, ...] = ()
    replay: float = SHARES["replay"]
    hard_by: str = HARD_BY[0]
    seed: int = 42


def read(action: Mapping[str, Any], seed: int = 42) -> Plan:
    """From an action: `{focus, augment: {share, with}, replay: {share, hard_by}, seed}`, all of it optional.

    Raises `InputError` with the key. `seed` counts where the action names none.
    """
    _known(action, ("operation", "focus", "augment", "replay", "seed", "control"), "")
    augment, replay = _mapping(action, "augment"), _mapping(action, "replay")
    _known(augment, ("share", "with"), "augment.")
    _known(replay, ("share", "hard_by"), "replay.")
    ways = augment.get("with") or ()
    ways = (ways,) if isinstance(ways, str) else tuple(ways) if isinstance(ways, list | tuple) else (ways,)
    for way in ways:
        if way not in WAYS:
            raise InputError(f"{way!r} is no way to change a row", place="augment.with", fix=f"take {', '.join(WAYS)}")
    hard_by = replay.get("hard_by") or HARD_BY[0]
    if hard_by not in HARD_BY:
        raise InputError(f"hard_by is {hard_by!r}", place="replay.hard_by", fix=f"take {' or '.join(HARD_BY)}")
    seed = action.get("seed", seed)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed is {seed!r}", place="seed", fix="a whole number from 0 on")
    shares = (_share(augment, "augment"), _share(replay, "replay"))
    return Plan(_focus(_mapping(action, "focus")), shares[0], ways, shares[1], hard_by, seed)


def counts(plan: Plan, base: int, already: int = 0) -> dict[str, int]:
    """How many rows of each kind, over `base` training rows where `already` rows of other additions are used.

    Raises `InputError` where that is too much or too little.
    """
    found = {"base": base, "augment": round(plan.augment * base), "replay": round(plan.replay * base)}
    if {"augment": plan.augment, "replay": plan.replay} == SHARES and sum(found.values()) - base < LEAST:
        found |= _FEW  # nobody asked for so little, and some may be dropped
    wanted = found["augment"] + found["replay"]
    if already + wanted > MOST * base:
        with_others = f" with the {already} rows of other additions" if already else ""
        reason = f"{wanted} rows{with_others} are more than half of the {base} training rows"
        raise InputError(reason, place="augment.share, replay.share", fix="ask for less")
    if wanted < LEAST:
        reason = f"{wanted} rows of {base} are too few to change anything"
        fix = f"ask for {LEAST} or more: the shares together {LEAST / base:.3f} or more"
        raise InputError(reason, place="augment.share, replay.share", fix=fix)
    return found


def _focus(value: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `InputError`."""
    _known(value, ("classes", "target_range", "metric_part"), "focus.")
    if len(value) > 1:
        raise InputError("it names more than one focus", place="focus", fix=f"keep one of {', '.join(value)}")
    if "classes" in value:
        classes = value["classes"] if isinstance(value["classes"], list | tuple) else [value["classes"]]
        if not classes:
            raise InputError("it names no class", place="focus.classes", fix="name one, or leave it out")
        return {"classes": [str(name) for name in classes]}
    if "target_range" in value:
        ends = value["target_range"]
        whole = isinstance(ends, list | tuple) and len(ends) == 2
        if not whole or any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
            raise InputError(f"target_range is {ends!r}", place="focus.target_range", fix="two numbers: [70, 95]")
        return {"target_range": [float(min(ends)), float(max(ends))]}
    return {"metric_part": str(value["metric_part"])} if "metric_part" in value else {}


def _share(value: Mapping[str, Any], name: str) -> float:
    share = value.get("share", SHARES[name])
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= MOST:
        fix = f"a share of the training rows from 0 to {MOST}"
        raise InputError(f"the share is {share!r}", place=f"{name}.share", fix=fix)
    return float(share)


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key) or {}
    if not isinstance(found, Mapping):
        raise InputError(f"{key} is {found!r}", place=key, fix="write its keys below it")
    return found


def _known(value: Mapping[str, Any], keys: Sequence[str], before: str) -> None:
    unknown = sorted(str(key) for key in value if key not in keys)
    if unknown:
        fix = f"keys are {', '.join(before + key for key in keys)}"
        raise InputError(f"there is no key {unknown[0]!r}", place=before.rstrip(".") or "the action", fix=fix)
