"""Contents are read once, and again when anything could have changed them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from progtrain.engine import prepared_data
from progtrain.engine.control import digests
from progtrain.engine.errors import InputError
from progtrain.engine.files import sha256
from progtrain.engine.workspace import Workspace


@pytest.fixture(autouse=True)
def _as_a_new_process(ws: Workspace) -> Iterator[None]:
    ws.own.mkdir()
    yield
    digests.forget(ws)


def settled(path: Path, text: str) -> Path:
    """A file that nobody has touched for longer than any clock is coarse."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pretend(ws: Workspace, path: Path, digest: str = "0" * 64) -> None:
    """That the file, as it is now, was read before, and what came of it."""
    now = path.stat()
    signature = f"{now.st_size} {now.st_mtime_ns} {now.st_ctime_ns} {now.st_ino} {path.name}"
    ws.digests.write_text(json.dumps({signature: digest}))
    digests.forget(ws)


def test_what_was_changed_just_now_is_read_again_and_what_is_older_is_known(ws: Workspace) -> None:
    path = settled(ws.root / "data.csv", "a\n1\n")
    assert digests.of(ws, path) == sha256(path)
    digests.keep(ws)
    assert not ws.digests.exists()  # it could still be changed within the same tick of the clock
    time.sleep(2.1)
    assert digests.of(ws, path) == sha256(path)
    digests.keep(ws)
    assert list(json.loads(ws.digests.read_text()).values()) == [sha256(path)]
    pretend(ws, path)
    assert digests.of(ws, path) == "0" * 64  # by size and times alone


def other_text(path: Path) -> None:
    path.write_text("b\n2\n")


def other_text_of_the_same_time(path: Path) -> None:
    was = path.stat()
    path.write_text("b\n2\n")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def another_file_in_its_place(path: Path) -> None:
    was = path.stat()
    beside = path.with_name("beside")
    beside.write_text("b\n2\n")
    os.utime(beside, ns=(was.st_atime_ns, was.st_mtime_ns))
    beside.replace(path)


@pytest.mark.parametrize("change", [other_text, other_text_of_the_same_time, another_file_in_its_place])
def test_a_change_is_seen_whatever_its_times_say(ws: Workspace, change: Callable[[Path], None]) -> None:
    path = settled(ws.root / "data.csv", "a\n1\n")
    pretend(ws, path)
    change(path)
    assert digests.of(ws, path) == sha256(path)


def test_a_folder_has_the_digest_that_marks_know(ws: Workspace) -> None:
    folder = ws.root / "made"
    for name in ("b/one", "b.txt", "a/é x", "a.b/c"):
        settled(folder / name, name)
    assert digests.of(ws, folder) == sha256(folder)


def test_what_one_workspace_has_read_others_know_by_their_links(ws: Workspace, tmp_path: Path) -> None:
    path = settled(ws.split("d", "train") / "data.csv", "a\n1\n")
    pretend(ws, path)
    apart = Workspace(tmp_path / "apart")
    apart.own.mkdir(parents=True)
    (apart.root / "dataset").symlink_to(ws.root / "dataset")
    assert digests.of(ws, path) == "0" * 64
    assert prepared_data.fingerprint(apart, "d") == prepared_data.fingerprint(ws, "d")
    assert digests.of(apart, apart.split("d", "train") / "data.csv") == "0" * 64
    digests.keep(apart)
    assert not apart.digests.exists()
    digests.forget(apart)


def test_names_of_any_bytes_are_data_as_others(ws: Workspace) -> None:
    folder = ws.split("d", "train")
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"caf\xe9 \n.csv")).write_text("1\n")
    first = prepared_data.fingerprint(ws, "d")
    digests.keep(ws)
    (folder / os.fsdecode(b"caf\xe9 \n.csv")).write_text("2\n")
    assert prepared_data.fingerprint(ws, "d") != first


def test_links_are_followed_and_lead_nowhere_twice(ws: Workspace, tmp_path: Path) -> None:
    pictures = settled(tmp_path / "pictures" / "one.txt", "1").parent
    train = settled(ws.split("d", "train") / "labels.csv", "one,1\n").parent
    (train / "pictures").symlink_to(pictures)
    (pictures / "again").symlink_to(train)
    (train / "nothing").symlink_to(tmp_path / "not there")
    first = prepared_data.fingerprints(ws, "d")
    settled(pictures / "one.txt", "2")
    assert prepared_data.fingerprints(ws, "d")["train"] != first["train"]


def test_data_without_folders_of_splits_count_whole(ws: Workspace) -> None:
    settled(ws.data("d") / "all.csv", "1\n")
    settled(ws.stats("d"), "{}")
    first = prepared_data.fingerprint(ws, "d")
    settled(ws.stats("d"), '{"train": 1}')
    assert prepared_data.fingerprint(ws, "d") == first
    settled(ws.data("d") / "all.csv", "2\n")
    assert prepared_data.fingerprint(ws, "d") != first


def test_what_cannot_be_read_is_an_error_and_a_pipe_is_no_data(ws: Workspace) -> None:
    train = settled(ws.split("d", "train") / "data.csv", "1\n").parent
    first = prepared_data.fingerprint(ws, "d")
    os.mkfifo(train / "pipe")
    assert prepared_data.fingerprint(ws, "d") == first
    with pytest.raises(InputError, match="cannot be read"):
        digests.of(ws, train / "pipe")
    with pytest.raises(InputError, match="does not exist"):
        digests.of(ws, train / "gone")


def test_a_damaged_memory_is_none(ws: Workspace) -> None:
    path = settled(ws.root / "data.csv", "a\n1\n")
    for text in ("[1]", "{", json.dumps({"1 2 3 4 data.csv": 3}), json.dumps({"data.csv": "zz"})):
        ws.digests.write_text(text)
        digests.forget(ws)
        assert digests.of(ws, path) == sha256(path)
