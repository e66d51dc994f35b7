"""Whether samples that a script holds out are ones that it trains on: asked of the loaders themselves, in a probe.

However a split was made (by hand, by files, in a data module), both loaders end at samples. Where they go back to one
data set, their numbers say it. Else the paths that the two data sets list, or what the samples hold: read one by one,
for a limited time, and compared by digest.
"""

import hashlib
import itertools
import json
import os
import time

from progtrain_facts import flat, is_iterable
from progtrain_hooks import quietly
from progtrain_split import paths_of

#: that are read of those held out, from all of them in equal steps, and of those trained on
_MOST_HELD_OUT, _MOST_TRAINED = 2_000, 20_000
_MOST_NUMBERS = 2_000_000
_SECONDS = 1.0
#: that are read twice: are they the same each time?
_READ_AGAIN = 3
#: of what repeats within one side already, as much is to be found in both by chance
_MOST_REPEATED = 0.1
_DEEPEST = 6


@quietly
def facts(train, held_out):
    """`{"by", "held_out", "train", "shared"}`: how many samples of each side were looked at, and how many of those held
    out are training samples too. `by`: "numbers", "paths" or "content". None where it cannot be told.
    """
    ours, theirs = [one for _, one in flat(train)], [one for _, one in flat(held_out)]
    if not ours or not theirs:
        return None
    ours, theirs = [_samples(one) for one in ours], [_samples(one) for one in theirs]
    if None in ours or None in theirs:
        return None
    return _by_numbers(ours, theirs) or _by_paths(ours, theirs) or _by_content(ours, theirs)


def _samples(loader):
    """(data set, numbers of its samples; None: all of them)."""
    dataset, sampler = getattr(loader, "dataset", None), getattr(loader, "sampler", None)
    if dataset is None:
        return None
    numbers = None
    if type(sampler).__name__ == "SubsetRandomSampler":
        numbers = [int(number) for number in sampler.indices]
    while hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        whole = [int(number) for number in dataset.indices]
        numbers = whole if numbers is None else [whole[number] for number in numbers]
        dataset = dataset.dataset
    return dataset, numbers


def _by_numbers(ours, theirs):
    """Of one data set for both sides."""
    sets = {id(dataset) for dataset, _ in [*ours, *theirs]}
    dataset = ours[0][0]
    if len(sets) > 1 or is_iterable(dataset) or len(dataset) > _MOST_NUMBERS:
        return None
    trained, held_out = (
        {number for _, numbers in side for number in (range(len(dataset)) if numbers is None else numbers)}
        for side in (ours, theirs)
    )
    return _told("numbers", held_out, trained)


def _by_paths(ours, theirs):
    """Of data sets that list files by paths that lead to them."""
    sides = []
    for side in (ours, theirs):
        found = set()
        for dataset, numbers in side:
            paths = paths_of(dataset)
            if paths is None or not all(os.path.exists(path) for path in paths[:3]):
                return None
            chosen = paths if numbers is None else [paths[number] for number in numbers]
            found.update(map(os.path.realpath, chosen))
        sides.append(found)
    return _told("paths", sides[1], sides[0])


def _by_content(ours, theirs):
    until = time.monotonic() + _SECONDS
    if any(_varies(dataset, numbers) for dataset, numbers in (ours[0], theirs[0])):
        return None
    held_out = _digests(theirs, _MOST_HELD_OUT, until - _SECONDS * 2 / 3)
    trained = _digests(ours, _MOST_TRAINED, until, in_steps=False)
    repeated = max(1 - len(set(side)) / len(side) for side in (held_out, trained))
    return None if repeated > _MOST_REPEATED else _told("content", set(held_out), set(trained))


def _varies(dataset, numbers):
    """Whether samples are others at each reading: augmented, or drawn."""
    one, other = (list(map(_digest, itertools.islice(_drawn(dataset, numbers), _READ_AGAIN))) for _ in range(2))
    return one != other


def _told(by, held_out, trained):
    return {"by": by, "held_out": len(held_out), "train": len(trained), "shared": len(held_out & trained)}


def _digests(side, most, until, in_steps=True):
    """At least one."""
    found = []
    samples = itertools.chain.from_iterable(_drawn(*one, most if in_steps else 0) for one in side)
    for sample in itertools.islice(samples, most):
        found.append(_digest(sample))
        if time.monotonic() > until:
            break
    return found


def _drawn(dataset, numbers, most=0):
    """Its samples; with `most`, so many from all of it in equal steps."""
    if is_iterable(dataset):
        yield from dataset
        return
    numbers = range(len(dataset)) if numbers is None else numbers
    for number in numbers[:: max(len(numbers) // most, 1) if most else 1]:
        yield dataset[number]


def _digest(sample):
    digest = hashlib.blake2b(digest_size=12)
    _add(digest, sample, 0)
    return digest.digest()


def _add(digest, value, depth):
    """Raises `TypeError` for what has no content of its own."""
    if depth > _DEEPEST:
        raise TypeError("too deep")
    if hasattr(value, "detach"):
        value = value.detach().cpu().contiguous()
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(_bytes_of(value)).numpy().tobytes())
    elif hasattr(value, "tobytes"):
        digest.update(value.tobytes())
    elif hasattr(value, "items"):
        for name in sorted(value, key=str):
            digest.update(str(name).encode())
            _add(digest, value[name], depth + 1)
    elif isinstance(value, (list, tuple)):
        for one in value:
            _add(digest, one, depth + 1)
    elif value is None or isinstance(value, (str, bytes, int, float, os.PathLike)):
        digest.update(json.dumps(value, default=str).encode())
    else:
        raise TypeError(type(value).__name__)


def _bytes_of(tensor):
    import torch  # the script has it

    return torch.uint8 if tensor.numel() else tensor.dtype
