"""The settings of a training script: literals that a person would change to tune it.

Found in module constants, dict literals, fields of dataclasses and plain config classes, argparse defaults,
keywords of the calls that train (Trainer, optimizer, DataLoader ...) and defaults of `__init__`. Only literals
count: what is worked out at run time cannot be set by changing one place.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.script.names import WHOLE_NUMBERS, canonical, nearest
from progtrain.engine.script.nodes import called

Value = int | float | str | bool | tuple[object, ...] | None
Source = Literal["constant", "dict", "dataclass", "argparse", "keyword", "default"]

#: what a person writes on purpose as a setting comes before what merely stands in a call
_DELIBERATE: frozenset[str] = frozenset({"constant", "dict", "dataclass", "argparse"})

_OPTIMIZERS = frozenset(
    {
        "Adam",
        "AdamW",
        "SGD",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "Adamax",
        "NAdam",
        "RAdam",
        "ASGD",
        "Rprop",
        "Muon",
    }
    | {"Adafactor", "LBFGS", "SparseAdam"}
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
    **{name: {"lr": "learning_rate", "weight_decay": "weight_decay", "momentum": "momentum"} for name in _OPTIMIZERS},
    "EarlyStopping": {"patience": "patience"},
    "ReduceLROnPlateau": {"patience": "plateau_patience", "factor": "plateau_factor"},
    "EMAWeightAveraging": {"decay": "ema_decay"},
    "CrossEntropyLoss": {"label_smoothing": "label_smoothing"},
    "cross_entropy": {"label_smoothing": "label_smoothing"},
    "Dropout": {"p": "dropout"},
    "seed_everything": {"seed": "seed"},
}
#: callee -> key of its first positional argument
_FIRST = {"Dropout": ("p", "dropout"), "seed_everything": ("seed", "seed"), "manual_seed": ("seed", "seed")}


@dataclass(frozen=True)
class Setting:
    """One literal. `name` is how the script spells it: `LEARNING_RATE`, `CONFIG['lr']`, `Config.lr`, `--lr`."""

    name: str
    key: str
    value: Value
    source: Source
    line: int
    #: where the literal stands, as `ast` counts it: line, column, end line, end column (UTF-8 bytes)
    span: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), repr=False)

    @property
    def deliberate(self) -> bool:
        return self.source in _DELIBERATE


def parse_script(source: str, filename: str = "") -> ast.Module:
    """Raises `InputError` with the line of a syntax error."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(
            f"not valid Python: {getattr(error, 'msg', None) or error}",
            file=filename or None,
            place=line if isinstance(line, int) else None,
            fix="correct the script there; `python -m py_compile` shows the place too",
        ) from error


@lru_cache(maxsize=32)
def find_settings(source: str, filename: str = "") -> tuple[Setting, ...]:
    """All settings in the order of the file. Raises `InputError` with the line of a syntax error."""
    finder = _Finder()
    finder.visit(parse_script(source, filename))
    found = [s for s in finder.found if s.name not in finder.reassigned]
    alive = [s for s in found if not (s.source in ("default", "dataclass") and s.name in finder.overridden)]
    return tuple(sorted(alive, key=lambda s: s.span))


def find_setting(source: str, key: str, filename: str = "") -> Setting | None:
    """The setting that `key` means: its exact spelling in the script, else its canonical name.

    Raises `InputError` that names both lines when the script sets it twice with different values.
    """
    return choose_setting(find_settings(source, filename), key, filename)


def choose_setting(settings: Sequence[Setting], key: str, filename: str = "") -> Setting | None:
    """As `find_setting`, among settings already found."""
    exact = [s for s in settings if s.name == key]
    matching = exact or [s for s in settings if s.key == canonical(key)]
    preferred = _preferred(matching)
    if not preferred:
        return None
    first = preferred[0]
    for other in preferred[1:]:
        if not values.same(first.value, other.value):
            raise InputError(
                f"{key} is set twice: {first.name} = {first.value!r} (line {first.line}) and "
                f"{other.name} = {other.value!r} (line {other.line})",
                file=filename or None,
                place=other.line,
                fix=f"let the script take both from one place, or name one of them: {first.name}",
            )
    return first


