"""Settings that a training contradicts: what it was seen to use is not what is stated of it.

What counts is what the hooks saw (`engine/live/progtrain_used.py` while it stepped, and its record), not what the
script, its configuration or its logs say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from progtrain.engine import values
from progtrain.engine.script import probe
from progtrain.engine.script.names import canonical

#: canonical setting, value used, where that was seen, and whether nothing but another value explains it. What is not
#: sure is told and fails nothing.
Unlike = tuple[str, Any, str, bool]

_RATES = {"learning_rate": "lr", "weight_decay": "weight_decay"}
#: settings of the Trainer that may be locked under their own names
_TRAINER = ("limit_train_batches", "overfit_batches", "check_val_every_n_epoch", "val_check_interval")
_OF_TRAINER = ("epochs", "gradient_accumulation", "gradient_clip")
#: how precisions are spelled
_PRECISION = {"32": "32", "32-true": "32", "16": "16", "16-mixed": "16", "bf16": "bf16", "bf16-mixed": "bf16"}
_PRECISION |= {"64": "64", "64-true": "64", "16-true": "16-true", "bf16-true": "bf16-true"}
#: of the rates of an optimizer; schedules reach theirs within rounding
_CLOSE = 1e-6
#: torch draws a larger one where nothing is seeded
_LARGEST_SEED, _TORCHS_OWN_SEED = 2**32, 67280421310721


def unlike(
    used: Sequence[Mapping[str, Any]], record: Mapping[str, Any], wanted: Mapping[str, Any], declared: Container[str]
) -> Iterator[Unlike]:
    """What a training used otherwise than `wanted`: canonical settings and values.

    `used` and `record` are what hooks told (`hooks.used_of`, `hooks.record_of`); `declared`: settings that the script
    has.
    """
    numbers = {key: number for key, value in wanted.items() if (number := _number(value)) is not None}
    itself = bool(used) and bool(_number(used[0].get("steps")))
    for place, one in enumerate(used):
        # a program that it started may do anything, unless it is what trains
        surely = place == 0 or not itself
        for key, value, where, sure in _seen(one, record, numbers, declared):
            of = "" if place == 0 else ", in a program that the script started"
            yield key, value, where + of, sure and surely
    first = used[0] if used else {}
    yield from _trainer(_mapping(first.get("trainer")), _mapping(record.get("trainer")), wanted)
    yield from _model(_mapping(first.get("model")), wanted)
    if "seed" in numbers:
        yield from _seed(_mapping(first.get("seed")), _mapping(record.get("trainer")), numbers["seed"])


def unseen(used: Sequence[Mapping[str, Any]], record: Mapping[str, Any], wanted: Container[str]) -> str | None:
    """What to say where a script that imports torch was seen to take no step: then nothing could be compared."""
    compared = [key for key in ("batch_size", "epochs", *_RATES) if key in wanted]
    if not used or record or not compared or any(_number(one.get("steps")) for one in used):
        return None
    names = ", ".join(compared)
    return f"no step of an optimizer was seen in the training: nothing says whether it kept to {names}"


def _seen(
    one: Mapping[str, Any], record: Mapping[str, Any], numbers: Mapping[str, float], declared: Container[str]
) -> Iterator[Unlike]:
    """Of one process; the steps of a search for a rate or a batch size are no training."""
    if one.get("searched"):
        return
    optimizers = [o for o in _listed(one.get("optimizers")) if o.get("groups")]
    for key, name in _RATES.items():
        if key in numbers:
            yield from _rates(optimizers, key, name, numbers[key], bool(one.get("scheduled")))
    loaders = _most_used(_listed(one.get("loaders")))
    alone = _number(_mapping(record.get("trainer")).get("devices")) in (None, 1)
    if "batch_size" in numbers and alone:
        yield from _batches(loaders, optimizers, numbers["batch_size"], "gradient_accumulation" in declared)
    if "epochs" in numbers:
        yield from _passes(loaders, numbers["epochs"], bool(record))


# ---- optimizers


def _rates(
    optimizers: list[Mapping[str, Any]], key: str, name: str, wanted: float, scheduled: bool
) -> Iterator[Unlike]:
    missed = [found for one in optimizers if (found := _rate(one, key, name, wanted, scheduled))]
    if not missed:
        return
    together = any(_overlap(one, other) for number, one in enumerate(optimizers) for other in optimizers[:number])
    key, value, where, sure = missed[0]
    if len(missed) == len(optimizers):
        yield key, value, where, sure and not together
    elif not together:
        # a later part of the training may have a setting of its own
        yield key, value, f"{where}, in a part of the training", False


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two optimizers step in turns, as those of two networks do."""
    begins = [_number(o.get("from")) or 0 for o in (one, other)]
    return max(begins) < min(_number(o.get("to")) or 0 for o in (one, other))


