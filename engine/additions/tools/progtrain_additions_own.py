"""Rows in a format of the user's own, by the functions of 05_rows.py: `progtrain_additions_own.py read|write ...`.

    read SCRIPT FOLDER OUT [TRAIN]   what read_rows(folder) gives, as OUT/rows.npz or OUT/rows.jsonl, and
                                     OUT/types.json; TRAIN: a folder like OUT, whose columns are written in the same way
    write SCRIPT ROWS FOLDER         the rows of such a folder, given to write_rows(rows, folder)

It is started in a folder that holds the split in question and no other. Runs in the user's interpreter (Python 3.9,
numpy); standard error ends with one JSON line, `{"place", "reason"}`, where it fails.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

READ, WRITE = "read_rows", "write_rows"
_PLAIN = (bool, int, float, str)


def refuse(reason: str, place: str = "") -> NoReturn:
    sys.stdout.flush()
    sys.exit("\n" + json.dumps({"place": place, "reason": reason}))


def own(script: Path, name: str) -> Any:
    """The function of that name."""
    spec = importlib.util.spec_from_file_location("progtrain_own_rows", str(script))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(Path.cwd()))
    asked(script, spec.loader.exec_module, module)
    if not callable(getattr(module, name, None)):
        refuse("it has no function " + name + ("(folder)" if name == READ else "(rows, folder)"))
    return getattr(module, name)


def asked(script: Path, function: Any, *given: Any) -> Any:
    """What code of the user's gives; what goes wrong there is told with the line where it did."""
    try:
        return function(*given)
    except SyntaxError as error:
        refuse("SyntaxError: " + str(error.msg), "line {}".format(error.lineno))
    except Exception as error:  # noqa: BLE001
        seen = traceback.extract_tb(error.__traceback__)
        lines = [one.lineno for one in seen if Path(one.filename).name == script.name]
        told = " ".join(str(error).split())
        place = "line {}".format(lines[-1]) if lines else ""
        refuse(type(error).__name__ + (": " + told if told else ""), place)


def read(script: Path, folder: Path, out: Path, train: Path | None = None) -> None:
    function = own(script, READ)
    columns = columns_of(asked(script, lambda: list(function(folder))))
    if train is None:
        types = {name: types_of(values) for name, values in columns.items()}
        as_arrays = all(one.keys() & {"shape", "scalar"} for one in types.values())
        as_arrays = as_arrays and any("shape" in one for one in types.values())
    else:
        types, as_arrays = json.loads((train / "types.json").read_text()), (train / "rows.npz").is_file()
    if as_arrays:
        arrays = {name: as_array(name, values, types.get(name, {})) for name, values in columns.items()}
        with open(out / "rows.npz", "wb") as file:
            np.savez(file, **arrays)
    else:
        rows = (dict(zip(columns, map(plain, values))) for values in zip(*columns.values()))
        (out / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (out / "types.json").write_text(json.dumps(types), encoding="utf-8")


def as_array(name: str, values: list[Any], told: dict[str, Any]) -> Any:
    shapes = {np.shape(one) for one in values}
    wanted = tuple(told["shape"]) if "shape" in told else ()
    made = np.array(values) if shapes == {wanted} else None
    if made is None or made.dtype.kind not in "biufU":
        came = ", ".join(sorted(map(str, shapes))[:3]) if shapes != {wanted} else "several types or empty values"
        refuse("{}() gives {!r} as {}: in the training rows it has the shape {}".format(READ, name, came, wanted))
    return made


def columns_of(given: list[Any]) -> dict[str, list[Any]]:
    """Column -> a value a row."""
    if not given:
        refuse(READ + "() gives no row")
    for at, row in enumerate(given):
        if not isinstance(row, dict) or not row:
            refuse("{}() gives {} as row {}: wanted is a dict of its columns".format(READ, type(row).__name__, at + 1))
        unlike = ", ".join(sorted(map(str, row.keys() ^ given[0].keys())))
        if unlike:
            refuse("{}() gives row {} with other columns than row 1: {}".format(READ, at + 1, unlike))
    if not all(isinstance(name, str) for name in given[0]):
        refuse(READ + "() gives a column whose name is no text")
    return {name: [value(row[name], name, at) for at, row in enumerate(given)] for name in given[0]}


def value(given: Any, name: str, at: int) -> Any:
    """A number, a text, None, a list or dict of such, or an array."""
    if isinstance(given, np.generic):
        given = given.item()
    elif not isinstance(given, (*_PLAIN, list, tuple, dict, bytes)) and any(
        hasattr(given, one) for one in ("__array__", "__array_interface__")
    ):
        given = np.asarray(given)
        given = given.item() if given.ndim == 0 else given
    if isinstance(given, np.ndarray) and given.dtype.kind in "biuf":
        return given
    if given is None or isinstance(given, _PLAIN):
        return given
    if isinstance(given, (list, tuple, dict)):
        try:
            return json.loads(json.dumps(given))
        except (TypeError, ValueError):
            pass
    what = "an array of " + str(given.dtype) if isinstance(given, np.ndarray) else type(given).__name__
    refuse("{}() gives {} as {!r} of row {}: wanted is a number, a text or an array".format(READ, what, name, at + 1))


def types_of(values: list[Any]) -> dict[str, Any]:
    """Of a column: `shape` where its arrays have one, `dtype` for them to be given back, `scalar` for what has none."""
    if all(isinstance(one, np.ndarray) for one in values):
        shapes, dtypes = {one.shape for one in values}, {one.dtype.str for one in values}
        dtype = {"dtype": dtypes.pop()} if len(dtypes) == 1 else {}
        return {**dtype, "shape": list(shapes.pop())} if len(shapes) == 1 and dtype else dtype
    alike = {type(one).__name__ for one in values}
    return {"scalar": True} if len(alike) == 1 and alike <= {"str", "bool", "int", "float"} else {}


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def write(script: Path, rows: Path, folder: Path) -> None:
    types = json.loads((rows / "types.json").read_text(encoding="utf-8"))
    if (rows / "rows.npz").is_file():
        with np.load(rows / "rows.npz", allow_pickle=False) as held:
            columns = {name: held[name] for name in held.files}
        given = [
            {name: values[at] if values.ndim > 1 else values[at].item() for name, values in columns.items()}
            for at in range(len(next(iter(columns.values()))))
        ]
    else:
        lines = (rows / "rows.jsonl").read_text(encoding="utf-8").split("\n")
        given = [json.loads(line) for line in lines if line]
        for row in given:
            for name, told in types.items():
                if "dtype" in told and isinstance(row.get(name), list):
                    row[name] = np.asarray(row[name], dtype=told["dtype"])
    function = own(script, WRITE)
    asked(script, function, given, folder)


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    (read if what == "read" else write)(*map(Path, paths))
