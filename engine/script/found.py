"""What a probed script says of itself: its task, its metrics, its data, and a page for people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from progtrain.engine import metrics, values
from progtrain.engine.script import epoch_table, printed
from progtrain.engine.script import probe as probing
from progtrain.engine.script.names import canonical
from progtrain.engine.script.nodes import argument, calls, identifiers, text_of
from progtrain.engine.text import clean_line

_TARGETS = ("labels", "label", "targets", "target", "y")
#: whole numbers above this are counts or ids rather than classes
_MOST_CLASSES = 10_000
#: shown of the settings; the configuration of a pretrained model has a hundred
_MOST_SETTINGS = 14
_OF_CLASSES = re.compile(
    r"(?<!binary_)cross_?entropy|nll|margin_?loss|focal|acc(uracy)?($|_|\d)|classifi|argmax|num_(classes|labels)",
    re.IGNORECASE,
)
_OF_TWO = re.compile(r"binary_cross_entropy|^BCE|auroc|f1", re.IGNORECASE)
_VALIDATION = re.compile(r"(val|valid|validation|eval|dev)[_/ -]\w+")
_OTHER_SET = re.compile(r"(train|training|test)([_/ -]|$)")


# ---- data


def loaders(probe: Mapping[str, Any], split: str) -> list[Mapping[str, Any]]:
    """Of "train" or "val"."""
    held = probe.get("loaders")
    listed = held.get(split) if isinstance(held, Mapping) else None
    return [loader for loader in listed or [] if isinstance(loader, Mapping)]


def statistics(probe: Mapping[str, Any], trees: Iterable[ast.Module]) -> dict[str, Any]:
    """`stats.json`, as far as the loaders tell it."""
    stats: dict[str, Any] = {"told_by": "the script's own loaders"}
    task, classes = task_of(probe), classes_of(probe)
    if task == "classification" and not _tells_classes_apart(trees, classes):
        task, classes = None, None
    if task:
        stats["task_type"] = task
    if classes:
        stats["num_classes"] = classes
    splits = {"train": loaders(probe, "train")[:1], "valid": loaders(probe, "val")}
    for split, found in splits.items():
        counts = [loader.get("samples") for loader in found]
        known = [count for count in counts if isinstance(count, int)]
        facts: dict[str, Any] = {"num_samples": sum(known)} if known and len(known) == len(counts) else {}
        if found and (batch := _batch(found[0])) is not None:
            facts["batch"] = batch
        if facts:
            stats.setdefault("splits", {})[split] = facts
    return stats


def _batch(loader: Mapping[str, Any]) -> Any:
    batch = loader.get("batch")
    return batch.get("structure") if isinstance(batch, Mapping) else None


def _target(batch: Any) -> Mapping[str, Any]:
    """The tensor that looks like the target: by its name, else the last of several; empty where none does."""
    if isinstance(batch, list) and len(batch) > 1:
        found = batch[-1]
    elif isinstance(batch, Mapping) and not _is_tensor(batch):
        found = next((batch[name] for name in _TARGETS if name in batch), None)
    else:
        found = None
    return found if isinstance(found, Mapping) and _is_tensor(found) else {}


def _is_tensor(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("shape"), list) and isinstance(value.get("dtype"), str)


def task_of(probe: Mapping[str, Any]) -> str | None:
    """Guessed from the targets of a batch; None where they leave it open."""
    batches = [_batch(loader) for split in ("val", "train") for loader in loaders(probe, split)]
    for batch in batches:
        target = _target(batch)
        if not target:
            continue
        shape, low, high = target["shape"], target.get("min"), target.get("max")
        one_each = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        if not target["dtype"].startswith(("int", "uint", "bool")):
            # nought and one may be classes as well as numbers
            return "regression" if one_each and (low, high) != (0, 1) else None
        whole = isinstance(low, int) and isinstance(high, int) and low >= 0 and high < _MOST_CLASSES
        if one_each:
            return "classification" if whole else None
        first = batch[0] if isinstance(batch, list) and isinstance(batch[0], Mapping) else {}
        pictures = len(first.get("shape") or []) == 4
        return "segmentation" if whole and pictures and len(shape) == 3 else None
    return None


def _tells_classes_apart(trees: Iterable[ast.Module], classes: int | None) -> bool:
    """Whether some name in the source is that of a loss or a metric of classes: an autoencoder has labels too, and
    does not look at them.
    """
    told = {name for tree in trees for name in identifiers(tree)}
    return any(_OF_CLASSES.search(name) or (classes == 2 and _OF_TWO.search(name)) for name in told)


def classes_of(probe: Mapping[str, Any]) -> int | None:
    """By the module's own hyperparameter, else as many as the batches looked at show."""
    for name, value in probing.used(probe).items():
        if canonical(name) == "num_classes" and isinstance(value, int):
            return value
    if task_of(probe) != "classification":
        return None
    highest = [_target(_batch(loader)).get("max") for split in ("train", "val") for loader in loaders(probe, split)]
    known = [number for number in highest if isinstance(number, int)]
    return max(known) + 1 if known else None


# ---- metrics


def monitored(probe: Mapping[str, Any]) -> dict[str, bool | None]:
    """Name -> whether higher is better, as checkpoints and early stopping of the script have it."""
    found: dict[str, bool | None] = {}
    for callback in [*(probe.get("checkpoints") or []), *(probe.get("early_stopping") or [])]:
        name = callback.get("monitor") if isinstance(callback, Mapping) else None
        if isinstance(name, str) and not _OTHER_SET.match(name):
            found.setdefault(name, {"max": True, "min": False}.get(str(callback.get("mode"))))
    return found


