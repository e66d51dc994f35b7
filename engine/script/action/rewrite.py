"""A training script as a recipe sees it: to look around in, and to collect changes for.

Nothing is changed until `code()`, so that nodes found before stay valid.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from progtrain.engine.script import brackets
from progtrain.engine.script.action.edit import format_literal
from progtrain.engine.script.editor import Edit, Source
from progtrain.engine.script.nodes import (
    assigned,
    assignments,
    blocks,
    called,
    calls,
    children,
    dotted,
    first_line,
    identifiers,
    is_docstring,
    keyword,
    text_of,
    walk,
)
from progtrain.engine.script.settings import Setting, Value, find_settings
from progtrain.engine.script.structure import ScriptFacts, describe

_Node = TypeVar("_Node", bound=ast.AST)
#: lines longer than this are broken where something is added
_WIDTH = 110
#: the same for what is put between others, such as a layer: a row is easier to read while it is one
_ROW_WIDTH = 120


class Refused(Exception):
    """Why a recipe cannot be applied to this script."""


class Script:
    """Raises `InputError` with the line of a syntax error."""

    def __init__(self, source: str) -> None:
        self.facts: ScriptFacts = describe(source)
        self.settings: tuple[Setting, ...] = find_settings(source)
        self.source, self._parents, bound, names = _read(source)
        self.module = self.source.tree
        self.bindings = dict(bound)
        #: every name that is written somewhere in it
        self.names = set(names)
        self._edits: list[Edit] = []
        #: list or call -> what goes behind which of its items
        self._items: dict[ast.expr, dict[int, list[str]]] = {}
        self.imports: list[Edit] = []
        self._constants: list[str] = []
        self._opened: list[ast.FunctionDef] = []

    # looking around

    def text(self, node: ast.expr | ast.keyword) -> str:
        return self.source.segment(node)

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes that it stands in, the nearest first."""
        current = self._parents.get(node)
        while current is not None:
            yield current
            current = self._parents.get(current)

    def enclosing(self, node: ast.AST, kind: type[_Node]) -> _Node | None:
        """The nearest node of `kind` around `node`."""
        return next((around for around in self.around(node) if isinstance(around, kind)), None)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that `node` stands in."""
        found = node if isinstance(node, ast.stmt) else self.enclosing(node, ast.stmt)
        assert found is not None
        return found

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements that it stands among."""
        parent = self._parents.get(statement)
        found = [block for block in blocks(parent) if statement in block] if parent is not None else []
        return found[0] if found else [statement]

    def full_name(self, node: ast.AST) -> str:
        """`optim.Adam` -> `torch.optim.Adam`, by the imports; "" for what is no dotted name."""
        name = dotted(node)
        head, _, rest = name.partition(".")
        if head in self.bindings:
            return f"{self.bindings[head]}.{rest}" if rest else self.bindings[head]
        return name

    def classes(self) -> dict[str, ast.ClassDef]:
        return {s.name: s for s in self.module.body if isinstance(s, ast.ClassDef)}

    def lightning_class(self) -> ast.ClassDef:
        name = self.facts.module_class
        found = self.classes().get(name) if name else None
        if found is None:
            raise Refused("the script does not define exactly one LightningModule at its top level")
        return found

    def method(self, name: str, owner: ast.ClassDef | None = None) -> ast.FunctionDef | None:
        body = (owner or self.lightning_class()).body
        return next((item for item in body if isinstance(item, ast.FunctionDef) and item.name == name), None)

    def training_functions(self) -> list[ast.FunctionDef]:
        """`training_step` and what it runs through, in the order of the file."""
        path = self.facts.training_path
        if not path:
            raise Refused("the script has no training_step")
        found = []
        for node in walk(self.module):
            if isinstance(node, ast.FunctionDef):
                owner = self.enclosing(node, ast.ClassDef)
                if (f"{owner.name}.{node.name}" if owner else node.name) in path:
                    found.append(node)
        return found

    def assigned(self, name: str, near: ast.AST) -> ast.expr | None:
        """The value that a name gets in the function around `near`, else at module level; None unless just one."""
        for scope in (self.enclosing(near, ast.FunctionDef), self.module):
            found = [value for target, value in assignments(scope) if dotted(target) == name] if scope else []
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def made(self, *names: str) -> set[str]:
        """What the script calls, by the last part of each name; with `names`, those of them that it does."""
        found = {called(call) for call in self.calls()}
        return found & set(names) if names else found

    def calls(self, *names: str) -> list[ast.Call]:
        return calls(self.module, *names)

    def refuse_manual_optimisation(self) -> None:
        for node in walk(self.lightning_class()):
            if isinstance(node, ast.Assign) and dotted(node.targets[0]).endswith("automatic_optimization"):
                raise Refused("the script optimises by hand (automatic_optimization)")

    def refuse_setting(self, key: str) -> None:
        """A setting that exists is set, not added once more."""
        for setting in self.settings:
            if setting.key == key and setting.value is not None:
                raise Refused(f"the script already has {key} ({setting.name}, line {setting.line}): set it instead")

    # changing

    def edit(self, edit: Edit) -> None:
        self._edits.append(edit)

    def replace(self, node: ast.expr, code: str) -> None:
        self._refuse_in_text(node)
        self.edit(self.source.replace(node, code))

    def make_list(self, node: ast.expr, first: str, second: str) -> None:
        """`[first, second]` in place of the expression."""
        line = self.source.lines[node.lineno - 1].rstrip("\r\n")
        code = f"[{first}, {second}]"
        if len(line) - len(self.text(node)) + len(code) > _WIDTH and not self._stands_beside_header(node):
            indent = self.source.indent(node.lineno)
            inner = f"\n{indent}{self.source.unit}"
            code = f"[{inner}{first},{inner}{second},\n{indent}]"
        self.replace(node, code)

    def _stands_beside_header(self, node: ast.expr) -> bool:
        """Whether it stands in a block that is written on one line."""
        return self.source.stands_beside(self.block(self.statement(node))[0])

    def wrap(self, node: ast.expr, function: str) -> None:
        """`x` becomes `function(x)`. Wrap before adding behind the same node."""
        self._refuse_in_text(node)
        start, end = self.source.span(node)
        self._edits += [(start, start, f"{function}("), (end, end, ")")]

    def _refuse_in_text(self, node: ast.AST) -> None:
        if any(isinstance(around, ast.JoinedStr) for around in self.around(node)):
            raise Refused("what would have to change stands inside an f-string")

    def remove(self, statement: ast.stmt) -> None:
        """With the comments on its line and right above it."""
        block = self.block(statement)
        beside = [other for other in block if other is not statement and other.lineno == statement.lineno]
        if beside or self.source.stands_beside(statement):
            raise Refused("a statement that would have to go shares its line with others")
        first = statement.lineno
        indent = self.source.indent(first)
        while first > 1 and self.source.lines[first - 2].startswith(f"{indent}#"):
            first -= 1
        end = self.source.after_line(statement.end_lineno or statement.lineno)
        self.edit((self.source.line_start(first), end, ""))

    def insert_before(self, node: ast.AST, code: str) -> None:
        statement = self._first_of_line(self.statement(node))
        if self.source.stands_beside(statement):
            indent = self._open(statement)
            at = self.source.span(statement)[0]
            self.edit((at, at, code.rstrip("\n").replace("\n", f"\n{indent}") + f"\n{indent}"))
        else:
            self.edit(self.source.insert_before(statement, code))

    def insert_after(self, node: ast.AST, code: str) -> None:
        statement = self.statement(node)
        block = self.block(statement)
        if self.source.stands_beside(block[0]):
            indent = self._open(statement)
            last = statement is block[-1]
            at = self.source.line_end(statement.end_lineno or 0) if last else self.source.span(statement)[1]
            self.edit((at, at, f"\n{indent}" + code.rstrip("\n").replace("\n", f"\n{indent}")))
        else:
            on_line = [other for other in block if other.lineno == statement.end_lineno]
            self.edit(self.source.insert_after(on_line[-1] if on_line else statement, code))

    def _first_of_line(self, statement: ast.stmt) -> ast.stmt:
        """`x = 1; y = 2`: what goes before the second goes before the line."""
        block = self.block(statement)
        if self.source.stands_beside(block[0]):
            return statement
        return next(other for other in block if (other.end_lineno or 0) >= first_line(statement))

    def _open(self, statement: ast.stmt) -> str:
        """Gives a function that is written on one line a block; how it is indented."""
        function = self.parent(statement)
        if not isinstance(function, ast.FunctionDef):
            raise Refused("a block that would have to grow is written on one line")
        indent = self.source.indent(function.lineno) + self.source.unit
        if function not in self._opened:
            self._opened.append(function)
            ends = [self.source.colon(function) + 1, *(self.source.span(inside)[1] for inside in function.body)]
            for end, inside in zip(ends, function.body, strict=False):
                self.edit((end, self.source.span(inside)[0], f"\n{indent}"))
        return indent

    def insert_at_start(self, function: ast.FunctionDef, code: str) -> None:
        """As the first statement, after a docstring."""
        first = function.body[0]
        (self.insert_after if is_docstring(first) else self.insert_before)(first, code)

    def add_argument(self, call: ast.Call, name: str, code: str) -> None:
        """`name=code` as the last argument. A keyword that is there already is replaced."""
        given = keyword(call, name)
        if given is not None:
            self.replace(given, code)
            return
        self._refuse_hidden_arguments(call, name)
        self.append(call, f"{name}={code}")

    def append(self, node: ast.Call | ast.List | ast.Dict, code: str) -> None:
        """As the last argument, element or entry, on a line of its own where there is no room."""
        self.insert_item(node, len(brackets.items(self.source, node)) - 1, code)

    def insert_item(self, node: ast.Call | ast.List | ast.Dict, number: int, code: str) -> None:
        """Behind the item of that number."""
        self._refuse_in_text(node)
        self._items.setdefault(node, {}).setdefault(number, []).append(code)

    def remove_arguments(self, call: ast.Call, numbers: Sequence[int]) -> None:
        self._edits += brackets.removed(self.source, call, numbers) if numbers else []

    def _refuse_hidden_arguments(self, call: ast.Call, name: str) -> None:
        """`Trainer(**options)` may hold the keyword already; then the script would stop with a TypeError."""
        for arg in call.keywords:
            if arg.arg is not None:
                continue
            options = self.assigned(dotted(arg.value), arg)
            keys = _keys(options) if options is not None else None
            if keys is None or name in keys:
                raise Refused(
                    f"{self.text(call.func)} takes {self.text(arg.value)} as **, which may hold {name} already"
                )

    def constant(self, names: str | Sequence[str], value: Value, like: str = "") -> str:
        """Adds a constant beside the others under the first of `names` that is free; returns that name."""
        choices = [names] if isinstance(names, str) else [*names]
        choices += [f"{choices[0]}_{n}" for n in range(2, 100)]
        free = next(name for name in choices if name not in self.names)
        self.names.add(free)
        self._constants.append(f"{free} = {format_literal(value, like=like)}\n")
        return free

    # the result

    def code(self) -> str:
        edits = [*self.imports, *self._placed_constants(), *self._edits]
        for node, codes in self._items.items():
            edits += self._items_of(node, codes, edits)
        return self.source.put_in(edits)

    def _items_of(self, node: ast.expr, codes: dict[int, list[str]], others: Sequence[Edit]) -> list[Edit]:
        """In the manner of the list; broken into lines where one would be too long."""
        assert isinstance(node, ast.Call | ast.List | ast.Dict)
        plain = [brackets.added(self.source, node, number, listed) for number, listed in codes.items()]
        start, end = self.source.span(node)
        inside = [edit for edit in others if start <= edit[0] and edit[1] <= end]
        after = self.source.put_in([*inside, *plain])
        fresh = set(after.splitlines()) - set(self.source.text.splitlines())
        last = len(brackets.items(self.source, node)) - 1
        most = _WIDTH if set(codes) == {last} else _ROW_WIDTH
        if last < 0 or all(len(text) <= most for text in fresh) or self._stands_beside_header(node):
            return plain
        if set(codes) == {last} and (edit := brackets.on_next_line(self.source, node, codes[last])):
            return [edit] if "\n" not in plain[0][2] else plain
        return brackets.spread(self.source, node, codes, self.source.indent(node.lineno)) or plain

    def _placed_constants(self) -> list[Edit]:
        """Behind the last number among the constants above the first class or function, else behind the last constant
        there, else behind the imports."""
        if not self._constants:
            return []
        code = "".join(self._constants)
        anchor = number = None
        for statement in self.module.body:
            if isinstance(statement, ast.ClassDef | ast.FunctionDef):
                break
            value = _constant_value(statement)
            anchor = statement if value is not None else anchor
            number = statement if isinstance(value, ast.Constant) and type(value.value) in (int, float) else number
        imports = [s for s in self.module.body if isinstance(s, ast.Import | ast.ImportFrom)]
        if found := number or anchor:
            return [self.source.insert_after(self._last_of_line(found), code)]
        if imports:
            return [self.source.insert_after(self._last_of_line(imports[-1]), f"\n{code}")]
        first = self.module.body[0]
        place = self.source.insert_after if is_docstring(first) else self.source.insert_before
        return [place(first, f"\n{code}")]

    def _last_of_line(self, statement: ast.stmt) -> ast.stmt:
        block = self.block(statement)
        return [other for other in block if other is statement or other.lineno == statement.end_lineno][-1]