def _rate(one: Mapping[str, Any], key: str, name: str, wanted: float, scheduled: bool) -> Unlike | None:
    """How the rates of an optimizer are unlike the one that is wanted."""
    groups = [group for group in _listed(one.get("groups")) if isinstance(group.get(name), Mapping)]
    if not groups:
        return None
    largest = max(groups, key=lambda group: _number(group.get("parameters")) or 0)[name]
    firsts, tops = _all(groups, name, "first"), _all(groups, name, "highest")
    several = len(set(firsts)) > 1
    scheduled = scheduled and name == "lr"
    found = [_number(group.get(of)) for group in groups for of in ("initial_lr", "max_lr")]
    stated = [rate for rate in found if rate is not None and scheduled]
    default = _number(_mapping(one.get("defaults")).get(name))
    if default is not None and (several or scheduled):
        stated.append(default)
    kind = str(one.get("class", "")).rpartition(".")[2]
    if not any(values.same(rate, wanted) for rate in (*firsts, *tops, *stated)):
        # a warm-up may begin with nothing
        of, where = ("highest", f"at its highest in {kind}") if scheduled else ("first", f"at the first step of {kind}")
        return key, _number(largest.get(of)), where, not several
    by_hand = _number(_mapping(one.get("by_hand")).get(name)) or 0
    last, top = _number(largest.get("last")), max(tops)
    if by_hand and top > wanted * (1 + _CLOSE):
        return key, top, "at its highest, set by hand during the training", not several
    if by_hand and last is not None and not values.same(last, wanted):
        return key, last, "at the end, changed by hand during the training", name != "lr" and not several
    if scheduled and not several and not 0.5 <= top / (max([*stated, wanted]) or 1) <= 1 + _CLOSE:
        return key, top, "at its highest, by a schedule", False
    return None


def _all(groups: Sequence[Mapping[str, Any]], name: str, of: str) -> list[float]:
    return [_number(group[name].get(of)) or 0.0 for group in groups]


# ---- batches


