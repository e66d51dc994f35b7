"""From what a model wrote to an edit of one function, or the reason why it is none."""

from __future__ import annotations

import ast
import re
import textwrap

from progtrain.engine.errors import InputError
from progtrain.engine.script.action import code_edit
from progtrain.engine.script.action.code_edit import EditOperation, Function
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.script.action.policy import editable
from progtrain.engine.script.settings import parse_script

_OPEN = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*(\w*)[ \t]*$")
_PATH = re.compile(r"^\s*#\s*([A-Za-z_]\w*\.[A-Za-z_]\w*)\b")


def extract(text: str, source: str) -> tuple[tuple[str, ...], EditOperation]:
    """What was said before, line by line, and the edit.

    Raises `InputError` with a reason that fits behind "nothing is proposed: ".
    """
    prose, code = _split(text)
    code = textwrap.dedent(code)
    path, function = _function(code, source)
    old = code_edit.find(source, path)
    if _signature(function) != _signature(old):
        raise InputError(f"its {path} takes other arguments than the script's")
    if ast.dump(ast.Module(function.body, [])) == ast.dump(ast.Module(_undocumented(old, function), [])):
        raise InputError(f"its {path} is the one that the script has")
    body = _body(code, function)
    documentation = ast.get_source_segment(source, old.body[0]) if _documented(old) else None
    if documentation and not _documented(function):
        body = f"{textwrap.dedent(documentation)}\n{body}"
    operation = parse_operation({"operation": "edit", "function": path, "body": body})
    assert isinstance(operation, EditOperation)
    lines = (line.strip("-* \t") for line in prose.splitlines())
    return tuple(line for line in lines if line), operation


def _split(text: str) -> tuple[str, str]:
    """What stands before the first block of code, and that block."""
    lines = text.replace("\r\n", "\n").split("\n")
    start = next((n for n, line in enumerate(lines) if _OPEN.match(line)), None)
    if start is None:
        raise InputError("it wrote no block of code")
    mark = _OPEN.match(lines[start])
    assert mark
    end = next((n for n, line in enumerate(lines) if n > start and line.strip() == mark[1]), None)
    if end is None:
        raise InputError("its code has no end")
    if any(_OPEN.match(line) for line in lines[end + 1 :]):
        raise InputError("it wrote more than one block of code")
    return "\n".join(lines[:start]), "\n".join(lines[start + 1 : end])


def _function(code: str, source: str) -> tuple[str, Function]:
    """The one function of the block, and which of the script's it is meant for."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"its code is not valid Python ({getattr(error, 'msg', error)})") from error
    found = list(code_edit.functions(tree))
    others = [node for node in tree.body if not isinstance(node, Function | ast.ClassDef)]
    if len(found) != 1 or others:
        count = "no function" if not found else f"{len(found)} functions" if len(found) > 1 else "more than a function"
        raise InputError(f"its block holds {count}, and one is asked for")
    path, function = found[0]
    named = _PATH.match(code)
    wanted = named[1] if named and named[1].endswith(f".{function.name}") else path
    present = [name for name, _ in code_edit.functions(parse_script(source))]
    fitting = [name for name in present if name == wanted or ("." not in wanted and name.endswith(f".{wanted}"))]
    if len(set(fitting)) > 1:
        raise InputError(f"it does not say which {function.name} is meant: {', '.join(fitting)}")
    if not fitting:
        raise InputError(f"the script has no function {wanted}")
    if fitting[0] not in editable(source):
        raise InputError(f"{fitting[0]} measures a version or reads its data: it is not edited")
    return fitting[0], function


def _signature(function: Function) -> str:
    """Names, kinds and defaults of the arguments; annotations don't count."""
    bare = ast.parse(f"def f({ast.unparse(function.args)}): pass")
    for node in ast.walk(bare):
        if isinstance(node, ast.arg):
            node.annotation = None
    return f"{type(function).__name__} {ast.dump(bare)}"


def _documented(function: Function) -> bool:
    return ast.get_docstring(function, clean=False) is not None


def _undocumented(old: Function, new: Function) -> list[ast.stmt]:
    """The old body, without its docstring where the new one has none."""
    return old.body[1:] if _documented(old) and not _documented(new) else old.body


def _body(code: str, function: Function) -> str:
    """The text of the body, comments above its first statement included."""
    lines = code.split("\n")
    first, end = function.body[0], function.end_lineno or 0
    if first.lineno == function.lineno:
        return "\n".join(ast.unparse(node) for node in function.body)
    start = first.lineno - 1
    while lines[start - 1].strip().startswith("#"):
        start -= 1
    return textwrap.dedent("\n".join(lines[start:end]))