def logged(probe: Mapping[str, Any], trees: Sequence[ast.Module]) -> Iterator[str]:
    """Names that validation logs, as far as they stand in the source: `self.log("val_acc", ...)`, `f"{stage}_acc"`,
    texts such as `"val_loss"` elsewhere, and what a loop of its own computes or prints.
    """
    if probe.get("reached") == "step":
        yield from printed.announced(trees)
    for tree in trees:
        for function in ast.walk(tree):
            if isinstance(function, ast.For) and probe.get("reached") == "step":
                yield from epoch_table.validation_names(function)
            if isinstance(function, ast.FunctionDef):
                outside = function.name.startswith(("training", "train", "test", "predict"))
                for name in _logged_in(function):
                    if _VALIDATION.fullmatch(name) or not (outside or _OTHER_SET.match(name)):
                        yield name
        for node in ast.walk(tree):
            text = text_of(node) if isinstance(node, ast.Constant) else None
            if text and _VALIDATION.fullmatch(text) and metrics.higher_is_better(text) is not None:
                yield text


def _logged_in(function: ast.FunctionDef) -> Iterator[str]:
    for call in calls(function, "log"):
        if (node := argument(call, "name", 0)) is not None:
            yield from _log_name(node)
    for call in calls(function, "log_dict"):
        node = argument(call, "dictionary", 0)
        for key in node.keys if isinstance(node, ast.Dict) else ():
            if key is not None:
                yield from _log_name(key)


def _log_name(node: ast.expr) -> Iterator[str]:
    """What an f-string begins with is taken for the name of the split."""
    if (text := text_of(node)) is not None:
        yield text
    elif isinstance(node, ast.JoinedStr) and len(node.values) == 2 and isinstance(node.values[0], ast.FormattedValue):
        rest = text_of(node.values[1]) or ""
        if re.fullmatch(r"[_/ -]\w+", rest):
            yield f"val{rest}"


def offered_metrics(probe: Mapping[str, Any], trees: Sequence[ast.Module]) -> dict[str, bool | None]:
    """What may rank, the best guess first: what the script monitors, what validation logs, the loss.

    Under its usual name where it has one; with the direction, None where nobody tells it.
    """
    own = monitored(probe)
    others = dict.fromkeys(name for name in logged(probe, trees) if not any(metrics.same(name, known) for known in own))
    # a score says more to a person than the loss does
    ranked = [
        *own,
        *sorted(others, key=lambda name: (metrics.higher_is_better(name) is None, metrics.same(name, "loss"))),
    ]
    found: dict[str, bool | None] = {}
    for name in [*ranked, "loss"]:
        known = metrics.higher_is_better(name)
        usual = name if known is None else metrics.canonical(name)
        found.setdefault(usual, own.get(name) if known is None else known)
    return found


# ---- the page


def page(probe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Label and text of each line."""
    model = probe.get("model") or {}
    yield "framework", f"{probe.get('framework')} {probe.get('version')}"
    if name := str(model.get("class", "")).rpartition(".")[2]:
        yield "model", f"{name} with {model.get('trainable_parameters', 0):,} parameters to train"
    for split, label in (("train", "training"), ("val", "validation")):
        for loader in loaders(probe, split):
            yield label, clean_line(_described_loader(loader))
    if settings := _settings(probe):
        more = f" and {len(settings) - _MOST_SETTINGS} more" if len(settings) > _MOST_SETTINGS else ""
        listed = [f"{name} {value}" for name, value in settings.items()][:_MOST_SETTINGS]
        yield "settings", clean_line(", ".join(listed) + more)
    if own := monitored(probe):
        ways = {True: " (higher is better)", False: " (lower is better)", None: ""}
        yield "watches", clean_line(", ".join(f"{name}{ways[way]}" for name, way in own.items()))
    if results := results_of(probe):
        yield "results in", clean_line(", ".join(results))
    for name in dict.fromkeys(probe.get("decided_at_run_time") or []):
        yield "at run time", f"{name} is searched for: no action changes it"


def _settings(probe: Mapping[str, Any]) -> dict[str, Any]:
    """Each once, however the module calls its own."""
    found: dict[str, Any] = {}
    for name, value in probing.used(probe).items():
        if not any(canonical(name) == canonical(known) and values.same(value, found[known]) for known in found):
            found[name] = value
    return found


def _described_loader(loader: Mapping[str, Any]) -> str:
    count = loader.get("samples")
    samples = f"{count:,} samples" if isinstance(count, int) else "a stream of samples"
    batch = loader.get("batch")
    failed = f"; {batch['error']}" if isinstance(batch, Mapping) and "error" in batch else ""
    shapes = _shapes(_batch(loader))
    return f"{samples} in batches of {loader.get('batch_size')}" + (f": {shapes}" if shapes else "") + failed


def _shapes(batch: Any) -> str:
    if isinstance(batch, Mapping) and _is_tensor(batch):
        return f"{batch['dtype']} {batch['shape']}"
    if isinstance(batch, Mapping):
        return ", ".join(f"{name} {_shapes(part)}" for name, part in batch.items())
    return ", ".join(_shapes(part) for part in batch) if isinstance(batch, list) else str(batch or "")


def results_of(probe: Mapping[str, Any]) -> list[str]:
    """Folders and files that the script writes, as far as it had named them before its training."""
    folders = [callback.get("folder") or callback.get("dirpath") for callback in probe.get("checkpoints") or []]
    folders += [logger.get("log_dir") for logger in probe.get("loggers") or [] if isinstance(logger, Mapping)]
    written = values.within(probe, "files").get("written") or []
    root = str(probe.get("root") or "")
    shown = [str(path).removeprefix(f"{root}/") for path in [*folders, *written] if path]
    return list(dict.fromkeys(shown))[:8]