def _most_used(loaders: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that most steps were made from."""
    most = max((_number(one.get("steps")) or 0 for one in loaders), default=0)
    return [one for one in loaders if 2 * (_number(one.get("steps")) or 0) >= most > 0]


def _batches(
    loaders: list[Mapping[str, Any]], optimizers: list[Mapping[str, Any]], wanted: float, accumulates: bool
) -> Iterator[Unlike]:
    unlike = []
    for one in loaders:
        sizes = _counts(one.get("sizes"))
        samples = _number(one.get("samples"))
        usual = max(sizes, key=lambda size: (sizes[size], size), default=None)
        # of a small set all that there is
        if usual is None or usual == (wanted if samples is None else min(wanted, samples)):
            break
        varied = len(sizes) > 2
        unlike.append(("batch_size", usual, "in most batches of the training", not varied))
    else:
        yield from unlike[:1]
        return
    of_a_step = _usual_of_a_step(optimizers)
    if of_a_step > 1 and not accumulates:
        yield "batch_size", int(of_a_step * wanted), f"for each step, made from {of_a_step} batches", False


def _usual_of_a_step(optimizers: list[Mapping[str, Any]]) -> int:
    counts: Counter[int] = Counter()
    for one in optimizers:
        counts.update(_counts(one.get("batches_of_a_step")))
    del counts[0]
    return max(counts, key=lambda count: (counts[count], -count), default=1)


def _passes(loaders: list[Mapping[str, Any]], wanted: float, has_trainer: bool) -> Iterator[Unlike]:
    """More than `wanted`: fewer are an early end. By one optimizer of a loop of the script's own: surely."""
    for one in loaders:
        passes = [number for value in _mapping(one.get("passes")).values() if (number := _number(value)) is not None]
        for found, sure in ((max(passes, default=0.0), not has_trainer), (sum(passes), False)):
            if found > wanted + 0.5:
                yield "epochs", round(found, 1), "passes over the data", sure
                return


# ---- Trainer, model, seed


def _trainer(at_end: Mapping[str, Any], facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Unlike]:
    where = "in the Trainer"
    for name, value in at_end.items():
        rule, number = _number(wanted.get(canonical(name))), _number(value)
        if None not in (rule, number) and number != -1 and not values.same(number, rule):
            yield canonical(name), value, f"{where} when the training ended", True
    for name in _TRAINER:
        rule, number = _number(wanted.get(canonical(name))), _number(facts.get(name))
        if None not in (rule, number) and rule != number:
            yield canonical(name), facts[name], where, True
    kinds = [_PRECISION.get(str(value)) for value in (wanted.get("precision"), facts.get("precision"))]
    if None not in kinds and kinds[0] != kinds[1]:
        yield "precision", facts["precision"], where, True


def _model(model: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Unlike]:
    begin, end = _mapping(model.get("begin")), _mapping(model.get("end"))
    rate = _number(wanted.get("dropout"))
    for facts, when in ((begin, "when the training began"), (end, "when the training ended")):
        rates = [number for value in facts.get("dropout") or () if (number := _number(value)) is not None]
        if rate is not None and rates and not any(values.same(rate, own) for own in rates):
            yield "dropout", rates[0] if len(rates) == 1 else rates, f"in the model {when}", True
            break
    hidden = wanted.get("hidden_size")
    stated = [_number(size) for size in (hidden if isinstance(hidden, list | tuple) else [hidden])]
    missing = [size for size in stated if size is not None and size not in (begin.get("sizes") or [size])]
    if missing:
        sizes = ", ".join(f"{size:g}" for size in missing)
        # a name such as `hidden` may stand for something that no weight has as a size
        yield "hidden_size", f"not {sizes}", "in any weight of the model", False


def _seed(seed: Mapping[str, Any], trainer: Mapping[str, Any], wanted: float) -> Iterator[Unlike]:
    of_all = _number(seed.get("everything"))
    own = _number(trainer.get("seed"))
    by = of_all if of_all is not None else own
    if by is not None:
        if by != wanted:
            yield "seed", int(by), "by seed_everything" if of_all is not None else "in the Trainer", True
        return
    torchs = _number(seed.get("torch"))
    if torchs is not None and torchs < _LARGEST_SEED and torchs not in (wanted, _TORCHS_OWN_SEED):
        yield "seed", int(torchs), "by torch.manual_seed, the last time before the first step", False


# ---- what is not locked


def said_otherwise(
    used: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any],
    stated: Mapping[str, Sequence[tuple[str, Any]]],
    *,
    locked: Container[str],
) -> Iterator[str]:
    """Sentences on settings that something states otherwise than the training surely used them.

    `stated`: of canonical settings, who says which value.
    """
    fits = _number(record.get("fit")) or 0
    own = {canonical(name): value for name, value in probe.used(record).items()} if record and fits <= 1 else {}
    told: dict[str, list[str]] = {}
    for key, value, source in ((key, value, who) for key, said in stated.items() for who, value in said):
        if key in locked or (wanted := _number(value)) is None:
            continue
        if key in (*_RATES, "batch_size"):
            seen = unlike(used[:1], record, {key: wanted}, declared=stated)
            found = [f"{values.show(was)} {where}" for _, was, where, sure in seen if sure]
        else:
            was = _number(own.get(key)) if key in _OF_TRAINER else None
            known = was is not None and was != -1
            found = [f"{values.show(own[key])} in the Trainer"] if known and not values.same(was, wanted) else []
        for what in found:
            told.setdefault(f"{key} was {what}, not {values.show(value)}", []).append(source)
    for text, named in told.items():
        yield f"{text} as in {' and '.join(dict.fromkeys(named))}"


def _number(value: Any) -> float | None:
    """Of what a hook told or a user wrote, where that is finite."""
    found = None if isinstance(value, bool) else values.number(value)
    return found if found is not None and math.isfinite(found) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _counts(value: Any) -> dict[int, int]:
    pairs = ((_number(size), _number(count)) for size, count in _mapping(value).items())
    return {int(size): int(count) for size, count in pairs if size is not None and count is not None}