def duplicates(settings: Sequence[Setting], chosen: Setting) -> tuple[Setting, ...]:
    """Other places that hold the same setting with equal standing: changing `chosen` alone would not do."""
    same = _preferred([s for s in settings if s.key == chosen.key])
    return tuple(s for s in same if s != chosen) if chosen in same else ()


def suggest(settings: Sequence[Setting], key: str) -> list[str]:
    """Names in the script near to one that it does not have."""
    return nearest(key, [s.name for s in settings] + [s.key for s in settings])


def _preferred(settings: list[Setting]) -> list[Setting]:
    for sources in (_DELIBERATE, {"keyword"}, {"default"}):
        if group := [s for s in settings if s.source in sources]:
            return group
    return []


#: key -> lowest value allowed, whether it may be that value itself, highest value, likewise
_RANGES: dict[str, tuple[float, bool, float, bool]] = {
    "epochs": (1, True, math.inf, False),
    "max_steps": (1, True, math.inf, False),
    "batch_size": (1, True, math.inf, False),
    "val_batch_size": (1, True, math.inf, False),
    "learning_rate": (0, False, math.inf, False),
    "weight_decay": (0, True, math.inf, False),
    "dropout": (0, True, 1, False),
    "label_smoothing": (0, True, 1, False),
    "momentum": (0, True, 1, False),
    "hidden_size": (1, True, math.inf, False),
    "layers": (1, True, math.inf, False),
    "gradient_clip": (0, True, math.inf, False),
    "gradient_accumulation": (1, True, math.inf, False),
    "patience": (0, True, math.inf, False),
    "plateau_patience": (0, True, math.inf, False),
    "plateau_factor": (0, False, 1, False),
    "ema_decay": (0, True, 1, False),
    "warmup": (0, True, math.inf, False),
    "huber_delta": (0, False, math.inf, False),
}


