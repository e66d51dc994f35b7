"""Settings in Python code: literals at the places where people write what they tune."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from progtrain.engine.errors import InputError
from progtrain.engine.script.names import ALIASES, FIXED, canonical, normalised
from progtrain.engine.script.nodes import Span, argument, assigned, called, keyword, last_name, span_of, text_of

Value = int | float | str | bool | tuple[object, ...] | None
Source = Literal["constant", "dict", "dataclass", "argparse", "keyword", "default", "file"]

#: what a person writes on purpose as a setting comes before what merely stands in a call
DELIBERATE: frozenset[str] = frozenset({"constant", "dict", "dataclass", "argparse", "file"})

OPTIMIZERS = frozenset(
    {"ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam"}
    | {"RMSprop", "Rprop", "SGD", "SparseAdam"}
)
#: callee -> its keywords that are settings, and the key each stands for
_KEYWORDS: dict[str, dict[str, str]] = {
    "Trainer": {
        "max_epochs": "epochs",
        "max_steps": "max_steps",
        "gradient_clip_val": "gradient_clip",
        "accumulate_grad_batches": "gradient_accumulation",
        "precision": "precision",
    },
    **{name: {"lr": "learning_rate", "weight_decay": "weight_decay", "momentum": "momentum"} for name in OPTIMIZERS},
    "EarlyStopping": {"patience": "patience"},
    "ReduceLROnPlateau": {"patience": "plateau_patience", "factor": "plateau_factor"},
    "OneCycleLR": {"max_lr": "max_learning_rate"},
    "EMAWeightAveraging": {"decay": "ema_decay"},
    **{name: {"label_smoothing": "label_smoothing"} for name in ("CrossEntropyLoss", "cross_entropy")},
    "Dropout": {"p": "dropout"},
    "seed_everything": {"seed": "seed"},
}
#: callee -> its first positional argument, and the key that it stands for
_FIRST = {"Dropout": ("p", "dropout"), "seed_everything": ("seed", "seed"), "manual_seed": ("seed", "seed")}

#: what makes an object whose attributes are settings: of yacs, ml_collections, EasyDict and the like
_CONFIGS = frozenset(
    {"CN", "CfgNode", "ConfigDict", "FrozenConfigDict", "SimpleNamespace", "Namespace", "edict", "EasyDict", "AttrDict"}
    | {"Munch", "DotMap", "Box", "DotDict"}
)

#: action of an argument -> the default that it brings
STORES = {"store_true": False, "store_false": True}

#: name, where its value stands, what it is, and its key where the name does not tell
_Written = tuple[str, ast.expr | None, Source, str | None]
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Setting:
    """One literal. `name` is how it is spelled there: `LEARNING_RATE`, `CONFIG['lr']`, `Config.lr`, `--lr`; in a config
    file the dotted path, `model.hidden`."""

    name: str
    key: str
    value: Value
    source: Source
    line: int
    #: where the literal stands
    span: Span = field(default=(0, 0, 0, 0), repr=False)
    #: path in the workspace; empty for the script itself
    file: str = ""

    @property
    def deliberate(self) -> bool:
        return self.source in DELIBERATE

    @property
    def full_name(self) -> str:
        """With its file, as an action may name it where several files have a setting of that name."""
        return f"{self.file}:{self.name}" if self.file else self.name


def parse_script(source: str) -> ast.Module:
    """Raises `InputError` with the line of a syntax error."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(
            f"not valid Python: {getattr(error, 'msg', None) or error}",
            place=line if isinstance(line, int) else None,
            fix="correct the script there; `python -m py_compile` shows the place too",
        ) from error


@lru_cache(maxsize=512)
def in_code(source: str) -> tuple[Setting, ...]:
    nodes = list(_scoped(parse_script(source)))
    reassigned = _reassigned([node for node, scope in nodes if not scope])
    # `Config.lr` where some call says `Config(lr=...)`
    overridden = {f"{called(n)}.{k.arg}" for n, _ in nodes if isinstance(n, ast.Call) for k in n.keywords}
    found = []
    written = [written for node, scope in nodes for written in _written(node, scope)]
    of_configs = list(_of_configs(nodes))
    # what is set on such an object is the one value that it has
    reassigned -= {name for name, *_ in of_configs}
    for name, place, kind, key in (*written, *of_configs, *_switched([node for node, _ in nodes])):
        is_literal, value = literal(place)
        dead = name in reassigned or (kind in ("default", "dataclass") and name.partition("[")[0] in overridden)
        if is_literal and place is not None and not dead:
            found.append(Setting(name, key or canonical(name), value, kind, place.lineno, span_of(place)))
    return tuple(sorted(found, key=lambda setting: setting.span))


