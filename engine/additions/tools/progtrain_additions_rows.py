"""The rows of a split as its file has them: read, chosen from, and written again in the same format.

Known are one .npz, one .csv or one .jsonl in the split's folder, and a folder for each class with pictures or texts.
Runs in the user's interpreter (Python 3.9, numpy) where rows are made, and in progtrain's where they are checked.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

KNOWN = "one .npz, one .csv, one .jsonl, or a folder for each class with pictures or texts"
IDS = ("id", "ids", "sample_id", "sample_ids", "index")
LABELS = ("label", "labels", "target", "targets", "class", "classes", "truth", "y")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
#: words of a cell from which on a column holds texts
_WORDS = 3
#: numbers in CSV, as many decimals as they are written with
_EMPTY = ("", "nan", "NaN", "NA", "null", "None")


class FormatError(ValueError):
    """What cannot be read, in a line for people."""


@dataclass
class Rows:
    """`columns` have a value a row each, arrays in npz, texts in csv, JSON values in jsonl, paths in folders.

    `kinds` names those that are neither id nor label: "array", "number", "word", "text", "picture" or "json".
    """

    format: str
    file: str
    ids: list[str]
    labels: list[Any]
    columns: dict[str, Any]
    id_name: str
    label_name: str
    kinds: dict[str, str]
    delimiter: str = ","

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def inputs(self) -> list[str]:
        return list(self.kinds)

    @property
    def place(self) -> dict[str, int]:
        """Id -> row."""
        return {name: at for at, name in enumerate(self.ids)}


# reading


def read(folder: Path, stats: Mapping[str, Any], like: Rows | None = None, root: Path | None = None) -> Rows:
    """All rows of a split's folder. `like`: of the training, whose columns are read as they are there; `root`: where
    paths of pictures in a table begin. Raises `FormatError`.
    """
    if not folder.is_dir():
        raise FormatError("there is no such folder")
    there = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    known = [path for path in there if path.suffix in (".npz", ".csv", ".jsonl") and path.is_file()]
    if len(known) == 1:
        reader = {".npz": _npz, ".csv": _csv, ".jsonl": _jsonl}[known[0].suffix]
        rows = reader(known[0], stats, like, root or Path())
    elif not known and any(path.is_dir() for path in there):
        rows = _folders(folder)
    else:
        names = ", ".join(path.name for path in there[:4]) or "nothing"
        raise FormatError("the format is not known (" + names + "): known are " + KNOWN)
    if not len(rows):
        raise FormatError("it holds no row")
    return rows


def target_name(stats: Mapping[str, Any], names: Sequence[str], id_name: str) -> str:
    """Of the column to be told: what stats.json says, the one that is no feature there, a usual name, or the last."""
    told = stats.get("target")
    told = told.get("name") if isinstance(told, Mapping) else told
    if isinstance(told, str) and told in names:
        return told
    listed = stats.get("features") or stats.get("columns") or ()
    features = set(listed) if isinstance(listed, (list, Mapping)) else set()
    rest = [name for name in names if name != id_name and name not in features]
    if features and len(rest) == 1:
        return rest[0]
    spelled = {name.strip().lower(): name for name in names}
    return next((spelled[name] for name in LABELS if name in spelled), names[-1])


def _id_name(names: Sequence[str]) -> str:
    return next((name for name in names if name.strip().lower() in IDS), "")


def _npz(path: Path, stats: Mapping[str, Any], like: Rows | None, root: Path) -> Rows:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as held:
            columns = {name: held[name] for name in held.files}
    except (ValueError, OSError) as error:
        raise FormatError(path.name + " cannot be read: " + str(error)) from error
    sizes = {len(column) for column in columns.values() if column.ndim}
    if len(sizes) != 1 or any(column.ndim == 0 for column in columns.values()):
        raise FormatError(path.name + ": its arrays have not the same number of rows")
    names = list(columns)
    id_name = like.id_name if like else _id_name(names)
    label_name = like.label_name if like else target_name(stats, names, id_name)
    _see_columns(path, like, names)
    count = sizes.pop()
    ids = [str(one) for one in columns[id_name].tolist()] if id_name else _numbered(count)
    kinds = {name: "array" for name in names if name not in (id_name, label_name)}
    labels = columns[label_name].tolist() if label_name in columns else [None] * count
    return Rows("npz", path.name, ids, labels, columns, id_name, label_name, kinds)


def _csv(path: Path, stats: Mapping[str, Any], like: Rows | None, root: Path) -> Rows:
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        header, *lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if line]
    except (csv.Error, ValueError) as error:
        raise FormatError(path.name + " cannot be read: " + (str(error) or "it is empty")) from error
    header = [name.strip() for name in header]
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise FormatError(path.name + ", row " + str(number) + ": it has not as many cells as the first")
    columns = {name: [line[at] for line in lines] for at, name in enumerate(header)}
    return _table("csv", path, columns, len(lines), stats, like, root, delimiter)


def _jsonl(path: Path, stats: Mapping[str, Any], like: Rows | None, root: Path) -> Rows:
    found = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                raise FormatError(path.name + ", line " + str(number) + ": not valid JSON") from error
            if not isinstance(value, dict):
                raise FormatError(path.name + ", line " + str(number) + ": no JSON object")
            found.append(value)
    names = list(dict.fromkeys(name for value in found for name in value))
    columns = {name: [value.get(name) for value in found] for name in names}
    return _table("jsonl", path, columns, len(found), stats, like, root, ",")


def _text(path: Path) -> str:
    """As it is, line ends too."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(path.name + " is not UTF-8 text") from error


