"""Settings that are flags or words: what each may be, whether the code asks for it, and what it means.

The words come from what the script itself says: choices of an argument, `Literal` types, values of an Enum, keys of a
dict that is indexed with it, comparisons. A name that nobody would understand has no meaning here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from progtrain.engine.script.config_files import is_config
from progtrain.engine.script.names import canonical, normalised
from progtrain.engine.script.nodes import assigned, called, keyword, last_name, text_of
from progtrain.engine.script.settings import Setting, Value, find_settings, parse_script
from progtrain.engine.script.sources import files_of

#: what a flag turns on -> names that say so, in lower snake case
_MEANINGS = {
    "standardisation": r"(standard|normal)i[sz](e|ation)|(re)?scale_(inputs?|features?|x)",
    "batch_norm": r"batch_?norm(ali[sz]ation)?|bn",
    "dropout": r"dropout",
    "augmentation": r"augment(s|ed|ations?)?|aug|data_aug(mentation)?",
    "class_weights": r"class_?weights?|balanced?_classes|class_balanc(e|ed|ing)|weighted_loss",
    "early_stopping": r"early_?stop(ping)?",
    "weight_averaging": r"ema|weight_averaging",
    "gradient_clipping": r"(gradient|grad)_?clip(ping)?|clip_grad(ient)?s?",
}
_AROUND = r"(?:use|with|do|apply|enable|add|should)_"
_OF_INPUTS = r"(?:_(?:inputs?|features?|data|images?|x))?"
_FLAGS = {
    meaning: re.compile(rf"(?:{_AROUND})?(?:{names}){_OF_INPUTS}(?:_(?:on|enabled))?")
    for meaning, names in _MEANINGS.items()
}
#: settings that are words of a known meaning, by canonical key
WORDS = frozenset({"optimizer", "schedule", "activation", "loss"})
_UNWRAPPED = frozenset({"lower", "upper", "casefold", "strip"})


@lru_cache(maxsize=32)
def find_choices(source: str) -> tuple[tuple[Setting, str, tuple[Value, ...]], ...]:
    """(setting, meaning, values that it may have) of flags and words that the code asks for and that are understood.

    Raises `InputError` with the line of a syntax error.
    """
    tree = parse_script(source)
    for name, text in files_of(source).items():
        if not is_config(name):
            tree.body += parse_script(text).body
    found = []
    for setting in find_settings(source):
        meaning = _meaning(setting)
        if meaning is None:
            continue
        uses = _Uses(tree, setting)
        is_flag = isinstance(setting.value, bool)
        words: tuple[Value, ...] = ((False, True) if uses.is_tested() else ()) if is_flag else uses.words()
        if any(word != setting.value for word in words):
            found.append((setting, meaning, words))
    return tuple(found)


def is_off(source: str, meaning: str) -> bool:
    """Whether the script can do that, and does not: a flag of it is false."""
    return any(setting.value is False for setting, meant, _ in find_choices(source) if meant == meaning)


def _meaning(setting: Setting) -> str | None:
    if isinstance(setting.value, bool):
        name = normalised(setting.name)
        return next((meaning for meaning, names in _FLAGS.items() if names.fullmatch(name)), None)
    return setting.key if setting.key in WORDS and isinstance(setting.value, str | None) else None


class _Uses:
    """Where a script looks at a setting: by its name, under that of an argument that it is given to, or a variable."""

    def __init__(self, tree: ast.Module, setting: Setting) -> None:
        self.tree, self.setting = tree, setting
        self.places: list[tuple[ast.AST, frozenset[str]]] = [(tree, frozenset())]
        self.places += _renamed(tree, setting)

    def is_tested(self) -> bool:
        return any(self._is(test, names) for node, names in self._nodes() for test in _tests(node))

    def words(self) -> tuple[str, ...]:
        """Each once, in the order of the script: those that it declares, else those that it asks for."""
        for find in (self._declared, self._asked):
            if found := [word for node, names in self._nodes() for word in find(node, names)]:
                return tuple(dict.fromkeys(found))
        return ()

    def _nodes(self) -> Iterator[tuple[ast.AST, frozenset[str]]]:
        for place, names in self.places:
            yield from ((node, names) for node in ast.walk(place))

    def _is(self, node: ast.AST | None, names: frozenset[str]) -> bool:
        return _reads(node, self.setting) or (isinstance(node, ast.Name | ast.Attribute) and last_name(node) in names)

    def _declared(self, node: ast.AST, names: frozenset[str]) -> Iterator[str]:
        match node:
            case ast.Call() if called(node) == "add_argument":
                if self.setting.name in map(text_of, node.args):
                    yield from self._listed(keyword(node, "choices"))
            case ast.Call(args=[given]) if self._is(given, names):
                yield from self._enumerated(called(node))
            case ast.AnnAssign(target=target, annotation=kind) if self._is(target, names):
                yield from _literal_type(kind)
            case ast.arg(arg=name, annotation=kind) if name in names or canonical(name) == self.setting.key:
                yield from _literal_type(kind)

    def _asked(self, node: ast.AST, names: frozenset[str]) -> Iterator[str]:
        match node:
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[given, *_]) if self._is(given, names):
                yield from self._listed(table)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() | ast.In() | ast.NotIn()], comparators=[right]):
                for one, other in ((left, right), (right, left)):
                    if self._is(one, names):
                        yield from self._listed(other)
            case ast.Subscript(value=table, slice=index) if self._is(index, names):
                yield from self._listed(table)
            case ast.Match(subject=subject) if self._is(subject, names):
                patterns = [pattern for case in node.cases for pattern in ast.walk(case.pattern)]
                for pattern in patterns:
                    yield from self._listed(pattern.value if isinstance(pattern, ast.MatchValue) else None)

    def _listed(self, node: ast.AST | None) -> Iterator[str]:
        """The words of a text, a list of texts, the keys of a dict, or what a name at module level holds of these."""
        if (text := text_of(node)) is not None:
            yield text
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            yield from (text for item in node.elts if (text := text_of(item)) is not None)
        elif isinstance(node, ast.Dict):
            yield from (text for key in node.keys if (text := text_of(key)) is not None)
        elif isinstance(node, ast.Call) and (called(node) in ("list", "tuple", "sorted") and len(node.args) == 1):
            yield from self._listed(node.args[0])
        elif isinstance(node, ast.Call) and called(node) == "keys" and isinstance(node.func, ast.Attribute):
            yield from self._listed(node.func.value)
        elif isinstance(node, ast.Name):
            for statement in self.tree.body:
                for target, value in assigned(statement):
                    if last_name(target) == node.id and not isinstance(value, ast.Name):
                        yield from self._listed(value)

    def _enumerated(self, name: str) -> Iterator[str]:
        for node in (node for node in self.tree.body if isinstance(node, ast.ClassDef) and node.name == name):
            if any(last_name(base).endswith("Enum") for base in node.bases):
                yield from (text for s in node.body for _, v in assigned(s) if (text := text_of(v)) is not None)


def _reads(node: ast.AST | None, setting: Setting) -> bool:
    """`OPTIMIZER`, `args.optimizer`, `cfg["optimizer"]`, `self.hparams.optimizer.lower()`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _UNWRAPPED:
        return _reads(node.func.value, setting)
    if isinstance(node, ast.Subscript):
        name = text_of(node.slice)
    else:
        name = last_name(node) if isinstance(node, ast.Name | ast.Attribute) else None
    if not name:
        return False
    return normalised(name) == normalised(setting.name) or canonical(name) == setting.key


