"""What a script may do before its long imports, and be started warm all the same (`engine/script/leading.py`).

Two kinds of lines: those that add folders to `sys.path`, which a warm start leaves to the script once it has seen that
no folder has a module in place of an imported one; and those that set something up by plain values, which it runs in
their place among the imports.
"""

from __future__ import annotations

import ast
import builtins
import os.path
from collections.abc import Iterator, Mapping
from pathlib import Path

from progtrain.engine.script.nodes import keyword, text_of

#: Name in the script -> what it stands for: "os", "os.path", "pathlib.Path".
Modules = dict[str, str]
#: Name in the script -> the path that it holds.
Paths = dict[str, str]
_SAME_PATH = frozenset({"os.path.abspath", "os.path.normpath", "os.path.expanduser", "os.fspath", "str"})
_REAL_PATH = frozenset({"os.path.realpath"})
_PATH_METHODS = frozenset({"resolve", "absolute", "as_posix"})
#: of an interpreter, of progtrain, or set by a probe
_NO_VARIABLES = ("PYTHON", "PROGTRAIN_", "WANDB_MODE", "NEPTUNE_MODE", "CLEARML_OFFLINE_MODE")
#: with others, warnings of the process that waits would be errors, or a module would count them
_FILTERS = ("ignore", "default", "always", "once")
_LOGGING = frozenset({"level", "format", "datefmt", "style", "force"})


def learn_import(node: ast.stmt, modules: Modules) -> None:
    """The names that an import of packages gives."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            modules[alias.asname or first] = alias.name if alias.asname else first
    elif isinstance(node, ast.ImportFrom):
        modules.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})


def learn_path(node: ast.stmt, script: Path, modules: Modules, paths: Paths) -> bool:
    """Whether it gives names to a path, and does nothing else: `ROOT = Path(__file__).parent`."""
    if not isinstance(node, ast.Assign) or not all(isinstance(target, ast.Name) for target in node.targets):
        return False
    found = path_of(node.value, script, modules, paths)
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    for name in names:
        modules.pop(name, None)
        paths.pop(name, None)
    if found is not None:
        paths.update(dict.fromkeys(names, found))
    return found is not None


def folders_added(node: ast.stmt, script: Path, modules: Modules, paths: Paths) -> list[str] | None:
    """Folders that a statement adds to `sys.path`; None where it does something else. Relative to where it runs."""
    if isinstance(node, ast.If) and not node.orelse and isinstance(node.test, ast.Compare):
        test, parts = node.test, [folders_added(part, script, modules, paths) for part in node.body]
        absent = isinstance(test.ops[0], ast.NotIn) and _name(test.comparators[0], modules) == "sys.path"
        plain = len(test.ops) == 1 and path_of(test.left, script, modules, paths) is not None
        known = [part for part in parts if part is not None]
        return [folder for part in known for folder in part] if absent and plain and len(known) == len(parts) else None
    found = [path_of(item, script, modules, paths) for item in _added(node, modules)]
    return [folder for folder in found if folder is not None] if found and None not in found else None


def _added(node: ast.stmt, modules: Modules) -> list[ast.expr]:
    """What it puts into `sys.path`."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not node.value.keywords:
        name, given = _name(node.value.func, modules), node.value.args
        if name == "sys.path.insert" and len(given) == 2 and isinstance(given[0], ast.Constant):
            return [given[1]]
        if name == "sys.path.append" and len(given) == 1:
            return given
        listed = given[0] if name == "sys.path.extend" and len(given) == 1 else None
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
        place = node.targets[0]
        first = isinstance(place.slice, ast.Slice) and ast.unparse(place.slice) in (":0", "0:0")
        listed = node.value if first and _name(place.value, modules) == "sys.path" else None
    else:
        own = isinstance(node, ast.AugAssign) and _name(node.target, modules) == "sys.path"
        listed = node.value if isinstance(node, ast.AugAssign) and own else None
    return listed.elts if isinstance(listed, ast.List | ast.Tuple) else []


def path_of(node: ast.expr, script: Path, modules: Modules, paths: Paths) -> str | None:
    """The path that an expression gives, by what stands in it alone; None where that can't be told."""
    if isinstance(node, ast.Constant):
        return text_of(node)
    if isinstance(node, ast.Name):
        return os.path.abspath(script) if node.id == "__file__" else paths.get(node.id)  # noqa: PTH100
    if isinstance(node, ast.Call):
        return _called_path(node, script, modules, paths)
    if isinstance(node, ast.JoinedStr):
        formatted = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        if any(part.format_spec is not None or part.conversion != -1 for part in formatted):
            return None
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        return _joined(parts, "", script, modules, paths)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
        return _joined([node.left, node.right], "/" if isinstance(node.op, ast.Div) else "", script, modules, paths)
    if isinstance(node, ast.Attribute) and node.attr == "parent":
        return _above(path_of(node.value, script, modules, paths), 1)
    if isinstance(node, ast.Subscript):
        return _part_of(node, script, modules, paths)
    return None


