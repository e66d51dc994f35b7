"""A training script as a libcst tree that recipes look around in and collect changes for.

Nothing is changed until `code()`: all changes are then made in one pass, so that nodes found before stay valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

import libcst as cst

from progtrain.engine.script.action.edit import format_literal
from progtrain.engine.script.action.layout import add_import_name, append_argument, append_element
from progtrain.engine.script.action.nodes import (
    WIDTH,
    Statement,
    argument,
    assignments,
    bindings,
    children,
    dict_keys,
    dotted,
    is_docstring,
    keyword,
    walk,
)
from progtrain.engine.script.action.placing import Codes, parsed, place_constants, place_imports
from progtrain.engine.script.action.transform import Apply, Change, Expand
from progtrain.engine.script.settings import Setting, Value, find_settings
from progtrain.engine.script.structure import ScriptFacts, describe

_Node = TypeVar("_Node", bound=cst.CSTNode)


class Refused(Exception):
    """Why a recipe cannot be applied to this script."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NeedsBlock(Exception):
    """A statement goes into a function that is written on one line: to be answered by `expand` and a new start."""

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self.function = function


@dataclass(frozen=True)
class _Tree:
    """A script as it stands, shared by all recipes that look at it."""

    module: cst.Module
    parents: dict[cst.CSTNode, cst.CSTNode]
    bindings: dict[str, str]
    names: frozenset[str]
    facts: ScriptFacts
    settings: tuple[Setting, ...]


@lru_cache(maxsize=8)
def _tree(source: str, filename: str, expand: frozenset[str]) -> _Tree:
    facts = describe(source, filename)
    module = cst.parse_module(source)
    module = module.visit(Expand(expand)) if expand else module
    parents = {child: node for node in walk(module) for child in children(node)}
    names = frozenset(node.value for node in walk(module) if isinstance(node, cst.Name))
    return _Tree(module, parents, bindings(module), names, facts, find_settings(source, filename))