def _tests(node: ast.AST) -> Iterator[ast.expr]:
    """What decides between two ways, each part of it."""
    tests: list[ast.expr] = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While) else []
    tests += node.values if isinstance(node, ast.BoolOp) else []
    for test in tests:
        yield test.operand if isinstance(test, ast.UnaryOp) else test


def _renamed(tree: ast.Module, setting: Setting) -> list[tuple[ast.AST, frozenset[str]]]:
    """(function or class, names) that a setting has there: of arguments that it is given to, and of variables."""
    own = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    found: list[tuple[ast.AST, frozenset[str]]] = []
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        names = [last_name(t) for n in ast.walk(function) for t, v in assigned(n) if _reads(v, setting)]
        found += [(function, frozenset(names))] if names else []
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) in own):
        callee = own[called(call)]
        parameters = _parameters(callee)
        names = [name for name, value in zip(parameters, call.args, strict=False) if _reads(value, setting)]
        names += [given.arg for given in call.keywords if given.arg and _reads(given.value, setting)]
        found += [(callee, frozenset(names))] if names else []
    return found


def _parameters(callee: ast.FunctionDef | ast.ClassDef) -> Sequence[str]:
    if isinstance(callee, ast.FunctionDef):
        return [parameter.arg for parameter in callee.args.args]
    made = [n for n in callee.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    return [parameter.arg for parameter in made[0].args.args[1:]] if made else []


def _literal_type(kind: ast.AST | None) -> Iterator[str]:
    for node in ast.walk(kind) if kind is not None else ():
        if isinstance(node, ast.Subscript) and last_name(node.value) == "Literal":
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            yield from (text for item in items if (text := text_of(item)) is not None)
