"""What a training script is asked for where it offers functions: its samples, and its model's answers to inputs."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from .answers import all_answers, median_latency
from .common import calling
from .plain import packed, unpacked
from .samples import Samples, load_samples
from .scripts import import_file
from .trained import TrainedModel


class Asked:
    """The script, imported. Two processes have one each, or one has both: answers come of what was taken alone."""

    def __init__(self, path: Path, split: str, seed: int) -> None:
        self.path, self.split, self.seed = path, split, seed
        self.script: Any = None
        self.inputs: list[Any] = []
        #: of the files that are told, those that it has opened
        self.opened: list[str] = []

    def facts(self) -> dict[str, Any]:
        """Imports the script. What it says of itself that scores depend on."""
        self.script = self.script or import_file(self.path)
        found = {name: getattr(self.script, name, None) for name in ("DATASET_ID", "CLASS_NAMES")}
        own = hasattr(self.script, "per_sample_loss")
        return {name: packed(value, exact=False) for name, value in found.items()} | {"per_sample_loss": own}

    def samples(self) -> tuple[list[str], list[Any], list[str] | None]:
        """Ids, targets, and what the data call the classes."""
        self.facts()
        self.all = load_samples(self.script, self.split)
        return self.all.ids, packed(self.all.targets), self.all.names

    def handed(self, places: Sequence[int]) -> list[bytes] | None:
        """Inputs for another process that has imported the script; None where they are not to be handed over."""
        try:
            return [pickle.dumps(self.all.raws[n], 4) for n in places]
        except Exception:  # noqa: BLE001 - whatever the objects of a script say
            return None

    def take(self, handed: Sequence[bytes]) -> None:
        self.facts()
        with calling(f"taking the inputs of {self.path.name}"):
            self.inputs += [pickle.loads(data) for data in handed]

    def take_own(self, places: Sequence[int]) -> None:
        self.inputs = [self.all.raws[n] for n in places]

    def answer(
        self, checkpoint: Path, batch: int, latency: tuple[int, int]
    ) -> tuple[float | None, str, dict[str, Any]]:
        """Answers to all that was taken. Milliseconds for one, the device, and the model's settings."""
        self.facts()
        own = self.script
        samples = Samples([], [], []) if hasattr(own, "load_split") else load_samples(own, self.split)
        torch.manual_seed(self.seed)
        with calling(f"inference with {checkpoint.parent.name}"), torch.inference_mode():
            model = TrainedModel(own, checkpoint, samples)
            self.answers = all_answers(model, self.inputs, batch)
            took = median_latency(model, self.inputs, *latency)
        return took, str(model.device), packed(dict(model.settings), exact=False)

    def answered(self, begin: int, end: int) -> list[tuple[Any, Any]]:
        return [(packed(answer.scores), packed(answer.prediction)) for answer in self.answers[begin:end]]

    def loss(self, scores: Any, target: Any) -> float:
        with calling(f"per_sample_loss of {self.path.name}"):
            return float(self.script.per_sample_loss(unpacked(scores), unpacked(target)))

    def shown(self, places: Sequence[int]) -> list[Any]:
        return [packed(self.all.raws[n], exact=False) for n in places]

    def has_opened(self) -> list[str]:
        return self.opened

    def listen(self, hidden: Sequence[str]) -> None:
        """Notes which of these, or of what lies in them, is opened from here on."""
        places = [f"{os.path.realpath(path)}/" for path in hidden]

        def hear(event: str, args: tuple[Any, ...]) -> None:
            if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
                real = os.path.realpath(os.fsdecode(args[0]))
                if any(f"{real}/".startswith(place) for place in places) and real not in self.opened:
                    self.opened.append(real)

        sys.addaudithook(hear)
