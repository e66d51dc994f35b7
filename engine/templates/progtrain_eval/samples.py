"""The samples of a split: from load_split(), or from the data set of a loader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch.utils.data import DataLoader, RandomSampler, default_collate

from .batches import TARGETS
from .common import EvalError, calling

#: functions that make a loader
LOADERS = ("val_dataloader", "make_val_dataloader", "get_val_dataloader", "build_val_dataloader")


@dataclass
class Samples:
    """The samples of a split; `collate` makes a batch of preprocessed inputs."""

    ids: list[str]
    raws: list[Any]
    targets: list[Any]
    collate: Callable[[list[Any]], Any] = default_collate
    #: False: they come from a DataLoader, ready for the model
    raw: bool = True
    names: list[str] | None = None


def load_samples(script: ModuleType, split: str) -> Samples:
    name = Path(str(script.__file__)).name
    with calling(f"reading the {split} samples of {name}"):
        if hasattr(script, "load_split"):
            samples = from_split(script.load_split(split))
        else:
            name_of = "val_dataloader" if split == "valid" else f"{split}_dataloader"
            names = [name.replace("val_dataloader", name_of) for name in LOADERS]
            make = next((getattr(script, n) for n in names if callable(getattr(script, n, None))), None)
            if make is None:
                raise EvalError(f"{name} offers neither load_split(split) nor {name_of}()")
            samples = from_loader(make())
    if not samples.ids:
        raise EvalError(f"{name} gives no samples for the split {split!r}")
    repeated, times = Counter(samples.ids).most_common(1)[0]
    if times > 1:
        raise EvalError(f"{name}: the sample id {repeated!r} comes {times} times in the split {split!r}")
    return samples


def from_split(result: Any) -> Samples:
    if isinstance(result, tuple) and len(result) == 2:
        raws, targets = (part.to_numpy() if hasattr(part, "to_numpy") else part for part in result)
        if len(raws) != len(targets):
            raise EvalError(f"load_split gives {len(raws)} samples and {len(targets)} targets")
        result = list(zip(raws, targets))
    rows = [row if len(row) == 3 else (f"{n:06d}", *row) for n, row in enumerate(result)]
    return Samples([str(row[0]) for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def from_loader(loader: Any) -> Samples:
    """The items of a DataLoader's data set, one by one."""
    loader = loader[0] if isinstance(loader, (list, tuple)) else loader
    items = [split_item(loader.dataset[index]) for index in range(len(loader.dataset))]

    # a collate function takes whole items: any target will do
    def collate(inputs: list[Any]) -> Any:
        return loader.collate_fn([(x, items[0][1]) for x in inputs])[0]

    ids = [f"{index:06d}" for index in range(len(items))]
    own = default_collate if isinstance(loader.dataset[0], Mapping) else collate
    return Samples(ids, [x for x, _ in items], [target for _, target in items], own, False, class_names(loader))


def class_names(loader: Any) -> list[str] | None:
    """What the data set calls its classes (`classes`, as torchvision's do), or the one that it is a part of."""
    place = loader[0] if isinstance(loader, (list, tuple)) and loader else loader
    while (place := getattr(place, "dataset", None)) is not None:
        names = getattr(place, "classes", None)
        if isinstance(names, (list, tuple)) and names:
            return [str(name) for name in names]
    return None


def split_item(item: Any) -> tuple[Any, Any]:
    """Input and target of a dataset's item."""
    if not isinstance(item, Mapping):
        return item[0], item[1]
    key = next((k for k in TARGETS if k in item), None)
    if key is None:
        raise EvalError(f"no label or target among the keys of a sample: {', '.join(map(str, item))}")
    rest = {k: v for k, v in item.items() if k != key}
    return (next(iter(rest.values())) if len(rest) == 1 else rest), item[key]


def in_order(loader: Any) -> Any:
    """The same samples in the order of the data set, all of them, whatever the script draws."""
    if not isinstance(loader, DataLoader) or loader.batch_sampler is None:
        return loader
    if not isinstance(loader.sampler, RandomSampler) and not loader.drop_last:
        return loader
    return like(loader, loader.dataset)


def like(loader: Any, dataset: Any) -> Any:
    """A loader of another data set in its order, else the same."""
    same = ("batch_size", "collate_fn", "num_workers", "pin_memory", "worker_init_fn")
    return DataLoader(dataset, **{name: getattr(loader, name) for name in same})
