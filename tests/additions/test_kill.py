"""Whenever the making is killed, the prepared data are as they were and no half addition is ever used."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from progtrain.engine.additions import checks, folder
from progtrain.engine.workspace import Workspace
from tests.additions.conftest import DATASET, sha256_of_all

MAKE = ("additions", "make", "v001", "--hard-by", "out_of_fold", "--augment", "0.1", "--again", "--dataset-id", DATASET)
KILLS = 20


@pytest.mark.slow
def test_killed_at_any_time(toy: Workspace) -> None:
    before = sha256_of_all(toy.data(DATASET))
    command = [sys.executable, "-m", "progtrain", "-C", str(toy.root), *MAKE]
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - begun
    drawn = random.Random(0)
    for _ in range(KILLS):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(drawn.uniform(0.3, 1.0) * whole)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert sha256_of_all(toy.data(DATASET)) == before
        for name in folder.names(toy, DATASET):
            assert len(folder.read(toy, DATASET, name)) == 19
    there = folder.names(toy, DATASET)
    subprocess.run(command, check=True, capture_output=True)
    last = folder.names(toy, DATASET)[-1]
    assert (last not in there, checks.again(toy, DATASET, last).refused) == (True, [])


def test_what_was_being_written_is_no_addition(toy: Workspace) -> None:
    """A folder that was not renamed yet."""
    place = toy.additions(DATASET)
    (place / ".a001.x7").mkdir(parents=True)
    (place / ".a001.x7" / "manifest.json").write_text("{}")
    assert folder.names(toy, DATASET) == []
    assert folder.free_name(toy, DATASET) == "a001"
