"""What a path expression in a script comes to, and which literals it is made of.

`Path("data") / DATASET_ID / split / "x.npz"` comes to `data/{DATASET_ID}/{?}/x.npz`. Names are followed to their
definition: constants, parameters with one value, attributes, options of argparse, imported modules of the user's own.
Nothing is run.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from progtrain.engine.script.baseline.template import HERE, UNKNOWN, Piece, Template, parent_folder, shared
from progtrain.engine.script.editor import Source
from progtrain.engine.script.nodes import argument, called, calls, dotted

#: constants that paths are to follow: they stay names in what an expression comes to
FOLLOWED = frozenset({"DATASET_ID", "VERSION"})


@dataclass(eq=False)
class Module:
    """One file of the user's own, and what its names stand for."""

    path: Path
    text: str
    #: module name -> module, for those that lie in the workspace
    imported: dict[str, Module] = field(default_factory=dict)
    #: all modules of the script, this one included
    family: list[Module] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = Source(self.text)
        self.tree = self.source.tree
        self.nodes = list(ast.walk(self.tree))
        self.parents: dict[ast.AST, ast.AST] = {
            child: parent for parent in self.nodes for child in ast.iter_child_nodes(parent)
        }
        self._busy: set[ast.AST] = set()
        self._known: dict[ast.AST, Template | None] = {}

    # where a node stands

    def function_of(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        parent = self.parents.get(node)
        while parent is not None and not isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
            parent = self.parents.get(parent)
        return parent

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        parent = self.parents.get(node)
        while parent is not None and not isinstance(parent, ast.ClassDef):
            parent = self.parents.get(parent)
        return parent

    @cached_property
    def names(self) -> dict[str, list[ast.expr]]:
        """Names assigned at module level, `if` blocks included."""
        found: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and self.function_of(node) is None:
                if self.class_of(node) is not None or node.value is None:
                    continue
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, []).append(node.value)
        return found

    def defines(self, name: str) -> bool:
        """By assignment, or by import from a module of the user's own."""
        if name in self.names:
            return True
        found = self.imported_name(name)
        return found is not None and found[0].defines(found[1])

    def imported_name(self, name: str) -> tuple[Module, str] | None:
        """The module of the user's own that it comes from, and its name there."""
        return self._imports[0].get(name)

    def imported_module(self, name: str) -> Module | None:
        return self._imports[1].get(name)

    @cached_property
    def foreign(self) -> set[str]:
        """Names that come from packages."""
        aliases = (a for n in self.nodes if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names)
        return {(alias.asname or alias.name).partition(".")[0] for alias in aliases} - {"Path"}

    @cached_property
    def _imports(self) -> tuple[dict[str, tuple[Module, str]], dict[str, Module]]:
        names: dict[str, tuple[Module, str]] = {}
        modules: dict[str, Module] = {}
        for node in self.nodes if self.imported else []:
            if isinstance(node, ast.ImportFrom) and node.module in self.imported:
                for alias in node.names:
                    names.setdefault(alias.asname or alias.name, (self.imported[node.module], alias.name))
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in self.imported:
                        modules.setdefault(alias.asname or alias.name, self.imported[alias.name])
        return names, modules

    # what an expression comes to

    def template(self, node: ast.expr | None) -> Template | None:
        """None for what is no text or path, or depends on what only a run can tell."""
        if node is None or node in self._busy:
            return None
        if node in self._known:
            return self._known[node]
        outermost = not any(module._busy for module in self.family or [self])
        self._busy.add(node)
        try:
            found = self._template(node)
        finally:
            self._busy.discard(node)
        if outermost:  # inside, a circle may have been cut short
            self._known[node] = found
        return found

    def _template(self, node: ast.expr) -> Template | None:
        if isinstance(node, ast.Constant):
            return Template((Piece(node.value, node, self),)) if isinstance(node.value, str) else None
        if isinstance(node, ast.JoinedStr):
            return self._joined(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Subscript):
            return shared(self._item(node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._joined_path([node.left, node.right], "path")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._concatenated([node.left, node.right])
        return self._call(node) if isinstance(node, ast.Call) else None

    def _joined(self, node: ast.JoinedStr) -> Template:
        pieces: list[Piece] = []
        base = 0
        for part, value in enumerate(node.values):
            if isinstance(value, ast.Constant):
                pieces.append(Piece(str(value.value), node, self, part))
                continue
            assert isinstance(value, ast.FormattedValue)
            plain = value.conversion == -1 and value.format_spec is None
            inner = self.template(value.value) if plain else None
            if inner is not None and part == 0:
                base = len(inner.text)
            pieces += inner.pieces if inner else [self._unknown(value)]
        return Template(tuple(pieces), base=base)

    def _unknown(self, node: ast.AST) -> Piece:
        return Piece(UNKNOWN, source=ast.unparse(node))

    def _concatenated(self, nodes: list[ast.expr]) -> Template | None:
        parts = [self.template(node) for node in nodes]
        if parts[0] is None:
            return None
        pieces = [p for node, part in zip(nodes, parts, strict=True) for p in self._pieces(node, part)]
        return Template(tuple(pieces), parts[0].kind, parts[0].base)

    def _pieces(self, node: ast.expr, template: Template | None) -> tuple[Piece, ...]:
        return template.pieces if template else (self._unknown(node),)

    def _joined_path(self, nodes: list[ast.expr], kind: Literal["text", "path"]) -> Template | None:
        first = self.template(nodes[0])
        if first is None:
            return None
        pieces = list(first.pieces)
        for node in nodes[1:]:
            text = "".join(piece.text for piece in pieces)
            if text and not text.endswith("/"):
                pieces.append(Piece("/"))
            pieces += self._pieces(node, self.template(node))
        return Template(tuple(pieces), kind, first.base)

    # names

    def _name(self, node: ast.Name) -> Template | None:
        if node.id == "__file__":
            return Template((Piece(HERE),))
        local = self._local(node)
        if local is not None:
            return shared(local[0])
        if node.id in FOLLOWED and self.defines(node.id):
            return Template((Piece("{" + node.id + "}", source=node.id),))
        return shared(self.constant(node.id))

    def constant(self, name: str) -> Template | None:
        values = self.names.get(name, [])
        if len(values) == 1:
            return self.template(values[0])
        found = None if values else self.imported_name(name)
        if found is None:
            return None
        if found[1] in FOLLOWED and found[0].defines(found[1]):
            return Template((Piece("{" + found[1] + "}", source=name),))
        return found[0].constant(found[1])

    def _local(self, node: ast.Name) -> tuple[Template | None] | None:
        """Of a variable or parameter of the function around it, in a tuple; None when it is neither."""
        function = self.function_of(node)
        while function is not None:
            values = [
                n.value
                for n in ast.walk(function)
                if isinstance(n, ast.Assign) and any(isinstance(t, ast.Name) and t.id == node.id for t in n.targets)
            ]
            if values:
                return (self.template(values[0]) if len(values) == 1 else None,)
            arguments = function.args
            if node.id in {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}:
                return (self._parameter(function, node.id),)
            function = self.function_of(function)
        return None

    def _parameter(self, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Template | None:
        """The one value that calls in the user's files give it, else its default."""
        owner = self.parents.get(function)
        is_init = isinstance(owner, ast.ClassDef) and function.name == "__init__"
        callee = owner.name if is_init and isinstance(owner, ast.ClassDef) else function.name
        positional = [a.arg for a in [*function.args.posonlyargs, *function.args.args]]
        offset = 1 if isinstance(owner, ast.ClassDef) else 0
        position = positional.index(name) - offset if name in positional else None
        given = [
            (module, value)
            for module in self.family or [self]
            for call in calls(module.tree, callee)
            if (value := argument(call, name, position)) is not None
        ]
        if len(given) > 1:
            return None
        return given[0][0].template(given[0][1]) if given else self.template(default_of(function, name))

    def _attribute(self, node: ast.Attribute) -> Template | None:
        base = node.value
        if node.attr == "parent":
            return parent_folder(self.template(base))
        if isinstance(base, ast.Name):
            owner = self.class_of(node)
            if base.id in {"self", "cls"} and owner is not None:
                return shared(self._field(owner, node.attr))
            module = self.imported_module(base.id)
            if module is not None:
                own = self._rebound(f"{base.id}.{node.attr}")
                return shared(self.template(own) if own is not None else module.constant(node.attr))
            named = next((n for n in self.tree.body if isinstance(n, ast.ClassDef) and n.name == base.id), None)
            if named is not None:
                return shared(self._field(named, node.attr))
            return shared(self._of_instance(base, node.attr))
        return None

    def _rebound(self, name: str) -> ast.expr | None:
        """`config.OUT_DIR = ...` in this file."""
        values = [n.value for n in self.tree.body if isinstance(n, ast.Assign) and dotted(n.targets[0]) == name]
        return values[-1] if values else None

    def _of_instance(self, base: ast.Name, attribute: str) -> Template | None:
        """`args.out_dir` of argparse, `cfg.out_dir` of a class of settings."""
        option = [
            argument(call, "default")
            for call in self.nodes
            if isinstance(call, ast.Call)
            and called(call) == "add_argument"
            and any(
                isinstance(a, ast.Constant) and str(a.value).lstrip("-").replace("-", "_") == attribute
                for a in call.args
            )
        ]
        if len(option) == 1:
            return self.template(option[0])
        classes = {n.name: n for n in self.tree.body if isinstance(n, ast.ClassDef)}
        makers = [
            n.value.func.id
            for n in self.nodes
            if isinstance(n, ast.Assign)
            and isinstance(n.value, ast.Call)
            and isinstance(n.value.func, ast.Name)
            and any(isinstance(t, ast.Name) and t.id == base.id for t in n.targets)
        ]
        return self._field(classes[makers[0]], attribute) if len(makers) == 1 and makers[0] in classes else None

    def _field(self, owner: ast.ClassDef, name: str) -> Template | None:
        values: list[ast.expr] = []
        for node in ast.walk(owner):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    in_body = isinstance(target, ast.Name) and target.id == name and self.parents[node] is owner
                    on_self = isinstance(target, ast.Attribute) and dotted(target) == f"self.{name}"
                    if in_body or on_self:
                        values.append(node.value)
        return self.template(values[0]) if len(values) == 1 else None

    def _item(self, node: ast.Subscript) -> Template | None:
        """`CONFIG["out_dir"]` of a dict literal."""
        if not isinstance(node.value, ast.Name) or not isinstance(node.slice, ast.Constant):
            return None
        values, owner = self.names.get(node.value.id, []), self
        if not values and (found := self.imported_name(node.value.id)):
            owner, values = found[0], found[0].names.get(found[1], [])
        if len(values) != 1 or not isinstance(values[0], ast.Dict):
            return None
        for key, value in zip(values[0].keys, values[0].values, strict=True):
            if isinstance(key, ast.Constant) and key.value == node.slice.value:
                return owner.template(value)
        return None

    # calls

    def _call(self, node: ast.Call) -> Template | None:
        name, full = called(node), dotted(node.func)
        if name in {"Path", "PurePath", "PosixPath"} and full in {name, f"pathlib.{name}"}:
            return self._joined_path(node.args, "path") if node.args else Template((Piece(""),), "path")
        if full in {"Path.cwd", "pathlib.Path.cwd", "os.getcwd"}:
            return Template((Piece(""),), "path" if "cwd" in name else "text")
        if full in {"os.path.join", "path.join"} and node.args:
            return self._joined_path(node.args, "text")
        if full in {"os.path.dirname", "path.dirname"} and node.args:
            return parent_folder(self.template(node.args[0]))
        if full in {
            "str",
            "os.fspath",
            "os.path.abspath",
            "os.path.realpath",
            "os.path.normpath",
            "os.path.expanduser",
        }:
            inner = self.template(node.args[0]) if node.args else None
            return inner and Template(inner.pieces, "text", inner.base)
        if full in {"os.environ.get", "os.getenv"} and len(node.args) > 1:
            return self.template(node.args[1])
        if isinstance(node.func, ast.Attribute):
            if name in {"resolve", "absolute", "as_posix", "expanduser"}:
                return self.template(node.func.value)
            if name == "joinpath":
                return self._joined_path([node.func.value, *node.args], "path")
        return self._returned(node) if isinstance(node.func, ast.Name) else None

    def _returned(self, node: ast.Call) -> Template | None:
        """Of a function of this file that does nothing but return a path."""
        name = called(node)
        function = next((n for n in self.tree.body if isinstance(n, ast.FunctionDef) and n.name == name), None)
        returns = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)] if function else []
        return shared(self.template(returns[0])) if len(returns) == 1 else None


def default_of(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> ast.expr | None:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    return next((default for arg, default in pairs if arg.arg == name), None)
