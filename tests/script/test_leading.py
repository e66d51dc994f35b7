"""Which imports a script begins with, and what ends them."""

from __future__ import annotations

from pathlib import Path

import pytest

from progtrain.engine.script.leading import leading_imports


def _read(tmp_path: Path, text: str, modules: dict[str, str] | None = None) -> tuple[list[str], str]:
    for name, content in (modules or {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "train.py").write_text(text)
    statements, why_not = leading_imports(tmp_path / "train.py")
    return [statement.strip() for statement in statements], why_not


def test_imports_come_in_their_order_up_to_the_first_thing_done(tmp_path: Path) -> None:
    text = (
        '"""Trains."""\n'
        "from __future__ import annotations\n"
        "import lightning as L\n"
        "__author__ = 'x'\n"
        "from torch import nn, optim\n"
        "if TYPE_CHECKING:\n"
        "    from typing import Any\n"
        "SEED = 42\n"
        "L.seed_everything(SEED)\n"
        "import pandas\n"
    )
    assert _read(tmp_path, text) == (["import lightning as L", "from torch import nn, optim"], "")


@pytest.mark.parametrize(
    "line",
    [
        "os.environ['OMP_NUM_THREADS'] = '1'",
        "sys.path.insert(0, 'src')",
        "warnings.filterwarnings('ignore')",
        "HERE = os.getcwd()",
        "print('begins')",
        "def f(): pass",
        "from . import other",
    ],
)
def test_what_comes_before_the_long_imports_could_change_them(tmp_path: Path, line: str) -> None:
    found = _read(tmp_path, f"import os, sys, warnings\n{line}\nimport torch\n")
    assert found == ([], "train.py, line 2, comes before the imports that take long")


def test_imports_that_are_tried_are_tried(tmp_path: Path) -> None:
    tried = "try:\n    import lightning as L\nexcept ImportError:\n    L = None"
    assert _read(tmp_path, f"{tried}\nimport torch\n") == ([tried, "import torch"], "")
    other = "try:\n    import lightning\nexcept Exception:\n    print('none')\nimport torch"
    assert _read(tmp_path, other)[0] == []


def test_local_modules_are_looked_into(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "import torch, helpers\nfrom models.net import Net\nimport pandas\n",
        {
            "helpers.py": "import sklearn\n",
            "models/__init__.py": "import yaml\n",
            "models/net.py": "import numpy\nimport torchmetrics\nclass Net: pass\n",
        },
    )
    assert found == (["import torch", "import sklearn", "import yaml", "import numpy", "import torchmetrics"], "")


def test_a_local_module_of_imports_alone_is_passed(tmp_path: Path) -> None:
    found = _read(tmp_path, "import common\nimport torch\n", {"common.py": "import numpy\nA = 1\nimport train\n"})
    assert found == (["import numpy", "import torch"], "")


def test_each_stands_on_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("# first\n\nimport torch\n")
    assert leading_imports(tmp_path / "train.py")[0] == ["\n\nimport torch"]


@pytest.mark.parametrize("text", ["import json\nprint(1)\n", "import (\n", "\0", ""])
def test_without_long_imports_there_is_nothing_to_say(tmp_path: Path, text: str) -> None:
    assert _read(tmp_path, text) == ([], "")
