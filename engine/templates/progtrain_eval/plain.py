"""Values that go from a process that runs the training script to the one that scores: numbers, texts, arrays.

What comes from there is data and never becomes code: of all that a pickle can name, arrays alone are made.
"""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .common import EvalError

#: what stands for a tensor, an image
_TENSOR, _IMAGE = "\0tensor", "\0image"
_MADE = ("_reconstruct", "scalar", "ndarray", "dtype", "_frombuffer")


def packed(value: Any, *, exact: bool = True) -> Any:
    """The same with tensors and images taken apart; what is foreign is its text, or an `EvalError` (`exact`)."""
    if value is None or type(value) in (bool, int, float, str, bytes, complex):
        return value
    if isinstance(value, Tensor):
        plain = value.detach().cpu()
        return (_TENSOR, (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return value if value.dtype != object else packed(value.tolist(), exact=exact)
    if hasattr(value, "mode") and hasattr(value, "tobytes"):
        return (_IMAGE, value.mode, value.size, value.tobytes())
    if hasattr(value, "to_numpy"):
        return packed(value.to_numpy(), exact=exact)
    if isinstance(value, Mapping):
        return {packed(key, exact=exact): packed(item, exact=exact) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [packed(item, exact=exact) for item in value]
        return items if isinstance(value, list) else tuple(items)
    for kind in (bool, int, float, str):  # of a class of the script's own
        if isinstance(value, kind):
            return kind(value)
    if exact:
        raise EvalError(
            f"a {type(value).__name__} cannot be scored: numbers, texts, arrays, images and lists of them can"
        )
    return str(value)


def unpacked(value: Any) -> Any:
    """What `packed` was given."""
    if isinstance(value, tuple) and value and isinstance(value[0], str) and value[0] in (_TENSOR, _IMAGE):
        return torch.from_numpy(value[1].copy()) if value[0] == _TENSOR else _image(*value[1:])
    if isinstance(value, dict):
        return {key: unpacked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(unpacked(item) for item in value)
    return value


def _image(mode: str, size: tuple[int, int], data: bytes) -> Any:
    from PIL import Image

    return Image.frombytes(mode, size, data)


def dumped(value: Any) -> bytes:
    return pickle.dumps(value, 4)


def _find(module: str, name: str) -> Any:
    if module.split(".")[0] == "numpy" and name in _MADE:
        return getattr(importlib.import_module(module), name)
    raise pickle.UnpicklingError(f"{module}.{name} is no data")


#: as pickle would take it, but for what it may name
_Data = type("_Data", (pickle.Unpickler,), {"find_class": lambda _, module, name: _find(module, name)})


def loaded(data: bytes) -> Any:
    """Raises `pickle.UnpicklingError` for what is more than data."""
    return _Data(io.BytesIO(data)).load()
