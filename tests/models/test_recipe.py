"""The recipe runs from nothing to a file that llama.cpp takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.advisor import process


@pytest.mark.slow
def test_the_recipe_makes_a_model_and_goes_on_where_it_was_left(tmp_path: Path) -> None:
    target = tmp_path / "small.gguf"
    command = [sys.executable, "-m", "models.recipe", "--out", str(tmp_path / "out"), "--target", str(target)]
    for steps in ("2", "3"):
        subprocess.run(
            [*command, "--steps", steps, "--evaluate", "0"],
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    info = process.inspect(target)
    assert info.problems == ()
    assert info.native
