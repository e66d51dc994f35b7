"""Giving one function or method another body, and functions as a whole: found by name, and what an edit touches."""

from __future__ import annotations

import ast
import copy
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.action.operation import Lineage, Operation
from progtrain.engine.script.action.trees import program
from progtrain.engine.script.editor import Source
from progtrain.engine.script.names import PARTS, canonical
from progtrain.engine.script.nodes import called
from progtrain.engine.script.settings import OPTIMIZERS, find_settings, parse_script
from progtrain.engine.script.sources import files_of, with_script
from progtrain.engine.script.structure import LOSSES, SCHEDULERS, ScriptFacts, describe

Function = ast.FunctionDef | ast.AsyncFunctionDef

_EVERYWHERE = frozenset({"optimizer", "schedule", "loss", "model", "data", "trainer"})
#: callee -> the part of the script that it belongs to
_CALLED = {
    **dict.fromkeys(OPTIMIZERS, "optimizer"),
    **dict.fromkeys(SCHEDULERS, "schedule"),
    **dict.fromkeys(LOSSES, "loss"),
    **dict.fromkeys(("Trainer", "EarlyStopping", "ModelCheckpoint", "clip_grad_norm_"), "trainer"),
    **dict.fromkeys(("DataLoader", "TensorDataset", "Subset", "random_split", "WeightedRandomSampler"), "data"),
}


def _fenceless(body: str) -> str:
    """Without what would end the block in `action-extract.md` that it stands in."""
    if "```" in body or "~~~" in body:
        raise ValueError("a body must not hold ``` or ~~~")
    return "\n".join(line.rstrip() for line in body.strip("\n").split("\n")) + "\n"


class EditOperation(Operation):
    """Gives one function or method another body. Only where the rules allow code edits."""

    operation: Literal["edit"] = "edit"
    #: `step_size`, or `Net.forward`
    function: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")
    #: its statements, not indented
    body: Annotated[str, AfterValidator(_fenceless)] = Field(min_length=1, max_length=20_000)

    def touches(self, source: str, lineage: Sequence[Lineage] = ()) -> frozenset[str]:
        return touched(source, self)

    def apply(self, source: str, *, lineage: Sequence[Lineage] = ()) -> str:
        return with_script(source, set_body(source, self))

    def verify(self, old: str, new: str, *, lineage: Sequence[Lineage] = ()) -> None:
        if files_of(old) != files_of(new):
            raise self.refusal("another file changed too")
        before, after = program(old), program(new)
        if ast.dump(before) == ast.dump(after):
            raise self.refusal("nothing differs")
        _emptied(before, self)
        written = ast.parse(f"def body():\n{textwrap.indent(self.body, '    ')}").body[0]
        found = _emptied(after, self)
        if [ast.dump(node) for node in found] != [ast.dump(node) for node in getattr(written, "body", [])]:
            raise self.refusal("the body is another than declared")
        if ast.dump(before) != ast.dump(after):
            change = next(iter(compare(ast.unparse(before), ast.unparse(after))), None)
            place = change.path if change else "something"
            raise self.refusal(f"{place} changed too", change.line if change else None)

    def describe(self) -> str:
        lines = self.body.count("\n")
        return f"new body for {self.function} ({lines} line{'s' if lines > 1 else ''})"

    def place(self, script: str, source: str | None) -> str:
        return f"{script}: the body of `{self.function}`, nothing else"


def _emptied(tree: ast.Module, operation: EditOperation) -> list[ast.stmt]:
    """Takes the body out of the one function that the operation names, and returns it."""
    scopes: list[ast.stmt] = tree.body
    *around, name = operation.function.split(".")
    for owner in around:
        scopes = [s for c in scopes if isinstance(c, ast.ClassDef) and c.name == owner for s in c.body]
    found = [s for s in scopes if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef) and s.name == name]
    if len(found) != 1:
        raise operation.refusal(f"there is not one {operation.function}")
    body, found[0].body = found[0].body, [ast.Pass()]
    return body


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions of the module and methods of its classes, as `step_size` and `Net.forward`."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{item.name}", item) for item in node.body if isinstance(item, Function))


def find(source: str, path: str) -> Function:
    """Raises `InputError` when there is none, or more than one."""
    found = [node for name, node in functions(parse_script(source)) if name == path]
    if len(found) != 1:
        raise InputError(
            f"the script has {'no function' if not found else f'{len(found)} functions'} {path}",
            fix="name one that stands in it once, as `step_size` or `Net.forward`",
        )
    return found[0]


