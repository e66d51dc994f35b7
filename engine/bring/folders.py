"""Folders of classes: `class/*.png`, or `train/class/*.png` beside `valid/class/*.png`; the same with texts."""

from __future__ import annotations

import hashlib
import statistics
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from progtrain.engine.bring.brought import Brought, Sample, counted, named
from progtrain.engine.errors import InputError
from progtrain.engine.files import MOST_TABLE, opened, read_bytes
from progtrain.engine.text import clean_line

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
#: by their content, whatever their names say: others are given to other programs
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev"),
    "test": ("test", "testing", "holdout"),
}
_SMALLEST, _LARGEST = 16, 64


def pictures(folder: Path) -> Brought:
    """The files stay where they are. Raises `InputError`."""
    # a package of its own for those who train with pictures alone
    from PIL import Image

    said: list[str] = []
    samples, sizes, modes, unread, files = [], [], Counter[str](), [], []
    for split, name, path in _files(folder, PICTURES, said):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with opened(path, MOST_TABLE) as file, Image.open(file, formats=_FORMATS) as image:
                    sizes.append(min(image.size))
                    modes[image.mode] += 1
                    # of a JPEG a small copy, which is read whole all the same
                    image.draft("RGB", (64, 64))
                    image.load()
        except Exception:  # noqa: BLE001 - Pillow has many ways to say that it cannot be read
            unread.append(path.relative_to(folder).as_posix())
            continue
        place = path.relative_to(folder).as_posix()
        samples.append(
            Sample(place, [str(path)], name, hashlib.sha256(read_bytes(path, MOST_TABLE)).hexdigest()[:32], split)
        )
        files.append(path)
    if unread:
        text = f"{counted(len(unread), 'file')} that can't be read as a picture left out"
        said.append(f"{text}: {named(unread, 'file')}")
    if not samples:
        raise InputError("it holds no picture that can be read", file=folder, fix="bring class/*.png, or *.jpg")
    if len(modes) > 1:
        shown = ", ".join(f"{count} {mode}" for mode, count in modes.most_common())
        said.append(f"pictures of several kinds ({shown}) are all read as RGB")
    side = min(max(_power_of_two(statistics.median(sizes)), _SMALLEST), _LARGEST)
    said.append(f"pictures are scaled to {side}x{side} (IMAGE_SIZE); their shorter sides are {_range(sizes)} pixels")
    settings: dict[str, object] = {"image_size": side, "mode": "L" if set(modes) <= {"L", "1"} else "RGB"}
    return Brought(folder, ["path"], "label", "classification", samples, said, files=files, settings=settings)


def texts(folder: Path) -> Brought:
    """`class/*.txt`. Raises `InputError`."""
    said: list[str] = []
    samples, unread, empty = [], [], []
    for split, name, path in _files(folder, {".txt"}, said):
        place = path.relative_to(folder).as_posix()
        data = read_bytes(path)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
            unread.append(place)
        if text.strip():
            samples.append(Sample(place, [text.strip()], name, digest(text), split))
        else:
            empty.append(place)
    if unread:
        said.append(f"not UTF-8, and read as Windows-1252: {named(unread, 'file')}")
    if empty:
        said.append(f"{counted(len(empty), 'empty file')} left out: {named(empty, 'file')}")
    if not samples:
        raise InputError("it holds no text", file=folder, fix="bring class/*.txt, or a CSV file with texts and labels")
    return Brought(folder, ["text"], "label", "classification", samples, said)


def digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).casefold().encode()).hexdigest()[:32]


def _files(folder: Path, endings: Iterable[str], said: list[str]) -> Iterator[tuple[str, str, Path]]:
    """Part ("" where there are none), class and path of each file. Raises `InputError`."""
    below = _visible(folder)
    parts = {split: path for split, names in _SPLITS.items() for path in below if path.name.casefold() in names}
    if not ("train" in parts and "valid" in parts):
        if "train" in parts and "test" in parts:
            said.append("there is no valid/: test/ is left as it is, and a part of train/ is validated on")
        roots = {"": parts["train"]} if "train" in parts else {"": folder}
    else:
        roots = dict(parts)
        said.append(f"your own split is kept: {', '.join(path.name for path in roots.values())}")
    found = False
    for split, root in roots.items():
        classes = _visible(root)
        if not classes:
            fix = f"put the files into folders named after their classes: {root.name}/cats/1{min(endings)}"
            raise InputError("there is no folder of a class in it", file=root, fix=fix)
        loose = [path.name for path in root.iterdir() if path.is_file() and path.suffix.lower() in endings]
        if loose:
            said.append(f"in no class, and left out: {named(sorted(loose), 'file')} of {clean_line(root.name)}/")
        for place in classes:
            everything = sorted(path for path in place.rglob("*") if path.is_file() and not path.name.startswith("."))
            fitting = [path for path in everything if path.suffix.lower() in endings]
            if others := [path.name for path in everything if path.suffix.lower() not in endings]:
                said.append(f"{clean_line(place.name)}/: other files are left out: {named(others, 'file')}")
            if not fitting:
                said.append(f"the folder {clean_line(root.name)}/{clean_line(place.name)} is empty: no class")
            for path in fitting:
                found = True
                yield split, place.name, path
    if not found:
        kinds = ", ".join(sorted(endings))
        raise InputError(f"its folders hold no file of these kinds: {kinds}", file=folder, fix="name another folder")


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"it can't be looked into: {error.strerror}", file=folder, fix="name a folder") from error


def _power_of_two(value: float) -> int:
    power = 1
    while power * 2 <= value:
        power *= 2
    return power


def _range(sizes: list[int]) -> str:
    return str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