def refuse_value(key: str, value: object) -> str | None:
    """Why `value` makes no sense for the setting `key`; None when it does."""
    key = canonical(key)
    for number in value if isinstance(value, list | tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            return f"{key} must be a finite number, not {number}"
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if key in WHOLE_NUMBERS and number != int(number):
            return f"{key} must be a whole number, not {number}"
        low, low_in, high, high_in = _RANGES.get(key, (-math.inf, True, math.inf, True))
        if number < low or (number == low and not low_in):
            return f"{key} must be {'at least' if low_in else 'above'} {low:g}, not {number}"
        if number > high or (number == high and not high_in):
            return f"{key} must be {'at most' if high_in else 'below'} {high:g}, not {number}"
    return None


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


class _Finder(ast.NodeVisitor):
    """Walks a module once. Assignments count at module level and in `if` blocks there, not in functions."""

    def __init__(self) -> None:
        self.found: list[Setting] = []
        self.reassigned: set[str] = set()
        #: `Config.lr` where some call says `Config(lr=...)`
        self.overridden: set[str] = set()
        self._scope: list[ast.AST] = []
        self._first_value: dict[str, ast.AST] = {}

    # structure

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if not any(isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef) for s in self._scope):
            for statement in node.body:
                self._class_field(node.name, statement)
        self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        owner = self._scope[-1] if self._scope else None
        if isinstance(owner, ast.ClassDef) and node.name == "__init__":
            self._defaults(owner.name, node.args)
        self._inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inside(node)

    def _inside(self, node: ast.AST) -> None:
        self._scope.append(node)
        self.generic_visit(node)
        self._scope.pop()

    # settings

    def visit_Assign(self, node: ast.Assign) -> None:
        if not self._scope:
            for target in node.targets:
                self._assigned(target, node.value, single=len(node.targets) == 1)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if not self._scope and node.value is not None:
            self._assigned(node.target, node.value, single=True)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if not self._scope and isinstance(node.target, ast.Name):
            self.reassigned.add(node.target.id)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = called(node)
        if name == "add_argument":
            self._argument(node)
        for keyword in node.keywords:
            if keyword.arg:
                self.overridden.add(f"{name}.{keyword.arg}")
                if key := self._keyword_key(name, keyword.arg):
                    self._add(f"{name}({keyword.arg})", keyword.value, "keyword", key)
        if name in _FIRST and node.args:
            argument, key = _FIRST[name]
            self._add(f"{name}({argument})", node.args[0], "keyword", key)
        self.generic_visit(node)

    def _keyword_key(self, callee: str, argument: str) -> str | None:
        if callee == "DataLoader" and argument == "batch_size":
            inside = [s.name for s in self._scope if isinstance(s, ast.FunctionDef)]
            return "batch_size" if not inside or "train" in inside[-1] else None
        return _KEYWORDS.get(callee, {}).get(argument)

    def _assigned(self, target: ast.expr, value: ast.expr, *, single: bool) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one_target, one_value in zip(target.elts, value.elts, strict=True):
                self._assigned(one_target, one_value, single=single)
            return
        if isinstance(target, ast.Subscript | ast.Attribute):
            self.reassigned.add(_item_name(target))
            return
        if not isinstance(target, ast.Name):
            return
        if target.id in self._first_value:
            self.reassigned.add(target.id)
        self._first_value[target.id] = value
        if isinstance(value, ast.Dict):
            self._mapping(target.id, value)
        elif isinstance(value, ast.Call):
            self._call_as_mapping(target.id, value)
        elif single:
            self._add(target.id, value, "constant")

    def _call_as_mapping(self, name: str, call: ast.Call) -> None:
        """`CONFIG = dict(lr=1e-3)`, `cfg = SimpleNamespace(lr=1e-3)`, `cfg = Something({"lr": 1e-3})`."""
        callee = called(call)
        if callee in ("dict", "SimpleNamespace", "Namespace"):
            for keyword in call.keywords:
                if keyword.arg:
                    spelled = f"{name}['{keyword.arg}']" if callee == "dict" else f"{name}.{keyword.arg}"
                    self._add(spelled, keyword.value, "dict")
        elif len(call.args) == 1 and isinstance(call.args[0], ast.Dict):
            self._mapping(name, call.args[0])

    def _mapping(self, prefix: str, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                name = f"{prefix}['{key.value}']"
                if isinstance(value, ast.Dict):
                    self._mapping(name, value)
                else:
                    self._add(name, value, "dict")

    def _class_field(self, owner: str, statement: ast.stmt) -> None:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            target, value = statement.target, statement.value
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            target, value = statement.targets[0], statement.value
        else:
            return
        if isinstance(value, ast.Call) and called(value) in ("field", "Field"):
            given = [k.value for k in value.keywords if k.arg == "default"]
            given += value.args[:1] if called(value) == "Field" else []
            value = given[0] if given else None
        self._add(f"{owner}.{target.id}", value, "dataclass")

    def _argument(self, node: ast.Call) -> None:
        flags = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        flag = next((f for f in flags if f.startswith("--")), flags[0] if flags else None)
        default = next((k.value for k in node.keywords if k.arg == "default"), None)
        if flag:
            self._add(flag, default, "argparse")

    def _defaults(self, owner: str, arguments: ast.arguments) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
        pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d]
        for argument, default in pairs:
            self._add(f"{owner}.{argument.arg}", default, "default")

    def _add(self, name: str, node: ast.AST | None, source: Source, key: str | None = None) -> None:
        is_literal, value = literal(node)
        if not is_literal or not isinstance(node, ast.expr):
            return
        span = (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
        self.found.append(Setting(name, key or canonical(name), value, source, node.lineno, span))


def _item_name(target: ast.Subscript | ast.Attribute) -> str:
    base = target.value
    prefix = (
        base.id
        if isinstance(base, ast.Name)
        else _item_name(base)
        if isinstance(base, ast.Subscript | ast.Attribute)
        else ""
    )
    if isinstance(target, ast.Attribute):
        return f"{prefix}.{target.attr}"
    index = target.slice
    return f"{prefix}['{index.value!s}']" if isinstance(index, ast.Constant) else f"{prefix}[]"
