"""The process that asks a model from elsewhere. It runs in whatever interpreter that model has: nothing but the
standard library is imported before it is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pickle
import re
import sys
import time
import traceback
from contextlib import suppress
from typing import Any


def serve() -> None:
    """The child: imports the file, then answers one request after the other. What the model prints goes to stderr."""
    inlet, outlet = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    path = sys.argv[1]
    sys.argv, sys.path[0] = [path], os.path.dirname(path)  # noqa: PTH120 - any Python runs this

    def send(*content: Any) -> None:
        data = pickle.dumps(content, 4)
        outlet.write(len(data).to_bytes(8, "big") + data)
        outlet.flush()

    def told(error: BaseException) -> str:
        lines = [line for name, line, _, _ in traceback.extract_tb(error.__traceback__) if name == path]
        place = f" (inference_sample.py, line {lines[-1]})" if lines else ""
        return f"{type(error).__name__}: {error}{place}"

    spec = importlib.util.spec_from_file_location("inference_sample", path)
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["inference_sample"] = module
    call, way, problem = None, "", ""
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a demo at its end may fail and harm nothing
        problem = told(error)
    try:
        call, name = find_predictor(module)
        if hasattr(module, "load"):
            module.load()
        send(name, problem)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        send("", problem or told(error))
    while size := inlet.read(8):
        raws = unpacked(pickle.loads(inlet.read(int.from_bytes(size, "big"))))
        try:
            way = way or settle_way(call, raws)
            began = time.perf_counter()
            answers = ask_each(call, raws, way, told)
            send(way, packed(answers), time.perf_counter() - began)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            send("", problem or told(error))


def find_predictor(module: Any) -> Any:
    """What answers, and its name. None: there is no such thing."""
    names = ("predict", "infer", "inference")
    for name in names:
        if callable(getattr(module, name, None)):
            return getattr(module, name), f"{name}()"
    for cls in list(vars(module).values()):
        method = next((n for n in names if callable(getattr(cls, n, None))), None)
        if isinstance(cls, type) and cls.__module__ == module.__name__ and method:
            return getattr(cls(), method), f"{cls.__name__}().{method}()"
    return None, ""


def settle_way(call: Any, raws: Any) -> str:
    """How it takes the samples together; else how it takes the first of them that it can answer alone. Raises its first
    error where it answers none.
    """
    errors = []
    for several in [raws, *([raw] for raw in raws if len(raws) > 1)]:
        try:
            return find_way(call, several)
        except Exception as error:  # noqa: BLE001 - it is the user's code
            errors.append(error)
    raise errors[0]


def ask_each(call: Any, raws: Any, way: str, told: Any) -> Any:
    """An answer a sample; `{"__kind": "error", "of": ...}` for one that raises."""
    answers = []
    if way != "one sample a call":
        with suppress(Exception, SystemExit):
            return ask(call, raws, way)
    for raw in raws:
        try:
            answers += ask(call, [raw], way)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            answers.append({"__kind": "error", "of": told(error)})
    return answers


def find_way(call: Any, raws: Any) -> str:
    """Whether it takes one sample or several, by what it calls its parameter and by trying. Raises its first error."""
    ways = ["one sample a call", "a list of samples a call", "an array of samples a call"]
    with suppress(TypeError, ValueError):
        first = next(iter(inspect.signature(call).parameters.values()))
        usual = r"^(?:texts|inputs|images|samples|sentences|batch|items|raws|xs|documents|audios)$"
        if re.search(usual, first.name) or re.search(r"list|sequence|iterable", str(first.annotation), re.IGNORECASE):
            ways = [*ways[1:], ways[0]]
    errors = []
    for way in ways:
        try:
            ask(call, raws, way)
        except Exception as error:  # noqa: BLE001 - it is the user's code
            errors.append(error)
        else:
            return way
    raise errors[0]


def ask(call: Any, raws: Any, way: str) -> Any:
    """An answer a sample. Raises what the model raises, and `ValueError` where answers are not what they have to be."""
    if way == "one sample a call":
        answers = [call(raw) for raw in raws]
        whole = [a for a in answers if isinstance(a, (list, tuple))]
        letters = all(isinstance(r, str) and len(a) == len(r) > 1 for r, a in zip(raws, whole))
        if any(len(a) > 1 and isinstance(a[0], str) for a in whole) or (whole and letters):
            raise ValueError("one sample gives several answers")
        return answers
    several = list(raws)
    if way == "an array of samples a call":
        package = "torch" if hasattr(raws[0], "detach") else "numpy"
        several = importlib.import_module(package).stack(several)
    answers = call(several)
    if hasattr(answers, "items") or not hasattr(answers, "__len__") or len(answers) != len(raws):
        raise ValueError(f"{len(raws)} samples do not give as many answers")
    return list(answers)


def packed(value: Any) -> Any:
    """Arrays, tensors and pictures as plain values, which an interpreter without these packages can unpickle."""
    if hasattr(value, "detach"):
        return {"__kind": "tensor", "of": packed(value.detach().cpu().numpy())}
    value = value.to_numpy() if hasattr(value, "to_numpy") else value
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        if not value.shape or value.dtype.kind not in "biuf":
            return packed(value.tolist())
        return {"__kind": "array", "type": value.dtype.str, "shape": value.shape, "data": value.tobytes()}
    if hasattr(value, "tobytes") and hasattr(value, "mode"):
        return {"__kind": "image", "mode": value.mode, "size": value.size, "data": value.tobytes()}
    if hasattr(value, "items"):
        return {key if type(key) in (int, bool) else str(key): packed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [packed(item) for item in value] if isinstance(value, list) else tuple(packed(item) for item in value)
    return value if value is None or type(value) in (bool, int, float, str, bytes) else str(value)


def unpacked(value: Any) -> Any:
    """What `packed` was given; nested lists for arrays where there is no numpy."""
    if isinstance(value, (list, tuple)):
        return type(value)(unpacked(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value.get("__kind")
    if kind == "image":
        return importlib.import_module("PIL.Image").frombytes(value["mode"], value["size"], value["data"])
    if kind == "tensor":
        try:
            return importlib.import_module("torch").from_numpy(unpacked(value["of"]))
        except ImportError:
            return unpacked(value["of"])
    if kind == "array":
        try:
            flat = importlib.import_module("numpy").frombuffer(value["data"], value["type"])
            return flat.reshape(value["shape"]).copy()
        except ImportError:
            letters: dict[str, Any] = {
                "f4": "f",
                "f8": "d",
                "i8": "q",
                "i4": "i",
                "i2": "h",
                "i1": "b",
                "u1": "B",
                "b1": "?",
            }
            return memoryview(value["data"]).cast(letters[value["type"][1:]], value["shape"]).tolist()
    return {key: unpacked(item) for key, item in value.items()}


if __name__ == "__main__":
    serve()