def literal(node: ast.AST | None) -> tuple[bool, Value]:
    """(True, value) for a number, text, truth value, None, or a list or tuple of such."""
    if not isinstance(node, ast.Constant | ast.UnaryOp | ast.Tuple | ast.List):
        return False, None
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return False, None
    if isinstance(value, list | tuple):
        plain = all(isinstance(item, int | float | str) for item in value)
        return plain and bool(value), tuple(value)
    return isinstance(value, int | float | str | None), value


def _scoped(node: ast.AST, scope: tuple[ast.AST, ...] = ()) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    """All nodes below it, each with the classes and functions that it stands in."""
    for child in ast.iter_child_nodes(node):
        yield child, scope
        yield from _scoped(child, (*scope, child) if isinstance(child, ast.ClassDef | _FUNCTION) else scope)


def _assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    """(target, value, whether it is the only target)."""
    pairs = assigned(node)
    for target, value in pairs:
        yield from _unpacked(target, value, len(pairs) == 1)


def _unpacked(target: ast.expr, value: ast.expr, only: bool) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one_target, one_value in zip(target.elts, value.elts, strict=True):
            yield from _unpacked(one_target, one_value, only)
    else:
        yield target, value, only


def _reassigned(nodes: Sequence[ast.AST]) -> set[str]:
    """What is given a value more than once at module level, or in one of its parts."""
    targets = [target for node in nodes for target, _, _ in _assigned(node)]
    times = Counter(target.id for target in targets if isinstance(target, ast.Name))
    parts = {_item_name(target) for target in targets if isinstance(target, ast.Subscript | ast.Attribute)}
    grown = {n.target.id for n in nodes if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
    return {name for name, count in times.items() if count > 1} | parts | grown


def _item_name(target: ast.expr) -> str:
    if isinstance(target, ast.Attribute):
        return f"{_item_name(target.value)}.{target.attr}"
    if isinstance(target, ast.Subscript):
        index = target.slice
        return _item_name(target.value) + (f"['{index.value!s}']" if isinstance(index, ast.Constant) else "[]")
    return target.id if isinstance(target, ast.Name) else ""


def _written(node: ast.AST, scope: tuple[ast.AST, ...]) -> Iterator[_Written]:
    """What may be a setting. Assignments count at module level and in `if` blocks there, not in functions."""
    if isinstance(node, ast.Call):
        yield from _in_call(node, scope)
    elif isinstance(node, ast.ClassDef) and not any(isinstance(around, _FUNCTION) for around in scope):
        yield from (field for statement in node.body for field in _class_field(node.name, statement))
    elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
        if scope and isinstance(scope[-1], ast.ClassDef):
            yield from _defaults(scope[-1].name, node.args)
    elif not scope:
        for target, value, only in _assigned(node):
            if isinstance(target, ast.Name):
                yield from _constant(target.id, value, only)


def _in_call(call: ast.Call, scope: tuple[ast.AST, ...]) -> Iterator[_Written]:
    name = called(call)
    if name == "add_argument" and (flag := _flag(call)):
        yield flag, keyword(call, "default"), "argparse", None
    keys = _KEYWORDS.get(name, {})
    if name == "DataLoader":
        inside = [around.name for around in scope if isinstance(around, ast.FunctionDef)]
        keys = {"batch_size": "batch_size"} if not inside or "train" in inside[-1] else {}
    for given in call.keywords:
        if given.arg in keys:
            yield f"{name}({given.arg})", given.value, "keyword", keys[given.arg]
        elif given.arg and name[:1].isupper() and not name.endswith("Logger"):
            yield from _known(_items(f"{name}({given.arg})", given.value, "keyword"))
    if name in _FIRST and call.args:
        argument, key = _FIRST[name]
        yield f"{name}({argument})", call.args[0], "keyword", key


def _flag(call: ast.Call) -> str | None:
    flags = [text for argument in call.args if (text := text_of(argument)) is not None]
    return next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else None)


