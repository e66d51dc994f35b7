"""best.ckpt, put into the model that the script has built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .common import ROOT, EvalError, OtherModel, calling
from .untouched import Untouched


def put_weights(model: Any, checkpoint: Path) -> None:
    """Loads `best.ckpt` into the model that the script has built. Raises `OtherModel`."""
    where = checkpoint.relative_to(ROOT)
    # a script may clear its folder before it trains
    file = Untouched.before.get(checkpoint) or checkpoint
    if not file.is_file():
        raise EvalError(f"{where} does not exist: train it first")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - objects of the script's own, in a checkpoint that this workspace trained
        with calling(f"reading {where}"):
            state = torch.load(file, map_location="cpu", weights_only=False)
    state = state if isinstance(state, Mapping) else {"state_dict": state.state_dict()}
    named = (state.get(name) for name in ("state_dict", "model_state_dict", "model"))
    weights = next((value for value in named if isinstance(value, Mapping)), state)
    wrappers = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|module)\.")  # of torch.compile and DDP
    own = model.state_dict()
    if not set(weights) <= set(own):
        plain = {wrappers.sub("", key): key for key in own}
        weights = {plain.get(wrappers.sub("", key), key): value for key, value in weights.items()}
    if hasattr(model, "on_load_checkpoint") and "state_dict" in state:
        model.on_load_checkpoint(state)
    try:
        model.load_state_dict(weights, strict=getattr(model, "strict_loading", True))
    except RuntimeError as error:
        what = f"the model of 02_train_{checkpoint.parent.name}.py, {type(model).__name__}"
        raise OtherModel(f"{where} does not fit {what}: {' '.join(str(error).split())[:300]}") from error
