"""What a model said within a validation step, and what it is to be compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .batches import TARGETS, leaves, tensors
from .tasks import lacks_one, squeezed


class Outputs:
    """What the model said within a validation step, seen by hooks on it and on its parts."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.calls: list[tuple[Any, list[Tensor], Any]] = []
        self.began = self.seconds = 0.0
        judges = ("torch.nn.modules.loss", "torchmetrics")
        parts = [part for part in model.children() if not type(part).__module__.startswith(judges)]
        self.hooks = [part.register_forward_pre_hook(self.before) for part in (model, *parts)]
        self.hooks += [part.register_forward_hook(self.after, with_kwargs=True) for part in (model, *parts)]

    def before(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def after(self, part: Any, args: Any, kwargs: Any, output: Any) -> None:
        self.seconds = time.perf_counter() - self.began
        self.calls.append((part, tensors((args, kwargs)), output))

    def of(self, size: int, said: Any) -> tuple[Any, list[Tensor]]:
        """Scores with a row a sample, and what they come from: what the step returned, or the last call."""
        told = scores_in(said) if isinstance(said, Mapping) else None
        # a forward that returns nothing keeps its answer: that of its last part
        calls = [call for call in self.calls if call[0] is self.model and call[2] is not None] or self.calls
        inputs = calls[-1][1] if calls else []
        seen = [s for s in (told, *(scores_in(output) for _, _, output in reversed(calls))) if s is not None]
        seen = [scores for scores in seen if not isinstance(scores, Tensor) or scores.dim()]
        whole = next((scores for scores in seen if len(scores) == size), None)
        if whole is not None:
            return whole, inputs
        # a row for each place of each sample, one after the other
        flat = next((s for s in seen if isinstance(s, Tensor) and size and len(s) > size and len(s) % size == 0), None)
        return None if flat is None else flat.reshape(size, len(flat) // size, *flat.shape[1:]), inputs

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


def scores_in(output: Any) -> Any:
    """What a model's output says: a tensor with a row a sample, or a list of dicts (boxes). None: neither."""
    if isinstance(output, Mapping):
        output = next((output[k] for k in ("logits", "scores", "preds", "predictions", "out") if k in output), None)
    output = getattr(output, "logits", output)
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], (Tensor, Mapping)):
        output = output if isinstance(output[0], Mapping) else output[0]
    boxes = isinstance(output, (tuple, list)) and output and isinstance(output[0], Mapping)
    return list(output) if boxes else output if isinstance(output, Tensor) else None


def target_in(batch: Any, said: Any, inputs: list[Tensor], scores: Any) -> Any:
    """What the scores are to be compared with: what the step returned, a usual name in the batch, else the
    first part of the batch that the model was not given. A model whose output looks like its input restores it.
    """
    for place in (said, batch):
        named = {key: value for key, value in leaves(place) if key in TARGETS}
        if named:
            return next(named[key] for key in TARGETS if key in named)
    seen = {t.data_ptr() for t in inputs}
    parts = [part for _, part in leaves(batch)]
    rest = [part for part in parts if not any(t.data_ptr() in seen for t in tensors(part))]
    if not rest and len(parts) > 1:  # it was given all of it, as a decoder is
        rest = parts[1:]
    target = rest[0] if rest and len(rest) < len(parts) else None
    fits = isinstance(target, Tensor) and isinstance(scores, Tensor) and can_compare(scores, target)
    if not fits and isinstance(scores, Tensor) and inputs and inputs[0].shape == scores.shape and scores.dim() > 1:
        return inputs[0]
    return target


def can_compare(scores: Tensor, targets: Tensor) -> bool:
    scores, targets = squeezed(scores), squeezed(targets)
    if targets.is_floating_point() or scores.shape == targets.shape:
        return scores.shape == targets.shape or (targets.dim() == 1 and scores.dim() == 2)
    return lacks_one(scores, targets)
