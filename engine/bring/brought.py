"""What was read of somebody's data, before anything is written, and how it is parted."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.text import clean_line

SEED = 42
#: of what is validated: much of little, so that versions can be told apart
_FEW, _SHARE_OF_FEW, _SHARE = 1000, 0.3, 0.2
_LEAST_SAMPLES = 10
#: regression: samples of all sizes of the target in both parts
_BINS = 5
_NAMED = 5
_MOST_CLASSES = 1000


@dataclass
class Sample:
    #: where it stands with the user: `row 17`, `cats/1.png`
    id: str
    cells: list[str]
    target: str
    #: samples of one group are the same but for their target: they stay together
    group: str
    #: "train", "valid" or "test" where the user has parted them
    split: str = ""


@dataclass
class Brought:
    """`header` names the cells of each sample; `target` what is to be told from them."""

    source: Path
    header: list[str]
    target: str
    task: str
    samples: list[Sample]
    #: each in a line for people, with the names of rows or files
    said: list[str] = field(default_factory=list)
    #: column -> "number" or "category", of a table alone
    columns: dict[str, str] = field(default_factory=dict)
    #: files that stay where they are
    files: list[Path] = field(default_factory=list)
    #: values that the template needs besides
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        return sorted({s.target for s in self.samples}, key=in_order) if self.task == "classification" else []


def in_order(name: str) -> tuple[int, float, str]:
    """Classes that are numbers by their size, others by the alphabet."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def named(places: Sequence[object], what: str = "row") -> str:
    """`rows 3, 17 and 12 more`."""
    return f"{what}{'s' if len(places) != 1 else ''} {few(places)}"


def few(places: Sequence[object]) -> str:
    """The first of them, and how many more there are."""
    rest = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return clean_line(", ".join(str(place) for place in places[:_NAMED]) + rest)


def counted(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def see_that_it_can_be_learned(brought: Brought) -> None:
    """Raises `InputError`; says what is odd but no obstacle."""
    source, samples = brought.source, brought.samples
    if len(samples) < _LEAST_SAMPLES:
        reason = f"it has {counted(len(samples), 'usable sample')}: nothing can be learned and measured from so few"
        raise InputError(reason, file=source, fix=f"bring {_LEAST_SAMPLES} or more; a few hundred say something")
    _tell_same(brought)
    if brought.task != "classification":
        return
    sizes = Counter(s.target for s in samples)
    if len(sizes) == 1:
        reason = f"there is one class only: {clean_line(next(iter(sizes)))!r}"
        raise InputError(reason, file=source, fix="bring samples of another class too, or name another --target")
    if len(sizes) > min(_MOST_CLASSES, len(samples) // 2):
        reason = (
            f"{clean_line(brought.target)!r} has {len(sizes)} different values in {len(samples)} samples: no classes"
        )
        raise InputError(reason, file=source, fix="name another --target")
    alike = defaultdict(list)
    for name in sizes:
        alike[name.strip().casefold()].append(name)
    for names in alike.values():
        if len(names) > 1:
            shown = ", ".join(repr(clean_line(name)) for name in sorted(names))
            brought.said.append(f"classes that differ only in capitals are kept apart: {shown}")
    for name, count in sizes.items():
        if count == 1:
            brought.said.append(f"class {clean_line(name)!r} has one sample only: it is trained and never validated")
    if max(sizes.values()) > 10 * min(sizes.values()):
        most, least = sizes.most_common()[0], sizes.most_common()[-1]
        text = f"classes of very different size: {clean_line(most[0])!r} {most[1]}, {clean_line(least[0])!r} {least[1]}"
        brought.said.append(f"{text}; CLASS_WEIGHTS in the script weighs them")


def _tell_same(brought: Brought) -> None:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in brought.samples:
        groups[sample.group].append(sample)
    copies = [s.id for members in groups.values() for s in members[1:]]
    if copies:
        text = f"{counted(len(copies), 'sample is', 'samples are')} the same as an earlier one"
        brought.said.append(f"{text} ({few(copies)}): copies stay in one part, training or validation")
    unlike = [members for members in groups.values() if len({s.target for s in members}) > 1]
    if unlike:
        pairs = [" and ".join(dict.fromkeys(s.id for s in members)) for members in unlike]
        text = f"{counted(len(unlike), 'sample stands', 'samples stand')} there with different targets"
        brought.said.append(f"{text} ({few(pairs)})")


def part(brought: Brought) -> dict[str, list[Sample]]:
    """Into "train" and "valid", and "test" where the user has one.

    A split of the user's own stays. Else it is drawn: seeded, from each class (or each size of the target) alike.
    Raises `InputError` where a part stays empty.
    """
    parts: dict[str, list[Sample]] = {"train": [], "valid": [], "test": []}
    if any(sample.split for sample in brought.samples):
        for sample in brought.samples:
            parts[sample.split].append(sample)
        _see_own_split(brought, parts)
    else:
        taken = _drawn(brought.samples, _layers(brought), share_of(brought))
        for sample in brought.samples:
            parts["valid" if sample.group in taken else "train"].append(sample)
    for name in ("train", "valid"):
        if not parts[name]:
            fix = "bring more samples that differ" if name == "valid" else "leave more samples for the training"
            reason = f"nothing is left for {name}: the samples are copies of each other"
            raise InputError(reason, file=brought.source, fix=fix)
    return {name: samples for name, samples in parts.items() if samples}


def share_of(brought: Brought) -> float:
    return _SHARE_OF_FEW if len(brought.samples) < _FEW else _SHARE


def _see_own_split(brought: Brought, parts: dict[str, list[Sample]]) -> None:
    for name in ("train", "valid"):
        if not parts[name]:
            raise InputError(f"the part {name} holds no usable sample", file=brought.source, fix="put samples there")
    trained = {sample.group for sample in parts["train"]}
    both = [sample.id for name in ("valid", "test") for sample in parts[name] if sample.group in trained]
    if both:
        text = f"{counted(len(both), 'sample')} of the validation or test data stand in the training data too"
        brought.said.append(f"{text} ({few(both)}): scores will look better than they are")
    if brought.task == "classification":
        unknown = {s.target for s in parts["valid"]} - {s.target for s in parts["train"]}
        if unknown:
            names = few(sorted(unknown))
            brought.said.append(f"never trained, since they stand in the validation data alone: classes {names}")


def _layers(brought: Brought) -> Callable[[Sample], str]:
    if brought.task == "classification":
        return lambda sample: sample.target
    edges = _edges(sorted(float(sample.target) for sample in brought.samples))
    return lambda sample: str(sum(float(sample.target) > edge for edge in edges))


def _edges(values: Sequence[float]) -> list[float]:
    return [values[len(values) * number // _BINS] for number in range(1, _BINS)]


def _drawn(samples: Sequence[Sample], layer_of: Callable[[Sample], str], share: float) -> set[str]:
    """Groups to validate on: of each layer its share, at least one where it has two."""
    groups: dict[str, list[str]] = defaultdict(list)
    for group, sample in {sample.group: sample for sample in reversed(samples)}.items():
        groups[layer_of(sample)].append(group)
    taken: set[str] = set()
    for layer in sorted(groups):
        members = sorted(groups[layer])
        count = max(round(len(members) * share), 1) if len(members) > 1 else 0
        taken.update(random.Random(f"{SEED} {layer}").sample(members, count))
    return taken
