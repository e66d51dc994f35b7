"""One batch of a loader, made in this process and not by its workers, and how it is built."""

import itertools
import time

from progtrain_facts import is_iterable
from progtrain_hooks import quietly
from progtrain_json import class_name

_MOST_ITEMS = 16
_MOST_ELEMENTS = 1_000_000


@quietly
def batch_facts(loader, seconds):
    """The structure of a first batch, of as many of its samples as can be read in `seconds`, at least one.

    An error of the data set is told: the training would end with it.
    """
    try:
        batch, samples = _first_batch(loader, time.monotonic() + seconds)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"samples_read": samples, "structure": structure(batch)}


def _first_batch(loader, deadline):
    if not all(hasattr(loader, name) for name in ("dataset", "collate_fn", "batch_sampler", "sampler")):
        return next(iter(loader)), None
    dataset = loader.dataset
    if loader.batch_sampler is None and not is_iterable(dataset):
        return loader.collate_fn(dataset[next(iter(loader.sampler))]), 1
    if is_iterable(dataset):
        if loader.batch_size is None:
            return loader.collate_fn(next(iter(dataset))), 1
        samples = _until(deadline, itertools.islice(dataset, loader.batch_size))
    else:
        samples = _until(deadline, (dataset[index] for index in next(iter(loader.batch_sampler))))
    return loader.collate_fn(samples), len(samples)


def _until(deadline, samples):
    read = []
    for sample in samples:
        read.append(sample)
        if time.monotonic() > deadline:
            break
    return read


def structure(value):
    """Shapes, types and ranges of tensors and arrays in the nested lists and dicts of a batch."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {"shape": list(value.shape), "dtype": str(value.dtype).replace("torch.", ""), **(_range(value) or {})}
    if hasattr(value, "items") and hasattr(value, "keys"):
        return {str(name): structure(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        few = [structure(part) for part in value[:_MOST_ITEMS]]
        return few if len(value) <= _MOST_ITEMS else [*few, f"... {len(value)} in all"]
    return class_name(value)


@quietly
def _range(array):
    """Smallest and largest of real numbers; how many different whole ones."""
    flat = array.reshape(-1)[:_MOST_ELEMENTS]
    if not len(flat):
        return {}
    kind = str(flat.dtype).replace("torch.", "")
    if kind.startswith(("float", "bfloat")):
        return {"min": _finite(flat.min().item()), "max": _finite(flat.max().item())}
    if kind.startswith(("int", "uint", "bool")):
        numbers = set(flat.tolist())
        return {"min": int(min(numbers)), "max": int(max(numbers)), "distinct": len(numbers)}
    return {}


def _finite(number):
    return number if number - number == 0 else str(number)
