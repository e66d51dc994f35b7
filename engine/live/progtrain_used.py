"""What a training really used, seen while it steps: the values of its optimizers, the sizes of its batches, its passes
over the data, its seed, its dropout. Written to used.json beside the record, whatever framework or loop trains.

Constants, configuration files and logs say what a script means to do; this says what it did.
"""

import atexit
import collections
import functools
import os
import sys
import time
import types
import weakref

from progtrain_hooks import faults, quietly, when_imported
from progtrain_json import class_name, plain, write_json
from progtrain_split import keep_named

_SECONDS_BETWEEN_WRITES = 5.0
_MOST_OPTIMIZERS, _MOST_GROUPS, _MOST_LOADERS, _MOST_SIZES, _MOST_WAITING = 16, 64, 32, 64, 4096
_WATCHED = ("lr", "weight_decay")
#: processes of one training beside the first say nothing: they do the same
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
#: whose steps only look for a setting
_SEARCHES = ("lr_finder", "batch_size_scaling")


_schedulers = weakref.WeakSet()
_state = {"path": None, "seen": None, "scheduled": False}


def install(record_path):
    """`record_path`: of record.json, beside which it is written."""
    if any(os.environ.get(name, "0") not in ("", "0") for name in _RANKS):
        return
    _state["path"] = os.path.join(os.path.dirname(os.path.abspath(record_path)), "used")
    # a program that the script starts has a file of its own
    os.environ.setdefault("PROGTRAIN_USED_BY", str(os.getpid()))
    atexit.register(_ended)
    when_imported("torch.optim.optimizer", _watch_optimizers)
    when_imported("torch.optim.lr_scheduler", _watch_schedulers)
    when_imported("torch.utils.data.dataloader", _watch_loaders)


def _now():
    """What was seen in this process; a child that was forked begins anew."""
    seen = _state["seen"]
    if seen is None or seen.process != os.getpid():
        seen = _state["seen"] = types.SimpleNamespace(
            process=os.getpid(),
            steps=0,
            written=0.0,
            searched=False,
            optimizers=[],
            known=weakref.WeakKeyDictionary(),
            loaders={},
            waiting=collections.deque(maxlen=_MOST_WAITING),
            more={},
        )
    return seen


# optimizers


def _watch_optimizers(module):
    register = getattr(module, "register_optimizer_step_pre_hook", None)
    if register is not None:
        register(_before_step)


def _watch_schedulers(module):
    for name in ("LRScheduler", "_LRScheduler", "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler"):
        kind = getattr(module, name, None)
        if kind is not None and "__init__" in vars(kind):
            kind.__init__ = _noting(kind.__init__)


def _noting(make):
    @functools.wraps(make)
    def __init__(self, *args, **kwargs):
        quietly(_schedulers.add)(self)
        _state["scheduled"] = True
        make(self, *args, **kwargs)

    return __init__


@quietly
def _before_step(optimizer, args, kwargs):
    seen = _now()
    entry = seen.known.get(optimizer)
    if entry is None:
        if len(seen.optimizers) >= _MOST_OPTIMIZERS:
            return
        entry = _begin(seen, optimizer)
    seen.steps += 1
    entry["steps"] += 1
    entry["to"] = seen.steps
    values = [tuple(map(group.get, _WATCHED)) for group in optimizer.param_groups[:_MOST_GROUPS]]
    if _differ(values, entry["values"]):
        _note_change(entry, optimizer, values)
    if seen.waiting:
        _credit(seen, entry)
    now = time.monotonic()
    if now - seen.written > _SECONDS_BETWEEN_WRITES:
        seen.written = now
        _write()


def _begin(seen, optimizer):
    if not seen.steps:
        keep_named(sys._getframe())
        torch = sys.modules["torch"]
        seen.more["seed"] = {"torch": torch.initial_seed(), "everything": os.environ.get("PL_GLOBAL_SEED")}
    if _is_search():
        seen.searched = True
    entry = {
        "class": class_name(optimizer),
        "defaults": {name: plain(optimizer.defaults.get(name)) for name in _WATCHED},
        "steps": 0,
        "from": seen.steps + 1,
        "to": seen.steps + 1,
        "groups": [],
        "by_hand": dict.fromkeys(_WATCHED, 0),
        "batches_of_a_step": {},
        "values": [],
    }
    seen.optimizers.append(entry)
    seen.known[optimizer] = entry
    return entry


def _is_search():
    """Whether these steps only look for a learning rate or a batch size."""
    frame = sys._getframe(1)
    while frame is not None:
        if any(name in frame.f_code.co_filename for name in _SEARCHES):
            return True
        frame = frame.f_back
    return False


def _differ(values, before):
    """A tensor is not looked into at every step: that would wait for the device."""
    if len(values) != len(before):
        return True
    return any(
        one is not other and (not isinstance(one, (int, float)) or one != other)
        for now, then in zip(values, before)  # noqa: B905 - Python 3.9
        for one, other in zip(now, then)  # noqa: B905
    )


def _note_change(entry, optimizer, values):
    for number, (group, now) in enumerate(zip(optimizer.param_groups, values)):  # noqa: B905 - Python 3.9
        fresh = number >= len(entry["groups"])
        if fresh:
            entry["groups"].append({"parameters": sum(p.numel() for p in group["params"] if hasattr(p, "numel"))})
        told = entry["groups"][number]
        for name in ("initial_lr", "max_lr"):
            if name in group:
                told[name] = _number(group[name])
        for position, name in enumerate(_WATCHED):
            value = _number(now[position])
            if value is None:
                continue
            of = told.setdefault(name, {"first": value, "lowest": value, "highest": value, "last": value})
            if not fresh and value != of["last"] and not (name == "lr" and _by_scheduler(number, value)):
                entry["by_hand"][name] += 1
            of["lowest"], of["highest"], of["last"] = min(of["lowest"], value), max(of["highest"], value), value
    entry["values"] = values


