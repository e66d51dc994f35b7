"""Which packages scripts need, and whether an interpreter has them: looked up without running anything of theirs."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.script.baseline.modules import load_modules
from progtrain.engine.text import last_line

_SECONDS = 60
#: what these catch need not be there
_CATCH = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_PROBE = """\
import importlib.util, json, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return name in sys.modules
print(json.dumps([name for name in sys.argv[1:] if not there(name)]))
"""


def needed(script: Path) -> dict[str, tuple[Path, int]]:
    """Top-level names that the script and the modules beside it always import -> file and line.

    Raises `InputError` for a file that is no Python.
    """
    found: dict[str, tuple[Path, int]] = {}
    modules = load_modules(script)
    # also what lies in another folder that the script adds to `sys.path`
    own = {name.partition(".")[0] for module in modules for name in module.imported}
    for module in modules:
        for name, line in _imports(module.tree.body):
            if name not in own:
                found.setdefault(name, (module.path, line))
    # given to every training by progtrain itself
    found.pop("progtrain_live", None)
    return found


def missing(python: str, names: Iterable[str], folder: Path) -> list[str]:
    """Those that this interpreter, started in `folder`, would not find. Raises `InputError` when it cannot be run."""
    try:
        ended = subprocess.run(
            [python, "-c", _PROBE, *sorted(names)],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = "does not answer" if isinstance(error, subprocess.TimeoutExpired) else str(error.strerror)
        raise InputError(f"the interpreter {why}", file=python, fix="name another with --python") from error
    try:
        found: list[str] = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        reason = f"it is no Python that runs: {last_line(ended.stderr)}"
        raise InputError(reason, file=python, fix="name another with --python") from error
    return found


def _imports(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, int]]:
    """What is imported whatever happens: not what is tried, chosen by a condition, or left to a function."""
    for node in statements:
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0], node.lineno
        elif isinstance(node, ast.Try):
            caught = any(handler.type is None or _names(handler.type) & _CATCH for handler in node.handlers)
            yield from _imports([*([] if caught else node.body), *node.finalbody])
        elif isinstance(node, ast.With):
            caught = any(_names(item.context_expr) & _CATCH for item in node.items)
            yield from _imports([] if caught else node.body)
        elif isinstance(node, ast.If) and "__name__" in _names(node.test):
            yield from _imports(node.body)


def _names(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