class Script:
    """`expand` names functions of one line, as `Net.forward`, to be written as blocks."""

    def __init__(self, source: str, filename: str = "", expand: frozenset[str] = frozenset()) -> None:
        tree = _tree(source, filename, expand)
        self.source = source
        self.module = tree.module
        self.facts = tree.facts
        self.settings = tree.settings
        self.bindings = dict(tree.bindings)
        self._parents = tree.parents
        self._names = set(tree.names)
        self._changes: dict[cst.CSTNode, list[Change]] = {}
        self._before: Codes = {}
        self._after: Codes = {}
        self._constants: list[str] = []
        self._imports: dict[str, list[str]] = {}

    # looking around

    def text(self, node: cst.CSTNode) -> str:
        return self.module.code_for_node(node)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        return self._parents.get(node)

    def enclosing(self, node: cst.CSTNode, kind: type[_Node]) -> _Node | None:
        """The nearest node of `kind` around `node`."""
        current = self._parents.get(node)
        while current is not None and not isinstance(current, kind):
            current = self._parents.get(current)
        return current

    def statement(self, node: cst.CSTNode) -> Statement:
        """The statement that `node` stands in. Raises `NeedsBlock` inside a function of one line."""
        current: cst.CSTNode | None = node
        while current is not None and not isinstance(current, Statement):
            if isinstance(current, cst.SimpleStatementSuite):
                function = self.parent(current)
                if not isinstance(function, cst.FunctionDef):
                    raise Refused("a block that would have to grow is written on one line")
                raise NeedsBlock(self._path(function))
            current = self._parents.get(current)
        if current is None:
            raise Refused("a statement was not found where it should be")
        return current

    def _path(self, function: cst.FunctionDef) -> str:
        owner = self.enclosing(function, cst.ClassDef)
        return f"{owner.name.value}.{function.name.value}" if owner else function.name.value

    def full_name(self, node: cst.CSTNode) -> str:
        """`optim.Adam` -> `torch.optim.Adam`, by the imports; "" for what is no dotted name."""
        name = dotted(node)
        head, _, rest = name.partition(".")
        if head in self.bindings:
            return f"{self.bindings[head]}.{rest}" if rest else self.bindings[head]
        return name

    def classes(self) -> dict[str, cst.ClassDef]:
        return {s.name.value: s for s in self.module.body if isinstance(s, cst.ClassDef)}

    def functions(self) -> dict[str, cst.FunctionDef]:
        return {s.name.value: s for s in self.module.body if isinstance(s, cst.FunctionDef)}

    def lightning_class(self) -> cst.ClassDef:
        name = self.facts.module_class
        found = self.classes().get(name) if name else None
        if found is None:
            raise Refused("the script does not define exactly one LightningModule at its top level")
        return found

    def method(self, name: str, owner: cst.ClassDef | None = None) -> cst.FunctionDef | None:
        owner = owner or self.lightning_class()
        for item in owner.body.body:
            if isinstance(item, cst.FunctionDef) and item.name.value == name:
                return item
        return None

    def training_functions(self) -> list[cst.FunctionDef]:
        """`training_step` and what it runs through, in the order of the file."""
        path = self.facts.training_path
        if not path:
            raise Refused("the script has no training_step")
        found = []
        for node in walk(self.module):
            if isinstance(node, cst.FunctionDef):
                owner = self.enclosing(node, cst.ClassDef)
                if (f"{owner.name.value}.{node.name.value}" if owner else node.name.value) in path:
                    found.append(node)
        return found

    def refuse_manual_optimisation(self) -> None:
        for node in walk(self.lightning_class()):
            if isinstance(node, cst.Assign) and dotted(node.targets[0].target).endswith("automatic_optimization"):
                raise Refused("the script optimises by hand (automatic_optimization)")

    def refuse_setting(self, key: str) -> None:
        """A setting that exists is set, not added once more."""
        for setting in self.settings:
            if setting.key == key and setting.value is not None:
                raise Refused(f"the script already has {key} ({setting.name}, line {setting.line}): set it instead")

    # changing

    def change(self, node: cst.CSTNode, how: Change) -> None:
        """`how` gets the node as it is after changes further inside."""
        self._changes.setdefault(node, []).append(how)

    def replace(self, node: cst.CSTNode, code: str) -> None:
        self.change(node, lambda _: cst.parse_expression(code, self.module.config_for_parsing))

    def remove(self, statement: Statement) -> None:
        self.change(statement, lambda _: cast(Any, cst.RemoveFromParent()))

    def insert_before(self, node: cst.CSTNode, code: str) -> None:
        self._before.setdefault(self.statement(node), []).append(code)

    def insert_after(self, node: cst.CSTNode, code: str) -> None:
        self._after.setdefault(self.statement(node), []).append(code)

    def insert_at_start(self, function: cst.FunctionDef, code: str) -> None:
        """As the first statement, after a docstring."""
        first = self._body(function)[0]
        if is_docstring(first):
            self.insert_after(first, code)
        else:
            self.insert_before(first, code)

    def insert_at_end(self, function: cst.FunctionDef, code: str) -> None:
        self.insert_after(self._body(function)[-1], code)

    def _body(self, function: cst.FunctionDef) -> Sequence[cst.BaseStatement]:
        if not isinstance(function.body, cst.IndentedBlock):
            raise NeedsBlock(self._path(function))
        return function.body.body

    def add_argument(self, call: cst.Call, name: str, code: str) -> None:
        """`name=code` as the last argument. A keyword that is there already is replaced."""
        given = argument(call, name)
        value = cst.parse_expression(code)
        if given is not None:
            self.change(given, lambda arg: arg.with_changes(value=value))
            return
        self._refuse_hidden_arguments(call, name)
        self.append(call, keyword(name, value))

    def append(self, node: cst.Call | cst.List, item: cst.Arg | cst.Element) -> None:
        """As the last argument or element, on a line of its own where there is no room."""
        self.change(node, lambda updated: self._appended(node, updated, item))

    def make_list(self, node: cst.BaseExpression, first: str, second: str) -> None:
        """`[first, second]` in place of the expression."""
        items = cst.ensure_type(cst.parse_expression(f"[{first}]"), cst.List)
        item = cst.Element(cst.parse_expression(second))
        self.change(node, lambda _: self._appended(node, items, item))

    def _appended(self, old: cst.CSTNode, node: Any, item: Any) -> cst.CSTNode:
        add: Any = append_argument if isinstance(node, cst.Call) else append_element
        plain: cst.CSTNode = add(node, item)
        if self._on_one_line(old):
            return plain
        before = self.text(self.statement(old)).strip("\n")
        start = before.find(self.text(old))
        first = before[before.rfind("\n", 0, start) + 1 :]
        indent = first[: len(first) - len(first.lstrip())]
        lines = before.replace(self.text(old), self.text(plain), 1).splitlines()
        depth = 4 * sum(isinstance(around, cst.IndentedBlock) for around in self.around(old))
        wide = any(depth + len(line) > WIDTH for line in lines if line not in before.splitlines())
        return cast(cst.CSTNode, add(node, item, wide=True, indent=indent)) if wide else plain

    def _on_one_line(self, node: cst.CSTNode) -> bool:
        return any(isinstance(around, cst.SimpleStatementSuite) for around in self.around(node))

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes that it stands in, the nearest first."""
        current = self._parents.get(node)
        while current is not None:
            yield current
            current = self._parents.get(current)

    def _refuse_hidden_arguments(self, call: cst.Call, name: str) -> None:
        """`Trainer(**options)` may hold the keyword already; then the script would stop with a TypeError."""
        for arg in call.args:
            if arg.star != "**":
                continue
            options = self.assigned(dotted(arg.value), arg)
            keys = dict_keys(options) if options is not None else None
            if keys is None or name in keys:
                raise Refused(
                    f"{self.text(call.func)} takes {self.text(arg.value)} as **, which may hold {name} already"
                )

    def assigned(self, name: str, near: cst.CSTNode) -> cst.BaseExpression | None:
        """The value that a name gets in the function around `near`, else at module level; None unless just one."""
        around = self.enclosing(near, cst.FunctionDef)
        for scope in (around, self.module):
            if scope is None:
                continue
            found = [value for target, value in assignments(scope) if dotted(target) == name]
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def constant(self, names: str | Sequence[str], value: Value, like: str = "") -> str:
        """Adds a constant beside the others under the first of `names` that is free; returns that name."""
        choices = [names] if isinstance(names, str) else list(names)
        free = next((name for name in choices if name not in self._names), None)
        if free is None:
            free = next(f"{choices[0]}_{n}" for n in range(2, 100) if f"{choices[0]}_{n}" not in self._names)
        self._names.add(free)
        self._constants.append(f"{free} = {format_literal(value, like=like)}\n")
        return free

    def qualify(self, full: str) -> str:
        """How the script would write a dotted name such as `torch.nn.Dropout`; imports it where necessary."""
        parent, _, last = full.rpartition(".")
        for wanted, rest in ((full, ""), (parent, f".{last}")):
            for local, target in self.bindings.items():
                if target == wanted:
                    return local + rest
        if (written := self._extended_import(parent, last)) is not None:
            return written
        prefixes = [
            (len(target), local)
            for local, target in self.bindings.items()
            if full.startswith(target + ".") and (local.islower() or local in ("F", "L"))
        ]
        if prefixes:
            length, local = max(prefixes)
            return local + full[length:]
        if full.startswith("torch."):
            return self.package("torch") + full[len("torch") :]
        self._add_import(f"from {parent} import {last}\n", last, full)
        return last

    def package(self, name: str) -> str:
        """How the script writes a top-level package; imports it where necessary."""
        for local, target in self.bindings.items():
            if target == name:
                return local
        self._add_import(f"import {name}\n", name, name)
        return name

    def _extended_import(self, parent: str, last: str) -> str | None:
        for statement in self.module.body:
            if not isinstance(statement, cst.SimpleStatementLine):
                continue
            for node in statement.body:
                if (
                    isinstance(node, cst.ImportFrom)
                    and not node.relative
                    and node.module is not None
                    and dotted(node.module) == parent
                    and not isinstance(node.names, cst.ImportStar)
                    and last not in self._names
                ):
                    self.change(node, lambda old: add_import_name(old, last))
                    self.bindings[last] = f"{parent}.{last}"
                    self._names.add(last)
                    return last
        return None

    def _add_import(self, code: str, local: str, full: str) -> None:
        if local in self._names:
            raise Refused(f"{full} would have to be imported, but {local} means something else in the script")
        self._imports.setdefault(full.partition(".")[0], []).append(code)
        self.bindings[local] = full
        self._names.add(local)

    def lightning_root(self) -> str:
        """`lightning.pytorch` or `pytorch_lightning`, whichever the script uses."""
        for target in self.bindings.values():
            if target.partition(".")[0] in ("pytorch_lightning", "lightning"):
                return "pytorch_lightning" if target.startswith("pytorch_lightning") else "lightning.pytorch"
        return "lightning.pytorch"

    # the result

    def code(self) -> str:
        place_constants(self.module, self._constants, self._before, self._after)
        place_imports(self.module, self._imports, self._before, self._after)
        around: set[cst.CSTNode] = {self.module}
        for node in (*self._changes, *self._before, *self._after):
            around.update((node, *self.around(node)))
        before, after = parsed(self.module, self._before), parsed(self.module, self._after)
        return self.module.visit(Apply(self._changes, before, after, around)).code