def _table(
    form: str,
    path: Path,
    columns: dict[str, Any],
    count: int,
    stats: Mapping[str, Any],
    like: Rows | None,
    root: Path,
    delimiter: str,
) -> Rows:
    names = list(columns)
    if not names:
        raise FormatError(path.name + ": it holds no row")
    id_name = like.id_name if like else _id_name(names)
    label_name = like.label_name if like else target_name(stats, names, id_name)
    _see_columns(path, like, names)
    ids = [str(one) for one in columns[id_name]] if id_name else _numbered(count)
    inputs = [name for name in names if name not in (id_name, label_name)]
    kinds = like.kinds if like else {name: _kind(columns[name], root) for name in inputs}
    labels = columns.get(label_name, [None] * count)
    return Rows(form, path.name, ids, labels, columns, id_name, label_name, dict(kinds), delimiter)


def _folders(folder: Path) -> Rows:
    ids, labels, paths = [], [], []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(place.iterdir()):
            if path.suffix.lower() in (*PICTURES, ".txt"):
                ids.append(place.name + "/" + path.name)
                labels.append(place.name)
                paths.append(path)
    suffixes = {path.suffix.lower() == ".txt" for path in paths}
    if len(suffixes) != 1:
        raise FormatError("its folders hold no pictures and no texts, or both: known are " + KNOWN)
    kind = "text" if suffixes.pop() else "picture"
    return Rows("folders", "", ids, labels, {"file": paths}, "", "", {"file": kind})


def _see_columns(path: Path, like: Rows | None, names: Sequence[str]) -> None:
    # a test split may come without its labels
    unlike = sorted((set(names) ^ set(like.columns)) - {like.label_name}) if like is not None else []
    if unlike:
        raise FormatError(path.name + ": its columns are not those of train: " + ", ".join(unlike[:5]))


def _numbered(count: int) -> list[str]:
    """As the evaluation names samples that have no id."""
    return [format(number, "06d") for number in range(count)]


def _kind(values: Sequence[Any], root: Path) -> str:
    texts = [value for value in values[:2000] if isinstance(value, str) and value.strip() not in _EMPTY]
    others = [value for value in values[:2000] if value is not None and not isinstance(value, str)]
    if any(not isinstance(value, (int, float, bool)) for value in others):
        return "json"
    if texts and all(text.lower().endswith(PICTURES) for text in texts) and (root / texts[0]).is_file():
        return "picture"
    if all(number(text) is not None for text in texts):
        return "number"
    words = sum(len(text.split()) for text in texts) / len(texts)
    return "text" if words >= _WORDS and len(set(texts)) > len(texts) // 4 else "word"


