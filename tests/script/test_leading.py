"""Which imports a script begins with, and what ends them."""

from __future__ import annotations

from pathlib import Path

import pytest

from progtrain.engine.script.leading import leading_imports


def _read(tmp_path: Path, text: str, modules: dict[str, str] | None = None) -> tuple[list[str], str]:
    statements, _, why_not = _read_all(tmp_path, text, modules)
    return statements, why_not


def _read_all(tmp_path: Path, text: str, modules: dict[str, str] | None = None) -> tuple[list[str], list[str], str]:
    for name, content in (modules or {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "train.py").write_text(text)
    statements, folders, why_not = leading_imports(tmp_path / "train.py")
    return [statement.strip() for statement in statements], folders, why_not


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
        "os.environ['OMP_NUM_THREADS'] = str(os.cpu_count())",
        "os.environ['PYTHONWARNINGS'] = 'ignore'",
        "os.environ['WANDB_MODE'] = 'offline'",
        "os.environ |= {'A': '1'}",
        "sys.path.insert(0, os.environ['SRC'])",
        "sys.path = ['src', *sys.path]",
        "if os.name not in sys.path: sys.path.append('src')",
        "warnings.filterwarnings('error')",
        "warnings.filterwarnings(sys.argv[1])",
        "warnings.filterwarnings('ignore', **{})",
        "logging.basicConfig(filename='all.log')",
        "HERE = os.listdir()",
        "print('begins')",
        "def f(): pass",
        "from . import other",
    ],
)
def test_what_comes_before_the_long_imports_could_change_them(tmp_path: Path, line: str) -> None:
    found = _read(tmp_path, f"import os, sys, warnings, logging\n{line}\nimport torch\n")
    assert found == ([], "train.py, line 2, comes before the imports that take long")


@pytest.mark.parametrize(
    "line",
    [
        "os.environ['OMP_NUM_THREADS'] = '1'",
        "os.environ.setdefault('HF_HUB_OFFLINE', '1')",
        "warnings.filterwarnings('ignore', category=UserWarning, module='torch')",
        "warnings.simplefilter(action='ignore', category=FutureWarning)",
        "logging.basicConfig(level=logging.INFO, format='%(message)s')",
        "logging.getLogger('lightning').setLevel(logging.ERROR)",
        "matplotlib.use('Agg')",
    ],
)
def test_what_plain_values_set_up_is_run_among_the_imports(tmp_path: Path, line: str) -> None:
    imports = ["import os", "import logging", "import warnings", "import matplotlib"]
    found = _read(tmp_path, "\n".join([*imports, line, "import torch"]))
    assert found == ([*imports, line, "import torch"], "")
    # of other modules than those that the names say, nobody knows what they do
    assert _read(tmp_path, "\n".join([line, *imports, "import torch"]))[0] == []
    assert _read(tmp_path, "import helpers\nimport torch", {"helpers.py": f"{imports}\n{line}"})[0] == []


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("sys.path.insert(0, 'src')", "src"),
        ("sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'src'))", "{here}/src"),
        ("sys.path.insert(1, str(Path(__file__).resolve().parent / 'src'))", "{here}/src"),
        ("ROOT = Path(__file__).parents[0]\nsys.path.extend([f'{ROOT}/src'])", "{here}/src"),
        ("SRC = os.path.join(os.getcwd(), 'src')\nif SRC not in sys.path:\n    sys.path.append(SRC)", "./src"),
        ("sys.path[:0] = [f'{__file__[:-3]}_src/']", "{here}/train_src/"),
        ("sys.path += ['src']", "src"),
    ],
)
def test_folders_that_it_adds_are_looked_into(tmp_path: Path, line: str, folder: str) -> None:
    named = folder.format(here=tmp_path)
    module = {str(tmp_path / named / "helpers.py"): "import sklearn\n"}
    text = f"import os, sys\nfrom pathlib import Path\n{line}\nimport torch\nimport helpers\n"
    assert _read_all(tmp_path, text, module) == (
        ["import os", "import sys", "from pathlib import Path", "import torch", "import sklearn"],
        [named],
        "",
    )


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
