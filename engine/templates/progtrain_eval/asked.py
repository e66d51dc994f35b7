"""What a training script is asked for where it offers functions: its samples, and its model's answers to inputs."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from .answers import all_answers, median_latency
from .common import calling
from .plain import dumped, packed, unpacked
from .samples import Samples, load_samples
from .scripts import import_file
from .trained import TrainedModel


def about(path: Path, split: str, seed: int) -> SimpleNamespace:
    """Of the script in this process; `opened`: of the files that were told, those that it has opened."""
    return SimpleNamespace(path=path, split=split, seed=seed, script=None, inputs=[], opened=[], confined=False)


def ask(of: SimpleNamespace, verb: str, *given: Any) -> Any:
    """One of `VERBS`. Two processes have the script each, or one has both: answers come of what was taken alone."""
    return VERBS[verb](of, *given)


def facts(of: SimpleNamespace) -> dict[str, Any]:
    """Imports the script. What it says of itself that scores depend on."""
    of.script = of.script or import_file(of.path)
    found = {name: getattr(of.script, name, None) for name in ("DATASET_ID", "CLASS_NAMES")}
    own = hasattr(of.script, "per_sample_loss")
    return {name: packed(value, exact=False) for name, value in found.items()} | {"per_sample_loss": own}


def samples(of: SimpleNamespace) -> tuple[list[str], list[Any], list[str] | None]:
    """Ids, targets, and what the data call the classes."""
    facts(of)
    of.all = load_samples(of.script, of.split)
    return of.all.ids, packed(of.all.targets), of.all.names


def handed(of: SimpleNamespace, places: Sequence[int]) -> list[bytes] | None:
    """Inputs for another process that has imported the script; None where they are not to be handed over."""
    try:
        return [pickle.dumps(of.all.raws[n], 4) for n in places]
    except Exception:  # noqa: BLE001 - whatever the objects of a script say
        return None


def fingerprint(of: SimpleNamespace) -> str:
    """Of ids and inputs, whatever their order; empty where the inputs are more than numbers, texts and arrays."""
    try:
        rows = [(name, hashlib.sha256(dumped(packed(raw))).hexdigest()) for name, raw in zip(of.all.ids, of.all.raws)]
    except Exception:  # noqa: BLE001 - whatever the objects of a script say
        return ""
    return hashlib.sha256(repr(sorted(rows)).encode("utf-8", "surrogatepass")).hexdigest()


def take(of: SimpleNamespace, handed_over: Sequence[bytes]) -> None:
    facts(of)
    with calling(f"taking the inputs of {of.path.name}"):
        of.inputs += [pickle.loads(data) for data in handed_over]


def take_own(of: SimpleNamespace, places: Sequence[int]) -> None:
    of.inputs = [of.all.raws[n] for n in places]


def answer(
    of: SimpleNamespace, checkpoint: Path, batch: int, latency: tuple[int, int]
) -> tuple[float | None, str, dict[str, Any]]:
    """Answers to all that was taken. Milliseconds for one, the device, and the model's settings."""
    facts(of)
    known = Samples([], [], []) if hasattr(of.script, "load_split") else load_samples(of.script, of.split)
    torch.manual_seed(of.seed)
    with calling(f"inference with {checkpoint.parent.name}"), torch.inference_mode():
        model = TrainedModel(of.script, checkpoint, known)
        of.answers = all_answers(model, of.inputs, batch)
        took = median_latency(model, of.inputs, *latency)
    return took, str(model.device), packed(dict(model.settings), exact=False)


def answered(of: SimpleNamespace, begin: int, end: int) -> list[tuple[Any, Any]]:
    return [(packed(one.scores), packed(one.prediction)) for one in of.answers[begin:end]]


def loss(of: SimpleNamespace, scores: Any, target: Any) -> float:
    with calling(f"per_sample_loss of {of.path.name}"):
        return float(of.script.per_sample_loss(unpacked(scores), unpacked(target)))


def shown(of: SimpleNamespace, places: Sequence[int]) -> list[Any]:
    return [packed(of.all.raws[n], exact=False) for n in places]


def listen(of: SimpleNamespace, hidden: Sequence[str]) -> None:
    """Notes which of these, or of what lies in them, is opened from here on."""
    places = [f"{os.path.realpath(path)}/" for path in hidden]

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
            real = os.path.realpath(os.fsdecode(args[0]))
            if any(f"{real}/".startswith(place) for place in places) and real not in of.opened:
                of.opened.append(real)

    sys.addaudithook(hear)


VERBS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (facts, samples, fingerprint, handed, take, take_own, answer, answered, loss, shown)},
    "has_opened": lambda of: of.opened,
    "confined": lambda of: of.confined,
}