def _called_path(node: ast.Call, script: Path, modules: Modules, paths: Paths) -> str | None:
    name, first = _name(node.func, modules), node.args[0] if node.args else None
    if node.keywords:
        return None
    if name in ("os.getcwd", "pathlib.Path.cwd") and first is None:
        return "."
    if name in ("os.path.join", "pathlib.Path") and first is not None:
        return _joined(node.args, "/", script, modules, paths)
    if name in _SAME_PATH | _REAL_PATH | {"os.path.dirname"} and len(node.args) == 1 and first is not None:
        found = path_of(first, script, modules, paths)
        if name == "os.path.expanduser" and found is not None:
            return os.path.expanduser(found)  # noqa: PTH111
        return _above(found, 1) if name == "os.path.dirname" else _real(found) if name in _REAL_PATH else found
    if isinstance(node.func, ast.Attribute) and node.func.attr in _PATH_METHODS and first is None:
        found = path_of(node.func.value, script, modules, paths)
        return _real(found) if node.func.attr == "resolve" else found
    return None


def _joined(parts: list[ast.expr], by: str, script: Path, modules: Modules, paths: Paths) -> str | None:
    found = [path_of(part, script, modules, paths) for part in parts]
    known = [part for part in found if part is not None]
    if len(known) < len(found):
        return None
    return os.path.join(*known) if by else "".join(known)  # noqa: PTH118


def _part_of(node: ast.Subscript, script: Path, modules: Modules, paths: Paths) -> str | None:
    """`Path(__file__).parents[1]`, `__file__[:-3]`."""
    if isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
        which = node.slice.value if isinstance(node.slice, ast.Constant) else None
        found = path_of(node.value.value, script, modules, paths)
        return _above(found, which + 1) if isinstance(which, int) else None
    found = path_of(node.value, script, modules, paths)
    return found[:-3] if found is not None and ast.unparse(node.slice) == ":-3" else None


def _real(path: str | None) -> str | None:
    return os.path.realpath(path) if path is not None and os.path.isabs(path) else path  # noqa: PTH117


def _above(path: str | None, levels: int) -> str | None:
    for _ in range(levels):
        path = None if path is None else os.path.dirname(path)  # noqa: PTH120
    return path


# ---- what is set by plain values


def sets_up(node: ast.stmt, modules: Modules) -> bool:
    """Whether it sets variables, filters of warnings, levels of logging or the backend of plots, by plain values."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
        place = node.targets[0]
        return _name(place.value, modules) == "os.environ" and _sets_variable(place.slice, node.value)
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    call = node.value
    name, plain = _name(call.func, modules), all(_is_plain(arg, modules) for arg in _values(call))
    if not plain:
        return False
    if name == "os.environ.setdefault":
        return len(call.args) == 2 and not call.keywords and _sets_variable(*call.args)
    if name in ("warnings.filterwarnings", "warnings.simplefilter"):
        return text_of(call.args[0] if call.args else keyword(call, "action")) in _FILTERS
    if name == "logging.basicConfig":
        return not call.args and all(given.arg in _LOGGING for given in call.keywords)
    if name == "matplotlib.use":
        return len(call.args) == 1 and (text_of(call.args[0]) or "").casefold() == "agg"
    return _sets_level(call, modules)


def _sets_variable(name: ast.expr, value: ast.expr) -> bool:
    known = text_of(name)
    return known is not None and not known.startswith(_NO_VARIABLES) and text_of(value) is not None


def _sets_level(call: ast.Call, modules: Modules) -> bool:
    """`logging.getLogger("name").setLevel(logging.ERROR)`."""
    of = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr == "setLevel" else None
    if not isinstance(of, ast.Call) or _name(of.func, modules) != "logging.getLogger":
        return False
    return len(call.args) == 1 and all(isinstance(value, ast.Constant) for value in _values(of))


def _values(call: ast.Call) -> Iterator[ast.expr]:
    yield from call.args
    # `**more` is no plain value
    yield from (given.value if given.arg else ast.Name("", ast.Load()) for given in call.keywords)


def _is_plain(node: ast.expr, modules: Mapping[str, str]) -> bool:
    """A constant, a kind of warning, a level of logging."""
    if isinstance(node, ast.Name) and node.id not in modules:
        known = getattr(builtins, node.id, None)
        return isinstance(known, type) and issubclass(known, Warning)
    level = _name(node, modules).removeprefix("logging.")
    return isinstance(node, ast.Constant) or level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _name(node: ast.AST, modules: Mapping[str, str]) -> str:
    """What a name stands for, with its dots; empty where nobody imported it."""
    if isinstance(node, ast.Name):
        return modules.get(node.id, "str" if node.id == "str" else "")
    if isinstance(node, ast.Attribute):
        base = _name(node.value, modules)
        return f"{base}.{node.attr}" if base else ""
    return ""
