"""The quickstart for one's own script works by copy and paste, as README and the site's first page have it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def _blocks(page: str, kind: str) -> list[str]:
    found: list[str] = re.findall(rf"```{kind}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return found


@pytest.mark.parametrize(
    ("page", "number"), [("README.md", 0), pytest.param("docs/index.md", 1, marks=pytest.mark.slow)]
)
def test_a_script_of_ones_own_is_ready_after_pasting(tmp_path: Path, page: str, number: int) -> None:
    (tmp_path / "train.py").write_text(_blocks("docs/training_script.md", "python")[0], encoding="utf-8")
    for split in ("train", "valid"):
        folder = tmp_path / "dataset" / "prepdata" / "points_v1" / split
        folder.mkdir(parents=True)
        np.savez(folder / "points.npz", x=np.zeros((8, 4), dtype="float32"), y=np.zeros(8, dtype="int64"))
    pasted = _blocks(page, "sh")[number].replace("~/where/it/is", f"'{tmp_path}'")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["sh", "-ec", pasted],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready: progtrain run" in done.stdout
