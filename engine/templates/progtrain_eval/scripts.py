"""A version's script, seen from outside: what it defines, and its import."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from .common import ROOT, EvalError, calling


def constant(path: Path, name: str) -> Any:
    """A plain value at the top level of a script; None where there is none."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                return None
    return None


def own_words(words: list[str], script: Path) -> list[str]:
    """With the version's own copies of the config files that they name, that of `--config-name` (Hydra) too."""
    own, version = [own_word(word, script) for word in words], script.stem.rpartition("_")[2]
    folder = re.search(
        r"""(?:config_path\s*=|hydra\.(?:main|initialize)\()\s*["']([^"']*)["']""", script.read_text("utf-8", "replace")
    )
    for at, word in enumerate(words):
        option, equals, name = word.partition("=")
        if folder and option in ("--config-name", "-cn") and (equals or at + 1 < len(words)):
            stem = re.sub("_v[0-9]{3,}$", "", (name or words[at + 1]).removesuffix(".yaml"))
            if (script.parent / folder[1] / f"{stem}_{version}.yaml").is_file():
                own[at if equals else at + 1] = f"{option}={stem}_{version}" if equals else f"{stem}_{version}"
    return own


def own_word(word: str, script: Path) -> str:
    """Where the version has its own copy of a config file that is named, the copy: `--config=small_v003.yaml`."""
    option, equals, name = word.rpartition("=")
    file, version = Path(name), script.stem.rpartition("_")[2]
    if file.suffix.lower() not in {".yaml", ".yml", ".toml", ".json"} or not re.fullmatch("v[0-9]{3,}", version):
        return word
    copy = file.with_name(f"{re.sub('_v[0-9]{3,}$', '', file.stem)}_{version}{file.suffix}")
    return f"{option}{equals}{copy.as_posix()}" if (ROOT / copy).is_file() else word


def offered(path: Path) -> set[str]:
    """The names that a script defines or imports at its top level, without running it."""
    try:
        body = ast.parse(path.read_bytes()).body
    except SyntaxError as error:
        raise EvalError(f"{path.name}, line {error.lineno}: no valid Python: {error.msg}") from error
    names = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imported = [a for node in body if isinstance(node, (ast.Import, ast.ImportFrom)) for a in node.names]
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)]
    return names | {a.asname or a.name for a in imported} | {t.id for t in targets}


def beside(path: Path) -> None:
    """From here on modules are found as the script finds them: beside it first, and in what PYTHONPATH names."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "library_first")]
    named = [folder for folder in os.environ.get("PROGTRAIN_MODULES", "").split(os.pathsep) if folder]
    sys.path[:0] = [str(path.parent), *named]


def import_file(path: Path) -> ModuleType:
    """Imports a script by its path; its main part does not run."""
    if not path.is_file():
        raise EvalError(f"{path.relative_to(ROOT)} does not exist")
    spec = importlib.util.spec_from_file_location(f"evaluated_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    beside(path)
    sys.argv = [str(path)]  # a script that parses its arguments on import gets its defaults
    with calling(f"importing {path.name}"):
        spec.loader.exec_module(module)
    return module
