"""Nobody sees half a file, and readers live with one all the same."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from progtrain.engine import files, json_text
from progtrain.engine.errors import InputError, StorageError
from progtrain.engine.modes import copy_file


def test_a_torn_last_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    reader = files.LineReader(path)
    assert reader.read() == []
    path.write_text('{"a": 1}\n{"b"')
    assert reader.read() == [{"a": 1}]
    with path.open("a") as file:
        file.write(": 2}\n")
    assert reader.read() == [{"b": 2}]


def test_a_line_torn_by_a_crash_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"a": 1}\n{"torn')
    files.append_line(path, {"b": 2})
    assert files.LineReader(path).read() == [{"a": 1}, {"b": 2}]


def test_a_replaced_file_is_read_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    files.append_line(path, {"a": 1})
    reader = files.LineReader(path)
    reader.read()
    other = tmp_path / "other"
    other.write_text('{"c": 3}\n{"d": 4}\n')
    other.replace(path)
    assert reader.restarted()
    assert reader.read() == [{"c": 3}, {"d": 4}]


def test_writing_replaces_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    files.write_json(path, {"ä": 1})
    files.write_json(path, {"ä": 2})
    assert json.loads(path.read_text()) == {"ä": 2}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]
    assert path.stat().st_mode & 0o600 == 0o600


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_clear_error() -> None:
    with pytest.raises(StorageError, match="the disk is full") as caught:
        files.append_line(Path("/dev/full"), {"a": 1})
    assert caught.value.exit_code == 5
    assert caught.value.fix


def test_broken_json_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{\n  "a": ,\n}')
    with pytest.raises(InputError) as caught:
        files.read_json(path)
    assert caught.value.place == "line 2, column 8"


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        files.read_text(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_depth_is_that_of_lists_and_objects_and_not_of_what_texts_look_like(encoding: str) -> None:
    def nested(depth: int) -> str:
        return f'[{{"]}}": "[[[{{"}}, "\\\\\\"", {{}}, {"[" * (depth - 1)}{"]" * (depth - 1)}]' + " " * 3

    assert json_text.loaded(nested(json_text.MOST_DEPTH).encode(encoding))
    # brackets in texts make up for none outside of them
    hidden = '["]",' * 300 + '"["' + ', "["]' * 300
    for text in (nested(300), hidden):
        with pytest.raises(ValueError, match="nested too deeply"):
            json_text.loaded(text.encode(encoding))


def test_some_keys_of_a_long_file_come_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    whole = {"first": {"inner": [1, 2]}, "text": 'a\n  "last": 3', "last": [{"last": 1}], "none": None}
    path.write_text(json.dumps(whole, indent=2) + "\n")
    assert files.try_read_json(path, ("last", "first")) == {"last": [{"last": 1}], "first": {"inner": [1, 2]}}
    assert files.try_read_json(path, ("none",)) == {"none": None}
    # written by hand, without a key, or damaged: all of it is read, or nothing
    path.write_text(json.dumps(whole))
    assert files.try_read_json(path, ("last",)) == whole
    path.write_text(json.dumps(whole, indent=2) + "\n")
    assert files.try_read_json(path, ("last", "absent")) == whole
    path.write_text(path.read_text()[:-20])
    assert files.try_read_json(path, ("first",)) is None


@pytest.mark.parametrize("kind", ["/dev/zero", "fifo"])
def test_what_is_no_file_is_not_copied(kind: str, tmp_path: Path) -> None:
    """A folder of a training with a link to a device in it would fill the disk."""
    inner = tmp_path / "made" / "weights.bin"
    inner.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(inner)
    else:
        inner.symlink_to(kind)
    with pytest.raises(OSError, match="no ordinary file"):
        copy_file(inner, tmp_path / "copy")
    with pytest.raises(shutil.Error, match="no ordinary file"):
        shutil.copytree(inner.parent, tmp_path / "all", copy_function=copy_file)
    assert not (tmp_path / "copy").exists()
