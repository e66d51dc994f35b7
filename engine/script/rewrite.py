"""A training script as a libcst tree that recipes look around in and collect changes for.

Nothing is changed until `code()`: all changes are then made in one pass, so that nodes found before stay valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Any, TypeVar, cast

import libcst as cst

from engine.script.edit import format_literal
from engine.script.layout import add_import_name, append_argument, append_element
from engine.script.settings import Setting, Value, find_settings
from engine.script.structure import ScriptFacts, describe

_Node = TypeVar("_Node", bound=cst.CSTNode)
Change = Callable[[Any], cst.CSTNode]
Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement


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


_WHITESPACE = (cst.BaseParenthesizableWhitespace, cst.TrailingWhitespace, cst.EmptyLine, cst.Newline, cst.Comment)
#: lines longer than this are broken where something is added
_WIDTH = 110


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
    module = module.visit(_Expand(expand)) if expand else module
    parents = {child: node for node in walk(module) for child in _children(node)}
    names = frozenset(node.value for node in walk(module) if isinstance(node, cst.Name))
    return _Tree(module, parents, _bindings(module), names, facts, find_settings(source, filename))


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
        self._before: dict[cst.CSTNode, list[str]] = {}
        self._after: dict[cst.CSTNode, list[str]] = {}
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
        depth = 4 * sum(isinstance(around, cst.IndentedBlock) for around in self._around(old))
        wide = any(depth + len(line) > _WIDTH for line in lines if line not in before.splitlines())
        return cast(cst.CSTNode, add(node, item, wide=True, indent=indent)) if wide else plain

    def _on_one_line(self, node: cst.CSTNode) -> bool:
        return any(isinstance(around, cst.SimpleStatementSuite) for around in self._around(node))

    def _around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
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
        self._place_constants()
        self._place_imports()
        changed = self.module.visit(_Apply(self, self._changes, self._before, self._after))
        return changed.code

    def _place_constants(self) -> None:
        anchor = self._constant_anchor()
        if not self._constants:
            return
        if anchor is not None:
            self._after.setdefault(anchor, [])[:0] = self._constants
            return
        imports = [s for s in self.module.body if _is_import(s)]
        block = ["\n" + self._constants[0], *self._constants[1:]]
        if imports:
            self._after.setdefault(imports[-1], [])[:0] = block
        else:
            first = self.module.body[0]
            where = self._after if is_docstring(first) else self._before
            where.setdefault(first, []).extend(block)

    def _constant_anchor(self) -> cst.BaseStatement | None:
        """The last number among the constants above the first class or function, else the last constant there."""
        anchor = number = None
        for statement in self.module.body:
            if isinstance(statement, cst.ClassDef | cst.FunctionDef):
                break
            if isinstance(statement, cst.SimpleStatementLine):
                for small in statement.body:
                    anchor = statement if _is_constant(small) else anchor
                    number = statement if _is_constant(small) and _is_number(small) else number
        return number or anchor

    def _place_imports(self) -> None:
        imports = [s for s in self.module.body if _is_import(s)]
        for root, lines in self._imports.items():
            near = [s for s in imports if _import_root(s) == root] or imports
            if near:
                self._after.setdefault(near[-1], [])[:0] = lines
            else:
                first = self.module.body[0]
                (self._after if is_docstring(first) else self._before).setdefault(first, [])[:0] = lines

    def parse_statements(self, code: str) -> list[cst.BaseStatement]:
        """Statements with the blank and comment lines above them."""
        parsed = cst.parse_module(code, self.module.config_for_parsing)
        body = list(parsed.body)
        if body and parsed.header:
            first = cast(Any, body[0])
            body[0] = first.with_changes(leading_lines=[*parsed.header, *first.leading_lines])
        return cast(list[cst.BaseStatement], body)


class _Apply(cst.CSTTransformer):
    def __init__(
        self,
        script: Script,
        changes: dict[cst.CSTNode, list[Change]],
        before: dict[cst.CSTNode, list[str]],
        after: dict[cst.CSTNode, list[str]],
    ) -> None:
        super().__init__()
        self._script, self._changes, self._before, self._after = script, changes, before, after

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        for change in self._changes.get(original_node, ()):
            updated_node = change(updated_node)
        before = self._statements(self._before.get(original_node))
        after = self._statements(self._after.get(original_node))
        if not before and not after:
            return updated_node
        if before and isinstance(updated_node, Statement):
            updated_node = _spaced(before, updated_node)
        kept = [] if isinstance(updated_node, cst.RemovalSentinel) else [updated_node]
        return cst.FlattenSentinel([*before, *kept, *after])

    def _statements(self, codes: list[str] | None) -> list[cst.BaseStatement]:
        return [statement for code in codes or () for statement in self._script.parse_statements(code)]


def _spaced(before: list[cst.BaseStatement], statement: Statement) -> Statement:
    """Blank lines above a statement go above what is put before it; between definitions they stand on both sides."""
    first = cast(Any, before[0])
    blank = [line for line in statement.leading_lines if line.comment is None]
    if isinstance(statement, cst.ClassDef | cst.FunctionDef):
        before[0] = first.with_changes(leading_lines=[*(blank or [cst.EmptyLine(indent=False)]), *first.leading_lines])
        return (
            statement
            if blank
            else statement.with_changes(leading_lines=[cst.EmptyLine(indent=False), *statement.leading_lines])
        )
    if len(blank) < len(statement.leading_lines):
        return statement  # a comment: it stays with its statement, and so does the space above it
    before[0] = first.with_changes(leading_lines=[*blank, *first.leading_lines])
    return statement.with_changes(leading_lines=[])


class _Expand(cst.CSTTransformer):
    def __init__(self, functions: frozenset[str]) -> None:
        super().__init__()
        self._functions = functions
        self._around: list[str] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._around.append(node.name.value)

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        self._around.pop()
        return updated_node

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        body = updated_node.body
        path = ".".join([*self._around[-1:], updated_node.name.value])
        if not isinstance(body, cst.SimpleStatementSuite) or path not in self._functions:
            return updated_node
        lines = [
            cst.SimpleStatementLine([small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)]) for small in body.body
        ]
        lines[-1] = lines[-1].with_changes(trailing_whitespace=body.trailing_whitespace)
        return updated_node.with_changes(body=cst.IndentedBlock(lines))


# helpers that need no script


def walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The node and all below it but whitespace, what stands further left mostly first."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(_children(current)))


@cache
def _field_names(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if "whitespace" not in field.name)


def _children(node: cst.CSTNode) -> list[cst.CSTNode]:
    # libcst's own `children` runs a visitor for each node, which is too slow for looking around a lot
    found: list[cst.CSTNode] = []
    for name in _field_names(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            if not isinstance(value, _WHITESPACE):
                found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, cst.CSTNode) and not isinstance(item, _WHITESPACE)]
    return found


def calls(node: cst.CSTNode) -> list[cst.Call]:
    return [child for child in walk(node) if isinstance(child, cst.Call)]


def dotted(node: cst.CSTNode) -> str:
    """`self.net` for such an expression, "" for any other."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr.value}" if base else ""
    return ""


