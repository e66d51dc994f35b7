"""Pictures and arrays of samples, made hostile: shown, or one line that says why not; and bounded memory."""

from __future__ import annotations

import io
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from progtrain.engine import arrays
from progtrain.engine.bring import folders
from progtrain.engine.errors import InputError
from progtrain.tui.reading.pictures import read_picture
from tests.hostile import looking, mutations


def _pictures() -> dict[str, bytes]:
    """One of each format, those that can be with frames and EXIF."""
    frames = [Image.effect_noise((24, 16), 50 + number).convert("RGB") for number in range(3)]
    exif = Image.Exif()
    exif[0x010E], exif[0x011A], exif[0x0112] = "a sample", 72.0, 6
    made = {}
    for kind, more in (
        ("png", {"save_all": True, "append_images": frames[1:], "exif": exif}),
        ("jpg", {"exif": exif}),
        ("gif", {"save_all": True, "append_images": frames[1:]}),
        ("bmp", {}),
        ("webp", {"save_all": True, "append_images": frames[1:], "exif": exif}),
    ):
        file = io.BytesIO()
        frames[0].save(file, "JPEG" if kind == "jpg" else kind.upper(), **more)  # type: ignore[arg-type]
        made[f"a.{kind}"] = file.getvalue()
    return made


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(width: int, height: int, rows: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


@cache
def _bombs() -> dict[str, bytes]:
    rows = zlib.compress(b"\0" * (1 << 20))
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (65 << 20)))
    small = _png(1, 1, zlib.compress(b"\0\0"))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) run\n%%EOF\n"
    gif = (
        b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02"
    )
    return {
        "as wide as a number": _png(2**31 - 1, 2**31 - 1, rows),
        "four hundred million pixels": _png(20_000, 20_000, rows),
        "sixty million pixels": _png(60_000, 1000, rows),
        "no pixels": _png(0, 10, rows),
        "a text of 65 MiB in it": small[:33] + text + small[33:],
        "a program for a printer": script,
        "a frame that is larger than its screen": gif + b"\x02D\x01\0;",
        "a header alone": small[:33],
    }


@pytest.mark.parametrize("bomb", _bombs())
def test_a_picture_that_is_a_bomb_is_one_line(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_bombs()[bomb])
    with looking.ending(bomb), looking.little_memory():
        shown = read_picture(path, 40, 20)
    assert shown.problem and "\n" not in shown.problem and len(shown.problem) < 300 and not shown.rows


@pytest.mark.parametrize("kind", [*mutations.OTHERS])
def test_what_is_no_file_is_no_picture(kind: str, tmp_path: Path) -> None:
    mutations.OTHERS[kind](tmp_path / "a.png")
    with looking.ending(kind):
        assert read_picture(tmp_path / "a.png", 40, 20).problem


def _try_pictures(place: Path, numbers: range) -> int:
    """How many can be shown all the same. Each lies in a folder of classes too, beside a whole one."""
    shown, whole = 0, _pictures()
    for number in numbers:
        random = Random(f"{looking.SEED}-{number}")
        name, data = random.choice(list(whole.items()))
        path = place / "class" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(mutations.hostile(data, random, name))
        what = f"PROGTRAIN_SEED={looking.SEED}, picture {number}, {name}"
        with looking.ending(what), looking.little_memory():
            found = read_picture(path, 40, 20)
            assert bool(found.rows) != bool(found.problem), what
            assert "\n" not in found.problem and len(found.problem) < 300, what
            try:
                folders.pictures(place)
            except InputError as error:
                assert error.fix, what
        path.unlink()
        shown += bool(found.rows)
    return shown


def test_pictures_are_shown_or_one_line(tmp_path: Path) -> None:
    assert 0 < _try_pictures(tmp_path, range(60)) < 60


@pytest.mark.slow
def test_thousands_of_pictures_are_shown_or_one_line(tmp_path: Path) -> None:
    begun = time.process_time()
    shown = _try_pictures(tmp_path, range(1000, 6000))
    seconds = time.process_time() - begun
    sys.stdout.write(f"5000 pictures, {shown} shown, seed {looking.SEED}, {seconds:.0f} s of processor time\n")


# arrays


def _npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 64


def _zip(parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


_HEADERS = (
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000000000,), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000000000,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (3037000500, 3037000500), }",
    "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (3,), }",
    "{'descr': 3, 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': 3, }",
    "(" * 110,
    "",
)


@pytest.mark.parametrize("header", _HEADERS)
def test_arrays_that_claim_more_than_there_is_are_refused(header: str, tmp_path: Path) -> None:
    for name, data in (("a.npy", _npy(header)), ("a.npz", _zip({"a.npy": _npy(header)}))):
        (tmp_path / name).write_bytes(data)
        with looking.ending(header), looking.little_memory(), pytest.raises(ValueError, match="no arrays"):
            arrays.read(tmp_path / name, 1 << 20)


def test_arrays_that_unpack_to_gigabytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(_zip({"a.npy": b"\0" * (64 << 20)}))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 20
    with looking.little_memory(), pytest.raises(ValueError, match="too large"):
        arrays.read(tmp_path / "a.npz", 1 << 20)


@pytest.mark.parametrize("columns_first", [False, True])
def test_whole_arrays_are_what_numpy_reads(columns_first: bool, tmp_path: Path) -> None:
    values = {"x": np.arange(12.0).reshape(3, 4), "ids": np.array(["a", "bé", "c"]), "none": np.zeros((0, 3), np.int8)}
    values = {name: np.asarray(value, order="F" if columns_first else "C") for name, value in values.items()}
    np.savez_compressed(tmp_path / "a.npz", **values)  # type: ignore[arg-type]
    np.save(tmp_path / "b.npy", values["x"])
    found = arrays.read(tmp_path / "a.npz", 1 << 20)
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert (found[name] == value).all() and found[name].dtype == value.dtype
    assert (arrays.read(tmp_path / "b.npy", 1 << 20)["b"] == values["x"]).all()


def _try_arrays(place: Path, numbers: range) -> int:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.arange(12.0).reshape(3, 4), ids=np.array(["a", "b", "c"]))
    whole: dict[str, Callable[[], bytes]] = {"a.npz": file.getvalue, "a.npy": lambda: _npy(_HEADERS[0])}
    read = 0
    for number in numbers:
        random = Random(f"{looking.SEED}-{number}")
        name = random.choice(list(whole))
        (place / name).write_bytes(mutations.hostile(whole[name](), random, name))
        what = f"PROGTRAIN_SEED={looking.SEED}, arrays {number}"
        with looking.ending(what), looking.little_memory():
            try:
                read += bool(arrays.read(place / name, 1 << 20))
            except ValueError as error:
                assert str(error).startswith("it holds no arrays"), what
    return read


def test_arrays_are_read_or_refused(tmp_path: Path) -> None:
    _try_arrays(tmp_path, range(100))


@pytest.mark.slow
def test_thousands_of_arrays_are_read_or_refused(tmp_path: Path) -> None:
    sys.stdout.write(f"5000 files of arrays, {_try_arrays(tmp_path, range(1000, 6000))} read, seed {looking.SEED}\n")
