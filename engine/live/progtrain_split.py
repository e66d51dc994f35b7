"""Which samples a split made within the script holds for validation, so that two runs can be compared.

Seen are the functions that draw it (`random_split` of torch, `train_test_split` of scikit-learn), the numbers given to
`SubsetRandomSampler`, and the validation loaders: the numbers in their sampler or Subset, digests of what the samples
hold, or the files that a data set of the script's own lists.
"""

import base64
import functools
import hashlib
import json
import os
import re
import sys
import zlib

from progtrain_facts import flat
from progtrain_hooks import quietly, when_imported
from progtrain_json import write_json

_MOST_IDS = 50_000
_MOST_BYTES = 64 * 2**20
#: samplers of numbers of which the split is told: a script that makes one for each fold has many
_MOST_SAMPLERS = 8
_LONGEST_PATH = 500
_VERSION = re.compile(r"\bv\d{3,}\b")
_HELD_OUT = (re.compile(r"(?i)(^|_)(val|dev)"), re.compile(r"(?i)(^|_)(eval|test)"))
_TRAINERS = ("/lightning/", "/pytorch_lightning/", "/transformers/")
_NOT_SCRIPTS = ("<frozen", os.path.join(os.path.dirname(os.__file__), ""), os.path.dirname(os.path.abspath(__file__)))
#: functions that were called, and what the last of them drew for validation
_drawn = {"by": [], "ids": None, "parts": [], "samplers": []}
_state = {"process": None, "path": None, "of_loaders": False}


def install(record_path=None):
    """`record_path`: the split is kept beside it, as `split.json`."""
    folder = os.path.dirname(os.path.abspath(record_path)) if record_path else None
    _state.update(process=os.getpid(), path=os.path.join(folder, "split.json") if folder else None)
    when_imported("torch.utils.data.dataset", _wrap_random_split)
    when_imported("torch.utils.data.sampler", _wrap_sampler)
    when_imported("sklearn.model_selection._split", _wrap_train_test_split)


def _wrap_random_split(module):
    draw = module.random_split

    @functools.wraps(draw)
    def random_split(*args, **kwargs):
        parts = draw(*args, **kwargs)
        _note_parts(parts)
        return parts

    _put(module, "torch.utils.data", "random_split", random_split)


def _put(module, package, name, function):
    """In the module, and in the package that may have taken it from there already."""
    setattr(module, name, function)
    if hasattr(sys.modules.get(package), name):
        setattr(sys.modules[package], name, function)


@quietly
def _note_parts(parts):
    """All but the largest are held out."""
    if len(parts) > 1:
        largest = max(range(len(parts)), key=lambda number: len(parts[number]))
        held_out = [part for number, part in enumerate(parts) if number != largest]
        _note("random_split", [number for part in held_out for number in _numbers(part)])