def _switched(nodes: Sequence[ast.AST]) -> Iterator[_Written]:
    """Flags of the command line with a default that nobody wrote, where the script reads them."""
    read = {normalised(last_name(node)) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
    for call in (node for node in nodes if isinstance(node, ast.Call) and called(node) == "add_argument"):
        implied, flag = _implied(call), _flag(call)
        if implied is not None and keyword(call, "default") is None and flag and normalised(flag) in read:
            yield flag, implied, "argparse", None


def _implied(call: ast.Call) -> ast.Constant | None:
    """The default of `action="store_true"`, which nobody writes: it stands where the action does."""
    action = keyword(call, "action")
    text = text_of(action)
    if text not in STORES or action is None:
        return None
    return ast.copy_location(ast.Constant(STORES[text]), action)


def imply_defaults(tree: ast.Module) -> ast.Module:
    """The tree with such defaults written out, each behind its action."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and called(node) == "add_argument"):
        implied = _implied(call)
        if implied is not None and keyword(call, "default") is None:
            place = next(i for i, given in enumerate(call.keywords, 1) if given.arg == "action")
            call.keywords.insert(place, ast.keyword("default", implied))
    return tree


def _constant(name: str, value: ast.expr, only: bool) -> Iterator[_Written]:
    """Also `CONFIG = dict(lr=1e-3)`, `cfg = SimpleNamespace(lr=1e-3)`, `cfg = Something({"lr": 1e-3})`."""
    if isinstance(value, ast.Call):
        callee = called(value)
        if callee in ("dict", "SimpleNamespace", "Namespace"):
            spelling = f"{name}['{{}}']" if callee == "dict" else f"{name}.{{}}"
            for k in (k for k in value.keywords if k.arg):
                yield from _items(spelling.format(k.arg), k.value) or [(spelling.format(k.arg), k.value, "dict", None)]
        elif len(value.args) == 1 and isinstance(value.args[0], ast.Dict):
            yield from _items(name, value.args[0])
    elif isinstance(value, ast.Dict):
        yield from _items(name, value)
    elif only:
        yield name, value, "constant", None


def _of_configs(nodes: Sequence[tuple[ast.AST, tuple[ast.AST, ...]]]) -> Iterator[_Written]:
    """`C = CN()`, then `C.trainer.lr = 5e-4`: at module level, or in a function that returns C.

    What is given a value in two places, of whatever object, has none that one of them decides.
    """
    given = [(scope[-1] if scope else None, *pair[:2]) for node, scope in nodes for pair in _assigned(node)]
    grown = [_item_name(node.target) for node, _ in nodes if isinstance(node, ast.AugAssign)]
    named = [_item_name(target) for _, target, _ in given if isinstance(target, ast.Attribute)]
    times = Counter(name.partition(".")[2] for name in (*named, *grown))
    returned = {(s[-1], last_name(n.value)) for n, s in nodes if s and isinstance(n, ast.Return) and n.value}
    made = {
        (holder, target.id)
        for holder, target, value in given
        if isinstance(target, ast.Name) and isinstance(value, ast.Call) and called(value) in _CONFIGS
    }
    for holder, target, value in given:
        name = _item_name(target)
        owner, _, rest = name.partition(".")
        known = (holder, owner) in made and (holder is None or (holder, owner) in returned)
        if isinstance(target, ast.Attribute) and known and times[rest] == 1:
            yield name, value, "dict", None


def _items(prefix: str, node: ast.expr | None, kind: Source = "dict") -> list[_Written]:
    """What stands in a dict, `{"a": 1}` or `dict(a=1)`, and in those within it; nothing for all else."""
    pairs: list[tuple[str | None, ast.expr]] = []
    if isinstance(node, ast.Dict):
        pairs = [(text_of(key), value) for key, value in zip(node.keys, node.values, strict=True)]
    elif isinstance(node, ast.Call) and called(node) == "dict":
        pairs = [(given.arg, given.value) for given in node.keywords]
    found: list[_Written] = []
    for key, value in pairs:
        if key is not None:
            name = f"{prefix}['{key}']"
            found += _items(name, value, kind) or [(name, value, kind, None)]
    return found


def _known(found: Sequence[_Written]) -> list[_Written]:
    """Of dicts in calls and defaults, which hold all sorts of things: what goes by the name of a usual setting."""
    return [written for written in found if canonical(written[0]) in ALIASES.keys() - FIXED.keys()]


def _class_field(owner: str, statement: ast.stmt) -> Iterator[_Written]:
    for target, value in assigned(statement)[:1]:
        given: ast.expr | None = value
        if isinstance(value, ast.Call) and called(value) in ("field", "Field"):
            given = argument(value, "default", 0 if called(value) == "Field" else None)
        if isinstance(target, ast.Name):
            name = f"{owner}.{target.id}"
            yield from _known(_items(name, given, "dataclass")) or [(name, given, "dataclass", None)]


def _defaults(owner: str, given: ast.arguments) -> Iterator[_Written]:
    positional = [*given.posonlyargs, *given.args]
    pairs = [*zip(reversed(positional), reversed(given.defaults), strict=False)]
    for parameter, default in (*pairs, *zip(given.kwonlyargs, given.kw_defaults, strict=True)):
        name = f"{owner}.{parameter.arg}"
        yield from _known(_items(name, default, "default")) or [(name, default, "default", None)]
