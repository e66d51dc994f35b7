"""The best checkpoint of a version, between the script's preprocess and postprocess."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .common import ROOT, EvalError, calling, read_json
from .outputs import scores_in
from .samples import Samples


def load_model(script: ModuleType, checkpoint: Path) -> Any:
    name, where = Path(str(script.__file__)).name, checkpoint.relative_to(ROOT)
    if not checkpoint.is_file():
        raise EvalError(f"{where} does not exist: run `python {name}` first")
    loaders = {cls.__name__: cls.load_from_checkpoint for cls in model_classes(script)}
    if hasattr(script, "load_model"):
        loaders = {"load_model()": lambda path, **_: script.load_model(path)}
    if not loaders:
        raise EvalError(f"{name} defines no LightningModule and offers no load_model(checkpoint_path)")
    # objects in a checkpoint were pickled while the script was the main program, and are looked up there
    main, sys.modules["__main__"] = sys.modules["__main__"], script
    problems = []
    try:
        for loader, load in loaders.items():
            try:
                with calling(f"loading it with {loader}"):
                    return load(checkpoint, map_location="cpu", weights_only=False).eval()
            except EvalError as error:
                problems.append(str(error))
    finally:
        sys.modules["__main__"] = main
    fix = "does __init__ call save_hyperparameters()? Else offer load_model(checkpoint_path)"
    raise EvalError(f"{where} does not fit the model of {name}: {'; '.join(problems)}; {fix}")


def model_classes(script: ModuleType) -> list[Any]:
    """The LightningModules of the script, without those that others inherit from."""
    found = [v for v in vars(script).values() if isinstance(v, type) and hasattr(v, "load_from_checkpoint")]
    found = [c for c in found if hasattr(c, "training_step") and "lightning" not in c.__module__.split(".")[0]]
    return [c for c in found if not any(c is not other and issubclass(other, c) for other in found)]


@dataclass
class Answer:
    """Of a model to one sample: scores (logits, probabilities, numbers), a finished prediction, or both."""

    scores: Any
    prediction: Any = None
    #: what answered, where a model from elsewhere says so: "router", "fallback"
    served_by: str = ""
    #: why there is no answer; empty: there is one
    error: str = ""


class TrainedModel:
    """The best checkpoint of a version between the script's preprocess and postprocess."""

    def __init__(self, script: ModuleType, checkpoint: Path, samples: Samples) -> None:
        self.model, self.collate = load_model(script, checkpoint), samples.collate
        # a GPU only where the training used one
        trained_on = str(read_json(checkpoint.parent / "spec.json").get("device") or "")
        self.device = torch.device("cuda" if trained_on.startswith("cuda") and torch.cuda.is_available() else "cpu")
        self.lightning = hasattr(self.model, "transfer_batch_to_device")
        if self.lightning:
            self.model.to(self.device)
        self.settings = dict(getattr(self.model, "hparams", {}))
        self.preprocess = getattr(script, "preprocess", as_input) if samples.raw else lambda ready: ready
        self.postprocess: Callable[[Tensor], Any] = getattr(script, "postprocess", lambda scores: None)

    def answer(self, raws: Sequence[Any]) -> list[Answer]:
        batch = self.collate([self.preprocess(raw) for raw in raws])
        if self.lightning:
            batch = self.model.transfer_batch_to_device(batch, self.device, 0)
        if isinstance(batch, Mapping) and set(batch) <= set(inspect.signature(self.model.forward).parameters):
            output = self.model(**batch)
        else:
            several = isinstance(batch, list) and isinstance(batch[0], Tensor)
            output = self.model(*batch) if several else self.model(batch)
        scores = scores_in(output)
        if scores is None:
            raise EvalError("forward returns neither a tensor nor a tuple, dict or object with `logits`")
        if isinstance(scores, Tensor):
            scores = scores.float().cpu()
            # a forward that ends in squeeze() drops the dimension of a batch of one
            scores = list(scores) if scores.dim() and len(scores) == len(raws) else [scores]
        return [Answer(row, self.postprocess(row)) for row in scores]


def as_input(raw: Any) -> Any:
    """Where the script has no preprocess: text and dicts go in as they are, all else as a float32 tensor."""
    if isinstance(raw, (str, Mapping)):
        return raw
    return torch.as_tensor(raw if isinstance(raw, Tensor) else np.array(raw), dtype=torch.float32)