def last_name(node: cst.CSTNode) -> str:
    """`Adam` for `torch.optim.Adam`; also where what stands before is no plain name."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def argument(call: cst.Call, name: str) -> cst.Arg | None:
    return next((arg for arg in call.args if arg.keyword is not None and arg.keyword.value == name), None)


def keyword(name: str, value: cst.BaseExpression) -> cst.Arg:
    no_space = cst.SimpleWhitespace("")
    equal = cst.AssignEqual(whitespace_before=no_space, whitespace_after=no_space)
    return cst.Arg(value=value, keyword=cst.Name(name), equal=equal)


def assignments(scope: cst.CSTNode) -> Iterator[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """(target, value) of each assignment in a function, or of those at module level outside functions."""
    for node in _children(scope) if isinstance(scope, cst.Module) else walk(scope):
        nodes = walk(node) if isinstance(scope, cst.Module) and isinstance(node, cst.SimpleStatementLine) else [node]
        if isinstance(scope, cst.Module) and isinstance(node, cst.If):
            nodes = walk(node)
        for item in nodes:
            if isinstance(item, cst.Assign):
                for target in item.targets:
                    yield target.target, item.value
            elif isinstance(item, cst.AnnAssign) and item.value is not None:
                yield item.target, item.value


def dict_keys(node: cst.BaseExpression) -> set[str] | None:
    """Keys of a dict literal or `dict(...)` call; None when they cannot all be read."""
    if isinstance(node, cst.Dict):
        keys = [string_value(e.key) if isinstance(e, cst.DictElement) else None for e in node.elements]
    elif isinstance(node, cst.Call) and dotted(node.func) == "dict":
        keys = [arg.keyword.value if arg.keyword else None for arg in node.args]
    else:
        return None
    return None if None in keys else {key for key in keys if key is not None}


def string_value(node: cst.CSTNode | None) -> str | None:
    if isinstance(node, cst.SimpleString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None


def is_docstring(statement: cst.CSTNode) -> bool:
    return (
        isinstance(statement, cst.SimpleStatementLine)
        and isinstance(statement.body[0], cst.Expr)
        and isinstance(statement.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )


def _bindings(module: cst.Module) -> dict[str, str]:
    """Local name -> dotted name, for imports at module level, `try` and `if` blocks included."""
    found: dict[str, str] = {}
    waiting: list[cst.CSTNode] = list(module.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            continue
        if isinstance(node, cst.Import):
            for alias in node.names:
                name = dotted(alias.name)
                if alias.asname is not None:
                    found[dotted(alias.asname.name)] = name
                else:
                    found[name.partition(".")[0]] = name.partition(".")[0]
        elif isinstance(node, cst.ImportFrom) and not isinstance(node.names, cst.ImportStar):
            source = "." * len(node.relative) + (dotted(node.module) if node.module else "")
            for alias in node.names:
                local = dotted(alias.asname.name) if alias.asname is not None else dotted(alias.name)
                found[local] = f"{source}.{dotted(alias.name)}"
        else:
            waiting.extend(_children(node))
    return found


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(statement.body[0], cst.Import | cst.ImportFrom)


def _import_root(statement: cst.CSTNode) -> str:
    node = cast(cst.SimpleStatementLine, statement).body[0]
    if isinstance(node, cst.ImportFrom):
        return dotted(node.module).partition(".")[0] if node.module and not node.relative else ""
    return dotted(node.names[0].name).partition(".")[0] if isinstance(node, cst.Import) else ""


def _is_constant(node: cst.CSTNode) -> bool:
    target: cst.CSTNode
    if isinstance(node, cst.Assign) and len(node.targets) == 1:
        target = node.targets[0].target
    elif isinstance(node, cst.AnnAssign):
        target = node.target
    else:
        return False
    return isinstance(target, cst.Name) and target.value.isupper()


def _is_number(node: cst.CSTNode) -> bool:
    return isinstance(getattr(node, "value", None), cst.Integer | cst.Float)