def number(value: Any) -> float | None:
    """None for what is no number; nothing where a cell is empty is nan."""
    if value is None or (isinstance(value, str) and value.strip() in _EMPTY):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


# content


def digests(rows: Rows, root: Path) -> list[str]:
    """Of the inputs of each row, normalised: the same for numbers that are the same whatever their type, for texts that
    differ in capitals and spaces alone, and for pictures with the same pixels.
    """
    return [hashlib.sha256(b"\x1e".join(parts)).hexdigest() for parts in _parts(rows, root)]


def _parts(rows: Rows, root: Path) -> Iterator[list[bytes]]:
    for at in range(len(rows)):
        yield [_normal(rows.columns[name][at], kind, root) for name, kind in sorted(rows.kinds.items())]


def _normal(value: Any, kind: str, root: Path) -> bytes:
    import numpy as np

    if kind == "picture":
        value, kind = picture(root / value), "array"
    if kind == "array" and getattr(value, "dtype", np.dtype("U")).kind in "biuf":
        shape = ",".join(map(str, np.shape(value)))
        return shape.encode() + np.ascontiguousarray(value, dtype="<f8").tobytes()
    if kind == "number":
        read_as = number(value)
        return repr(read_as if read_as is not None else str(value)).encode()
    if kind == "json":
        return json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return " ".join(text_of(value).casefold().split()).encode("utf-8", "surrogatepass")


def text_of(value: Any) -> str:
    """Of a cell, or of a text file."""
    if isinstance(value, Path):
        return value.read_text(encoding="utf-8", errors="replace")
    return "" if value is None else str(value)


def is_picture(shape: Sequence[int]) -> bool:
    """Whether rows of this shape are pictures: height x width, with 1 to 4 channels last or first."""
    return len(shape) == 2 or (len(shape) == 3 and min(shape[0], shape[2]) <= 4)


def picture(path: Path) -> Any:
    """Pixels, height x width for grey, else x 3. Raises `FormatError`."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise FormatError("the picture " + path.name + " cannot be read: " + str(error)) from error


# choosing and writing


def chosen(rows: Rows, places: Sequence[int]) -> Rows:
    """Of these places, in that order."""
    columns = {
        name: column[list(places)] if hasattr(column, "dtype") else [column[at] for at in places]
        for name, column in rows.columns.items()
    }
    return replace(
        rows, ids=[rows.ids[at] for at in places], labels=[rows.labels[at] for at in places], columns=columns
    )


def write(rows: Rows, folder: Path) -> Path:
    """`rows.npz`, `rows.csv`, `rows.jsonl` or `rows/` in the folder; returns it. The same rows give the same bytes."""
    if rows.format == "folders":
        target = folder / "rows"
        for name, label, path in zip(rows.ids, rows.labels, rows.columns["file"]):
            place = target / label / (Path(name).stem + path.suffix)
            place.parent.mkdir(parents=True, exist_ok=True)
            if place != path:
                shutil.copyfile(path, place)
        return target
    target = folder / ("rows." + rows.format)
    if rows.format == "npz":
        import numpy as np

        with target.open("wb") as file:
            np.savez_compressed(file, **rows.columns)
        return target
    if rows.format == "csv":
        out = io.StringIO()
        writer = csv.writer(out, delimiter=rows.delimiter, lineterminator="\n")
        writer.writerow(rows.columns)
        writer.writerows(zip(*rows.columns.values()))
        text = out.getvalue()
    else:
        objects = [dict(zip(rows.columns, values)) for values in zip(*rows.columns.values())]
        text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in objects)
    target.write_bytes(text.encode("utf-8"))
    return target