@lru_cache(maxsize=8)
def _read(source: str) -> tuple[Source, Mapping[ast.AST, ast.AST], Mapping[str, str], frozenset[str]]:
    """What all recipes that look at a script share: its tree, what stands in what, imports, and names."""
    text = Source(source)
    parents = {child: node for node in walk(text.tree) for child in children(node)}
    return text, MappingProxyType(parents), MappingProxyType(_bindings(text.tree)), frozenset(identifiers(text.tree))


def _bindings(module: ast.Module) -> dict[str, str]:
    """Local name -> dotted name, for imports at module level, `try` and `if` blocks included."""
    found: dict[str, str] = {}
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import):
            for alias in node.names:
                head = alias.name.partition(".")[0]
                found[alias.asname or head] = alias.name if alias.asname else head
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            found.update({alias.asname or alias.name: f"{source}.{alias.name}" for alias in node.names})
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef):
            waiting.extend(children(node))
    found.pop("*", None)
    return found


def _keys(node: ast.expr) -> set[str] | None:
    """Keys of a dict literal or `dict(...)` call; None when they cannot all be read."""
    keys: list[str | None]
    if isinstance(node, ast.Dict):
        keys = [text_of(key) for key in node.keys]
    elif isinstance(node, ast.Call) and dotted(node.func) == "dict":
        keys = [*(None for _ in node.args), *(arg.arg for arg in node.keywords)]
    else:
        return None
    return None if None in keys else {key for key in keys if key is not None}


def _constant_value(statement: ast.stmt) -> ast.expr | None:
    """The value of `NAME = ...`."""
    match assigned(statement):
        case [(ast.Name(id=name), value)] if name.isupper():
            return value
    return None