def _by_scheduler(number, value):
    for scheduler in list(_schedulers):
        rates = getattr(scheduler, "_last_lr", None) or ()
        if number < len(rates) and abs(_number(rates[number]) - value) <= 1e-9 * abs(value):
            return True
    return False


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None


# batches


def _watch_loaders(module):
    loader, batches = module.DataLoader, module._BaseDataLoaderIter
    begin, reset = loader.__iter__, batches._reset
    draw, advance = batches._next_index, batches.__next__
    torch = sys.modules["torch"]

    @functools.wraps(begin)
    def __iter__(self):
        found = begin(self)
        _name_it(self, found)
        return found

    @functools.wraps(reset)
    def _reset(self, *args, **kwargs):
        self.__dict__.pop("_progtrain_sizes", None)
        return reset(self, *args, **kwargs)

    @functools.wraps(draw)
    def _next_index(self):
        index = draw(self)
        # of samples, not of a tensor: whatever the collate function makes of them
        size = len(index) if isinstance(index, (list, tuple)) else None
        self.__dict__.setdefault("_progtrain_sizes", collections.deque()).append(size)
        return index

    @functools.wraps(advance)
    def __next__(self):
        batch = advance(self)
        known = self.__dict__
        sizes = known.get("_progtrain_sizes")
        size = sizes.popleft() if sizes else None
        if "_progtrain" in known and torch.is_grad_enabled():
            _now().waiting.append((known["_progtrain"], size))
        return batch

    loader.__iter__ = __iter__
    batches._reset, batches._next_index, batches.__next__ = _reset, _next_index, __next__


@quietly
def _name_it(loader, batches):
    seen = _now()
    key = id(loader.dataset), loader.batch_size, getattr(loader.batch_sampler, "batch_size", None)
    if key not in seen.loaders:
        if len(seen.loaders) >= _MOST_LOADERS:
            return
        seen.loaders[key] = {
            "batch_size": plain(loader.batch_size or key[2]),
            "samples": _length(loader.dataset),
            "drawn": class_name(loader.batch_sampler) if loader.batch_sampler is not None else None,
            "steps": 0,
            "sizes": {},
            "passes": {},
        }
    batches._progtrain = key, _length(loader)


def _length(sized):
    try:
        return len(sized)
    except Exception:  # many kinds of error say that there is no length
        return None


def _credit(seen, entry):
    """The batches since the last step are those that this step learns from."""
    (last, _), _ = seen.waiting[-1]
    number = str(seen.optimizers.index(entry))
    counts = collections.Counter(key for (key, _), _ in seen.waiting)
    for (key, length), size in seen.waiting:
        told = seen.loaders.get(key)
        if told is None:
            continue
        if size is not None and (str(size) in told["sizes"] or len(told["sizes"]) < _MOST_SIZES):
            told["sizes"][str(size)] = told["sizes"].get(str(size), 0) + 1
        if length:
            told["passes"][number] = told["passes"].get(number, 0.0) + 1 / length
    seen.waiting.clear()
    for key, count in counts.items():
        # those that are drawn from together; what was only looked at in between has as many as it has
        if key in seen.loaders and count == counts[last]:
            seen.loaders[key]["steps"] += 1
    of, count = entry["batches_of_a_step"], str(counts[last])
    if count in of or len(of) < _MOST_SIZES:
        of[count] = of.get(count, 0) + 1


# models and trainers, by whoever knows them


@quietly
def see_model(model, when):
    """`when`: "begin" or "end" of a training."""
    if not _state["path"]:
        return
    rates = [getattr(part, "p", None) for part in model.modules() if "Dropout" in type(part).__name__]
    rates += [part.dropout for part in model.modules() if isinstance(getattr(part, "dropout", None), float)]
    found = {"dropout": sorted({float(rate) for rate in rates if isinstance(rate, (int, float))})}
    if when == "begin":
        shapes = (getattr(parameter, "shape", ()) for parameter in model.parameters())
        found["sizes"] = sorted({int(size) for shape in shapes for size in shape})[:256]
    _now().more.setdefault("model", {})[when] = found


@quietly
def see_trainer(**facts):
    """As they are when the training ends."""
    if _state["path"]:
        _now().more["trainer"] = {name: plain(value) for name, value in facts.items()}
        _write()


# the file


@quietly
def _ended():
    if "torch" in sys.modules:
        _write()


@quietly
def _write():
    seen = _now()
    first = os.environ.get("PROGTRAIN_USED_BY") == str(seen.process)
    if not (first or seen.steps):
        return
    content = {
        "process": "the script" if first else "a program that it started",
        "steps": seen.steps,
        "searched": seen.searched,
        "scheduled": _state["scheduled"],
        "optimizers": [{name: part for name, part in one.items() if name != "values"} for one in seen.optimizers],
        "loaders": [one for one in seen.loaders.values() if one["steps"]],
        **seen.more,
        "faults": faults,
    }
    write_json(f"{_state['path']}.json" if first else f"{_state['path']}_{seen.process}.json", content)