def _wrap_sampler(module):
    begin = module.SubsetRandomSampler.__init__

    @functools.wraps(begin)
    def __init__(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        _note_sampler(self)

    module.SubsetRandomSampler.__init__ = __init__


@quietly
def _note_sampler(sampler):
    """All but the largest are held out. What a function drew before tells more of how."""
    samplers = _drawn["samplers"]
    if len(samplers) < _MOST_SAMPLERS and set(_drawn["by"]) <= {"SubsetRandomSampler"}:
        samplers.append([int(number) for number in sampler.indices])
        if len(samplers) > 1:
            largest = max(range(len(samplers)), key=lambda number: len(samplers[number]))
            _note("SubsetRandomSampler", [one for at, ids in enumerate(samplers) if at != largest for one in ids])


def _wrap_train_test_split(module):
    draw = module.train_test_split

    @functools.wraps(draw)
    def train_test_split(*arrays, **options):
        numbers = _numbered(arrays)
        if numbers is None:
            return draw(*arrays, **options)
        # one array more is parted as the others are, and tells how
        *parts, train, test = draw(*arrays, numbers, **options)
        _note_test(len(numbers), train, test)
        return parts

    _put(module, "sklearn.model_selection", "train_test_split", train_test_split)


@quietly
def _numbered(arrays):
    lengths = {array.shape[0] if hasattr(array, "shape") else len(array) for array in arrays}
    if len(lengths) != 1:
        return None
    import numpy

    return numpy.arange(lengths.pop())


@quietly
def _note_test(count, train, test):
    """Of a part that was drawn before, the numbers are those of the whole."""
    before = next((part for part in reversed(_drawn["parts"]) if len(part) == count), range(count))
    _drawn["parts"].append([before[number] for number in train])
    _note("train_test_split", [int(before[number]) for number in test])


def _note(by, ids):
    if os.getpid() != _state["process"]:
        return
    _drawn["by"].append(by)
    _drawn["ids"] = ids
    if _state["path"] and not _state["of_loaders"]:
        write_json(_state["path"], _told(by, ids))


# what is told


@quietly
def keep(loaders):
    """Of a training: what the validation loaders hold counts more than what was drawn."""
    found = facts(loaders)
    if found and _state["path"]:
        _state["of_loaders"] = True
        write_json(_state["path"], found)


@quietly
def facts(loaders):
    """`{"by", "count", "sha256", "ids"}`, where the script itself made the split; else None."""
    last = _drawn["by"][-1] if _drawn["by"] else None
    pairs = flat(loaders) if loaders is not None else []
    ids, by = [], None
    for place, (_, loader) in enumerate(pairs):
        found = _sampled(loader) or _ids_of(getattr(loader, "dataset", None))
        # what a function drew tells more of how than the files
        if found is None or (last and found[0] == "listed"):
            return _told(last, _drawn["ids"]) if last else None
        by = last or found[0]
        ids += [f"{place}/{one}" for one in found[1]] if len(pairs) > 1 else found[1]
    if ids:
        return _told(by, ids)
    return _told(last, _drawn["ids"]) if last else None


def _sampled(loader):
    """The numbers that its sampler is bound to; None where it goes through all of the data set."""
    sampler, dataset = getattr(loader, "sampler", None), getattr(loader, "dataset", None)
    if type(sampler).__name__ != "SubsetRandomSampler":
        return None
    whole = _numbers(dataset) if hasattr(dataset, "indices") and hasattr(dataset, "dataset") else None
    numbers = [int(number) for number in sampler.indices]
    return "SubsetRandomSampler", [whole[number] for number in numbers] if whole else numbers


def _ids_of(dataset):
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        return "Subset", list(_numbers(dataset))
    tensors = getattr(dataset, "tensors", None)
    if isinstance(tensors, tuple) and tensors:
        digests = _row_digests(tensors)
        return None if digests is None else ("content", digests)
    paths = quietly(paths_of)(dataset)
    # a copy of the data for each version is the same data
    return ("listed", [_VERSION.sub("v", path) for path in paths]) if paths else None


def paths_of(dataset):
    """The files or names that a data set lists, one for each of its samples and no two alike; else None."""
    count = len(dataset) if hasattr(dataset, "__len__") else 0
    for value in vars(dataset).values() if 0 < count <= _MOST_IDS and hasattr(dataset, "__dict__") else ():
        if isinstance(value, (list, tuple)) and len(value) == count:
            paths = [_path_in(one) for one in value]
            if None not in paths and len(set(paths)) == count:
                return paths
    return None


def _path_in(listed):
    """Itself, or the first of a pair such as (path, label)."""
    parts = listed if isinstance(listed, (list, tuple)) else [listed]
    named = next((os.fspath(part) for part in parts if isinstance(part, (str, os.PathLike))), None)
    return named if isinstance(named, str) and len(named) <= _LONGEST_PATH else None


@quietly
def keep_named(frame):
    """As `keep`, of a loop of the script's own, which only its names tell of."""
    if not_drawn():
        keep(named_held_out(frame))


def not_drawn():
    """What was drawn by a function tells of the split without a look at names."""
    return not _drawn["by"]


def named_held_out(frame):
    """Loaders of a loop of the script's own that it calls those of its validation; else of its test.

    `frame`: where it trains. Looked at are the variables there and in whoever called it, dicts of loaders, and what
    `self` has.
    """
    found = {}
    while frame is not None:
        if any(trainer in frame.f_code.co_filename for trainer in _TRAINERS):
            return None
        for name, value in [*frame.f_locals.items(), *frame.f_globals.items()] if _is_of_script(frame) else ():
            inside = {name: value}
            if type(value) is dict or name == "self":
                inside = value if type(value) is dict else getattr(value, "__dict__", {})
            found.update({str(key): one for key, one in inside.items() if _is_loader(one)})
        frame = frame.f_back
    for wanted in _HELD_OUT:
        loaders = {id(one): one for name, one in found.items() if wanted.search(name) and "train" not in name.lower()}
        if loaders:
            return list(loaders.values())
    return None


def _is_loader(value):
    """Of torch, or of a library that has put its own around it."""
    return any(kind.__name__.endswith("DataLoader") for kind in type(value).__mro__) and hasattr(value, "dataset")


def _is_of_script(frame):
    path = frame.f_code.co_filename
    return "/site-packages/" not in path and "/dist-packages/" not in path and not path.startswith(_NOT_SCRIPTS)


def _numbers(subset):
    """In the whole, for a Subset of a Subset too."""
    numbers = [int(number) for number in subset.indices]
    inner = subset.dataset
    if hasattr(inner, "indices") and hasattr(inner, "dataset"):
        outer = _numbers(inner)
        return [outer[number] for number in numbers]
    return numbers


def _row_digests(tensors):
    arrays = [tensor.detach().cpu().contiguous().numpy() for tensor in tensors]
    if len(arrays[0]) > _MOST_IDS or sum(array.nbytes for array in arrays) > _MOST_BYTES:
        return None
    return [
        hashlib.blake2b(b"".join(array[row].tobytes() for array in arrays), digest_size=6).hexdigest()
        for row in range(len(arrays[0]))
    ]


def _told(by, ids):
    """The ids themselves are kept packed, where they are not too many."""
    numbers = all(type(one) is int for one in ids)
    text = json.dumps(sorted(ids) if numbers else sorted(ids, key=str))
    told = {"by": by, "count": len(ids), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    if len(ids) <= _MOST_IDS:
        told["ids"] = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return told