def body_tree(operation: EditOperation, like: Function) -> list[ast.stmt]:
    """The statements of the new body. Raises `InputError` with the line of a syntax error."""
    begin = "async def" if isinstance(like, ast.AsyncFunctionDef) else "def"
    try:
        tree = ast.parse(f"{begin} body():\n{textwrap.indent(operation.body, '    ')}")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line - 1} of it)" if isinstance(line, int) else ""
        raise InputError(
            f"the new body of {operation.function} is not valid Python{where}: {getattr(error, 'msg', error)}",
            fix="correct the body, or choose another candidate",
        ) from error
    if len(tree.body) != 1 or not isinstance(tree.body[0], Function):
        raise InputError(
            f"the new body of {operation.function} ends before its last line: something in it is not indented",
            fix="indent all of it alike",
        )
    return tree.body[0].body


def set_body(source: str, operation: EditOperation) -> str:
    """The script with the new body in place; what stands around it is kept as it is."""
    old = find(source, operation.function)
    body_tree(operation, old)
    script = Source(source)
    return script.apply([script.set_body(old, operation.body)])


def pieces(function: Function) -> dict[str, list[ast.AST]]:
    """Each statement without the statements in it, by its dump."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.walk(function):
        if node is not function and isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            own = [child for child in ast.iter_child_nodes(node) if not isinstance(child, _HOLDS_OTHERS)]
            found.setdefault(type(node).__name__ + "".join(map(ast.dump, own)), []).append(node)
    return found


_HOLDS_OTHERS = (ast.stmt, ast.ExceptHandler, ast.match_case)


def own_nodes(statement: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement, without those of the statements in it."""
    yield statement
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, _HOLDS_OTHERS):
            yield from own_nodes(child)


def changed(old: Function, new: Function) -> list[ast.AST]:
    """Statements that only one of the two has, as often as it has them more."""
    before, after = pieces(old), pieces(new)
    count = Counter({key: len(nodes) for key, nodes in after.items()})
    count.subtract({key: len(nodes) for key, nodes in before.items()})
    return [node for key, more in count.items() for node in (after if more > 0 else before)[key][: abs(more)]]


def touched(source: str, operation: EditOperation) -> frozenset[str]:
    """What locks are checked against: settings that the changed statements name, and parts of the script.

    Where nothing tells which part a function belongs to, it counts as belonging to all of them.
    """
    old = find(source, operation.function)
    statements = changed(old, with_body(old, body_tree(operation, old)))
    nodes = [node for statement in statements for node in own_nodes(statement)]
    scripts = (source, set_body(source, operation))
    before, after = ({(s.key, s.name, s.value) for s in find_settings(text)} for text in scripts)
    keys = {key for key, _, _ in before ^ after}
    keys |= _named(nodes, old, {name: key for key, name, _ in before})
    parts = {PARTS[key] for key in keys if key in PARTS}
    parts |= {_CALLED[name] for node in nodes if isinstance(node, ast.Call) and (name := called(node)) in _CALLED}
    parts |= _parts_by_place(operation.function, describe(source))
    return frozenset(keys | (parts or _EVERYWHERE) | {f"edit_{old.name}"})


def with_body(function: Function, statements: list[ast.stmt]) -> Function:
    """A copy with these statements."""
    copied = copy.copy(function)
    copied.body = statements
    return copied


def _named(nodes: Sequence[ast.AST], function: Function, settings: Mapping[str, str]) -> set[str]:
    """Keys of the settings that these nodes name: constants, `self.hparams.lr`, `cfg["lr"]`, `lr=`, own parameters."""
    keys = set(settings.values())
    defaults = (*function.args.defaults, *filter(None, function.args.kw_defaults))
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    given = {a.arg for a in arguments[len(arguments) - len(defaults) :]} if defaults else set()
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and (node.id in settings or node.id in given):
            found.add(settings.get(node.id, canonical(node.id)))
        elif isinstance(node, ast.Attribute) and canonical(node.attr) in keys:
            found.add(canonical(node.attr))
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            found |= {canonical(str(node.slice.value))} & keys
        elif isinstance(node, ast.keyword) and node.arg and (canonical(node.arg) in keys | set(PARTS)):
            found.add(canonical(node.arg))
    return found


def _parts_by_place(path: str, facts: ScriptFacts) -> set[str]:
    owner, _, name = path.rpartition(".")
    if name == "configure_optimizers":
        return {"optimizer", "schedule"}
    if owner and owner == facts.datamodule_class:
        return {"data"}
    if owner in facts.modules and owner:
        inside = path in facts.training_path and name != "forward"
        return {"loss"} if inside else {"model"}
    return set()
