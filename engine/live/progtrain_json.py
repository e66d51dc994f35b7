"""Values of a script as JSON has them, and files written whole or not at all."""

import json
import os
import types

_DEEPEST = 12
_LONGEST_TEXT = 2000
_MOST_ITEMS = 200
_MOST_ELEMENTS = 32


def class_name(value):
    """The class of `value` with its module, as one imports it; `__main__.` is left out."""
    kind = value if isinstance(value, type) else type(value)
    module = kind.__module__
    return kind.__qualname__ if module in ("__main__", "builtins") else f"{module}.{kind.__qualname__}"


def plain(value, depth=0):
    """`value` as JSON can hold it; numbers that are not finite as text, objects as the name of their class."""
    if hasattr(value, "value") and hasattr(type(value), "__members__"):  # of an enum
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if number - number == 0 else str(number)
    if isinstance(value, str):
        return str(value)[:_LONGEST_TEXT]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return f"{value.__module__}.{value.__qualname__}".replace("__main__.", "")
    if depth >= _DEEPEST:
        return class_name(value)
    return _collection(value, depth + 1)


def _collection(value, depth):
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        small = len(value.shape) == 0 or _product(value.shape) <= _MOST_ELEMENTS
        return plain(value.tolist(), depth) if small else f"{class_name(value)} of shape {tuple(value.shape)}"
    if hasattr(value, "items") and hasattr(value, "keys"):
        return {str(name): plain(item, depth) for name, item in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, (list, tuple, set, frozenset)) or type(value).__name__ == "ListConfig":
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else list(value)
        return [plain(item, depth) for item in items[:_MOST_ITEMS]]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name, None), depth) for name in value.__dataclass_fields__}
    if isinstance(value, types.SimpleNamespace) or type(value).__name__ == "Namespace":
        return {name: plain(item, depth) for name, item in vars(value).items()}
    return class_name(value)


def _product(shape):
    product = 1
    for size in shape:
        product *= size
    return product


def write_json(path, content, sync=False):
    """Replaces the file at `path` by `content`; `sync`: it is on the disk when this returns."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(temporary, path)
