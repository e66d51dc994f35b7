"""What kind of Lightning script this is: its classes, optimizer, schedule, loss and Trainer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from progtrain.engine.script.nodes import called, dotted, last_name
from progtrain.engine.script.settings import OPTIMIZERS, parse_script

SCHEDULERS = frozenset(
    {"ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR"}
    | {"ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR"}
    | {"ReduceLROnPlateau", "SWALR", "SequentialLR", "StepLR"}
)
#: what raises the rate at the start and then leaves it alone
WARMUPS = frozenset({"LinearLR", "ConstantLR"})
#: loss by function or module -> the name of the function
LOSSES = {
    spelling: function
    for function, module in (
        ("cross_entropy", "CrossEntropyLoss"),
        ("nll_loss", "NLLLoss"),
        ("binary_cross_entropy", "BCELoss"),
        ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss"),
        ("mse_loss", "MSELoss"),
        ("l1_loss", "L1Loss"),
        ("smooth_l1_loss", "SmoothL1Loss"),
        ("huber_loss", "HuberLoss"),
    )
    for spelling in (function, module)
}


@dataclass(frozen=True)
class ScriptFacts:
    """None where the script has no such thing, or more than can be told apart."""

    optimizer: str | None
    #: the learning-rate schedule; a warm-up alone counts as one where there is no other
    schedule: str | None
    #: by its functional name: "cross_entropy", "mse_loss" ...
    loss: str | None
    module_class: str | None
    datamodule_class: str | None
    functions: frozenset[str]
    #: classes of nn.Module in the script, the LightningModule among them
    modules: frozenset[str] = frozenset()
    #: methods and functions that the training step runs through, as `Net.training_step`
    training_path: frozenset[str] = frozenset()
    imports: frozenset[str] = frozenset()


@lru_cache(maxsize=32)
def describe(source: str) -> ScriptFacts:
    """Raises `InputError` with the line of a syntax error."""
    tree = parse_script(source)
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    # the class that is trained, rather than one that another derives from
    bases = {getattr(base, "id", None) for node in classes.values() for base in node.bases}
    module = _only(name for name in classes if _inherits(classes, name, "LightningModule") and name not in bases)
    path = _training_path(tree, classes[module]) if module else frozenset()
    calls = [called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    schedules = [name for name in calls if name in SCHEDULERS]
    return ScriptFacts(
        optimizer=_only(name for name in calls if name in OPTIMIZERS),
        schedule=_only(name for name in schedules if name not in WARMUPS) or _only(schedules),
        loss=_loss(tree, module, path),
        module_class=module,
        datamodule_class=_only(name for name in classes if _inherits(classes, name, "LightningDataModule")),
        functions=frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef)),
        modules=frozenset(
            name for name in classes if any(_inherits(classes, name, base) for base in ("LightningModule", "Module"))
        ),
        training_path=path,
        imports=frozenset(_imports(tree)),
    )


def _only(names: Iterator[str] | list[str]) -> str | None:
    different = dict.fromkeys(names)
    return next(iter(different)) if len(different) == 1 else None


def _inherits(classes: dict[str, ast.ClassDef], name: str, base: str, seen: frozenset[str] = frozenset()) -> bool:
    if name not in classes or name in seen:
        return False
    above = [last_name(expression) for expression in classes[name].bases]
    return base in above or any(_inherits(classes, other, base, seen | {name}) for other in above)


def _training_path(tree: ast.Module, module: ast.ClassDef) -> frozenset[str]:
    """What `training_step` runs through: methods called on self, and functions of the script."""
    known: dict[str, tuple[str, ast.FunctionDef]] = {}
    for prefix, body in (("", tree.body), (f"{module.name}.", module.body)):
        known |= {item.name: (prefix + item.name, item) for item in body if isinstance(item, ast.FunctionDef)}
    reached: set[str] = set()
    waiting = ["training_step"]
    while waiting:
        path, function = known.get(waiting.pop(), ("", None))
        if function and path not in reached:
            reached.add(path)
            names = (dotted(call.func) for call in ast.walk(function) if isinstance(call, ast.Call))
            waiting += ["forward" if name == "self" else name.removeprefix("self.") for name in names]
    return frozenset(reached)


def _loss(tree: ast.Module, module: str | None, path: frozenset[str]) -> str | None:
    """The loss of the training path, else the only one that the whole script knows."""
    near: list[str] = []
    everywhere: list[str] = []

    def walk(node: ast.AST, inside: str) -> None:
        for child in ast.iter_child_nodes(node):
            scope = inside
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                scope = f"{inside}.{child.name}".lstrip(".")
            if isinstance(child, ast.Call) and (name := LOSSES.get(called(child))):
                everywhere.append(name)
                if inside in path or inside == f"{module}.__init__":
                    near.append(name)
            walk(child, scope)

    walk(tree, "")
    return _only(near) or _only(everywhere)


def is_main_guard(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, either way round."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    sides = [statement.test.left, *statement.test.comparators]
    names = {side.id for side in sides if isinstance(side, ast.Name)}
    texts = {side.value for side in sides if isinstance(side, ast.Constant)}
    return names == {"__name__"} and texts == {"__main__"}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield "." * node.level + node.module
