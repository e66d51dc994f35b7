"""What is built and installed: one package, complete, whatever else lies on the path."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import progtrain

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: distribution -> what it is imported as, where the names differ
IMPORTED_AS = {"llama-cpp-python": "llama_cpp", "pillow": "PIL", "pyyaml": "yaml", "textual-image": "textual_image"}


def modules() -> list[Path]:
    return [path for part in ("engine", "advisor", "tui") for path in sorted((ROOT / part).rglob("*.py"))]


def imported() -> dict[str, str]:
    """Third-party package -> a file that imports it, inside functions too."""
    found = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            found |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: path for name, path in found.items() if name not in {*sys.stdlib_module_names, "progtrain"}}


def declared(groups: list[str]) -> set[str]:
    names = [re.split(r"[<>=\[ ]", group)[0] for group in groups]
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


#: asked for at run time where they are there, and done without where not; our own modules beside a script
OPTIONAL = {"pynvml", "textual_image", "pytorch_lightning", "gguf"}
OPTIONAL |= {"progtrain_eval", *(path.stem for path in (ROOT / "engine" / "live").glob("*.py"))}
#: of experiments: extras that say how to install them, and what runs in the user's own interpreter
OPTIONAL |= {"optuna", "matplotlib", *(path.stem for path in (ROOT / "engine").glob("*/tools/*.py"))}
OPTIONAL |= {"inspect_ai", "peft", "pyarrow", "safetensors", "transformers"}
#: trackers, in the interpreter that has them, and what trackio brings
OPTIONAL |= {"mlflow", "trackio", "wandb", "orjson"}
#: the extra `mcp`, and what it brings
OPTIONAL |= {"anyio", "mcp", "mcp_types"}


def test_what_is_imported_is_declared() -> None:
    missing = {name: path for name, path in imported().items() if name not in declared(PROJECT["dependencies"])}
    assert {name: path for name, path in missing.items() if name not in OPTIONAL} == {}


def test_what_is_declared_is_imported() -> None:
    assert declared(PROJECT["dependencies"]) - set(imported()) == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_a_wheel_has_one_package_and_all_of_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"progtrain", f"progtrain-{progtrain.__version__}.dist-info"}
    parts = {path.relative_to(ROOT).as_posix() for path in modules()}
    assert {f"progtrain/{part}" for part in parts} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    for needed in (
        "progtrain/py.typed",
        "progtrain/__main__.py",
        "progtrain/advisor/progtrain-advisor.gguf",
        "progtrain/advisor/prose/sentences/actions.toml",
        "progtrain/tui/app.tcss",
        "progtrain/engine/templates/03_eval.py",
        "progtrain/engine/templates/04_final_report.py",
        "progtrain/engine/templates/baselines/table.py.j2",
        "progtrain/engine/templates/progtrain_eval/judge.py",
        "progtrain/engine/live/progtrain_live-1.0.dist-info/entry_points.txt",
        "progtrain/engine/bundled_examples/wine/02_train_baseline.py",
        "progtrain/engine/bundled_examples/user_defined_rules.json",
        "progtrain/docs/architecture.md",
    ):
        assert names.count(needed) == 1, needed


def test_a_users_folders_of_the_same_names_never_matter(wheel: Path, tmp_path: Path) -> None:
    """`engine`, `advisor`, `tui` and `models` on the path and in the present folder are the user's own."""
    installed, project = tmp_path / "installed", tmp_path / "my project"
    zipfile.ZipFile(wheel).extractall(installed)
    for name in ("engine", "advisor", "tui", "models"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text(f"raise ImportError('this is the user\\'s own {name}')\n")
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}.", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import progtrain.engine.cli.main as m; print(m.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    assert progtrain.__version__ in run("-m", "progtrain", "--version")
    run("-m", "progtrain", "init", "--example", "wine", "wine")
    assert "wine" in run("-m", "progtrain", "-C", "wine", "status")
    for module in ("progtrain.engine.loop.runner", "progtrain.engine.jobs.guard", "progtrain.advisor.worker"):
        run("-P", "-c", f"import {module}")
    run("-c", "import progtrain.tui.app")


def test_the_version_is_the_installed_one() -> None:
    assert metadata.version("progtrain") == progtrain.__version__
