"""What the new body of a function may not do, whoever wrote it.

It keeps comparisons honest (seeds, data, scores and artifacts stay as they are) and code from reaching beyond the
training (files, processes, the network). It is no sandbox: a script has all the rights of whoever runs it, which is
why code edits are off unless the rules allow them.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.code_edit import (
    EditOperation,
    Function,
    body_tree,
    find,
    functions,
    own_nodes,
    pieces,
    set_body,
    with_body,
)
from progtrain.engine.script.names import FIXED
from progtrain.engine.script.nodes import called
from progtrain.engine.script.settings import parse_script
from progtrain.engine.script.structure import describe

#: What is measured with, by its names: whoever changes these changes the score, not the model.
_MEASURES = re.compile(
    r"(?:on_)?(?:validation|test)_.*|predict_step|predict_dataloader|val_dataloader|load_split|load_model|postprocess"
    r"|per_sample_loss|evaluate.*"
)
#: What these run through counts as well; what others run through is the model itself.
_READS = ("load_split", "load_model", "postprocess", "per_sample_loss", "val_dataloader", "test_dataloader")
#: Names that reach beyond the training, as a name or as a part of a dotted one.
_BEYOND = frozenset(
    re.findall(
        r"\w+",
        "os sys subprocess socket shutil ctypes importlib builtins pickle urllib requests http pathlib tempfile signal"
        " multiprocessing threading eval exec compile open input breakpoint globals locals vars getattr setattr delattr"
        " system popen fork kill hub mro gc inspect Path __import__"
        " distributed rpc exit quit abort SystemExit KeyboardInterrupt",
    )
)
#: Calls that write or read files, or run what they read: none may come, go or change.
_FILES = re.compile(
    r"(?:save|load|dump|dumps|store)(?:_\w+)?|write\w*|unlink|rename|rmdir|rmtree|mkdir|makedirs|touch|symlink\w*"
    r"|tofile|fromfile|memmap|to_(?:csv|json|pickle|parquet|feather|hdf|excel|sql)|read_\w+|savefig|savetxt|savez\w*"
    r"|loadtxt|genfromtxt|urlopen|urlretrieve|download\w*|copyfile|copytree|ModelCheckpoint|CSVLogger|export"
    r"|ImageFolder|add_hparams|log_hyperparams|save_hyperparameters"
)
_NO_FILES = frozenset({"load_state_dict"})
#: What draws random numbers is seeded by.
_SEEDS = frozenset(
    re.findall(
        r"\w+",
        "seed seed_all seed_everything manual_seed manual_seed_all set_rng_state set_state setstate RandomState"
        " default_rng Generator fork_rng initial_seed worker_init_fn random_state",
    )
)
_CONSTANTS = frozenset(key.upper() for key in FIXED)
_DUNDER = re.compile(r"__\w+__")

#: What a module holds and does not own: the loop around it, and how it was made.
_TRAINERS = re.compile(r"self\.(?:trainer|hparams|loggers?|_\w+)\b.")

Reason = str | None


def check(source: str, operation: EditOperation) -> None:
    """Raises `InputError` that says what the new body does that it may not."""
    old = find(source, operation.function)
    new = with_body(old, body_tree(operation, old))
    if operation.function not in editable(source):
        raise _refusal(operation, "what measures a version, or reads its data, is not edited")
    reason = (
        _does_nothing(new)
        or _imports(new, source)
        or _scope(old, new)
        or _beyond(old, new)
        or _fixed(old, new, "the seed", lambda node: _name(node) in _SEEDS)
        or _fixed(old, new, "version, data or artifacts", _about_paths(source))
        or _fixed(old, new, "a file or a checkpoint", _uses_files)
        or _unlogged(old, new)
        or _unknown(source, operation)
    )
    if reason:
        raise _refusal(operation, reason)


def _refusal(operation: EditOperation, reason: str) -> InputError:
    return InputError(
        f"the new body of {operation.function} is refused: {reason}",
        fix="choose another candidate, or make the change in the script by hand",
    )


def editable(source: str) -> tuple[str, ...]:
    """The functions and methods that an edit may be about, in the order of the script."""
    tree = parse_script(source)
    everything = list(functions(tree))
    measures = {path for path, node in everything if _MEASURES.fullmatch(node.name)}
    measures |= _run_through(everything, describe(source).modules)
    counts = Counter(path for path, _ in everything)
    return tuple(path for path, _ in everything if path not in measures and counts[path] == 1)


def _run_through(everything: Sequence[tuple[str, Function]], modules: frozenset[str]) -> set[str]:
    """What reading the data and scoring a sample run through; methods of a model aside."""
    found: set[str] = set()
    waiting = [node for _, node in everything if node.name in _READS]
    while waiting:
        names = {called(n) for n in ast.walk(waiting.pop()) if isinstance(n, ast.Call)}
        for path, node in everything:
            inside_model = path.rpartition(".")[0] in modules
            if node.name in names and path not in found and not inside_model:
                found.add(path)
                waiting.append(node)
    return found


# the rules, each None or why not


def _does_nothing(new: Function) -> Reason:
    said = [node for node in new.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    return None if any(not isinstance(node, ast.Pass) for node in said) else "it does nothing"


def _imports(new: Function, source: str) -> Reason:
    known = describe(source).imports
    for node in ast.walk(new):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if beyond := _BEYOND.intersection(names):
            return f"it imports {min(beyond)}"
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        if fresh := [name for name in names if name not in known]:
            return f"it imports {fresh[0]}, which the script does not"
    return None


def _scope(old: Function, new: Function) -> Reason:
    def kinds(function: Function) -> set[type[ast.AST]]:
        special = (ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.Await)
        return {type(node) for node in ast.walk(function) if isinstance(node, special)}

    if odd := kinds(old) ^ kinds(new):
        word = next(iter(odd)).__name__.lower()
        return f"it {'no longer uses' if odd & kinds(old) else 'uses'} `{word}`"
    known = {ast.dump(node) for node in _foreign_targets(old)}
    stranger = next((node for node in _foreign_targets(new) if ast.dump(node) not in known), None)
    return None if stranger is None else f"it changes {ast.unparse(stranger)}, which is not its own"


def _foreign_targets(function: Function) -> Iterator[ast.AST]:
    """Attributes of modules, classes and other things from outside that are assigned to or deleted."""
    own = {arg.arg for arg in ast.walk(function) if isinstance(arg, ast.arg)}
    own |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            root: ast.AST = node
            while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
                root = root.func if isinstance(root, ast.Call) else root.value
            outside = isinstance(root, ast.Name) and root.id not in own
            if outside or _TRAINERS.match(ast.unparse(node)):
                yield node


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.arg or "" if isinstance(node, ast.keyword) else ""


def _beyond(old: Function, new: Function) -> Reason:
    def names(function: Function) -> Counter[str]:
        return Counter(
            name
            for node in ast.walk(function)
            if (name := _name(node)) and (name in _BEYOND or _DUNDER.fullmatch(name) or _is_inner(node))
        )

    fresh = names(new) - names(old)
    return f"it uses {next(iter(fresh))}, which was not there" if fresh else None


def _is_inner(node: ast.AST) -> bool:
    """`random._os`: what a module or an object keeps for itself; one's own aside."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    )


def _uses_files(node: ast.AST) -> bool:
    name = called(node) if isinstance(node, ast.Call) else ""
    return bool(_FILES.fullmatch(name)) and name not in _NO_FILES


def _about_paths(source: str) -> Callable[[ast.AST], bool]:
    """Whether a node names a constant that identifies the run, or one that is made from it."""
    fixed = set(_CONSTANTS)
    for node in parse_script(source).body:
        value = getattr(node, "value", None)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(value, ast.AST) and any(isinstance(n, ast.Name) and n.id in fixed for n in ast.walk(value)):
            fixed |= {target.id for target in targets if isinstance(target, ast.Name)}
    return lambda node: isinstance(node, ast.Name) and node.id in fixed


def _fixed(old: Function, new: Function, what: str, about: Callable[[ast.AST], bool]) -> Reason:
    """The statements that are about it must be the same, as often."""

    def those(function: Function) -> Counter[str]:
        found: Counter[str] = Counter()
        for key, nodes in pieces(function).items():
            found[key] = sum(any(map(about, own_nodes(node))) for node in nodes)
        return +found

    before, after = those(old), those(new)
    if before == after:
        return None
    return f"it changes a statement about {what}" if before else f"it adds a statement about {what}"


def _unlogged(old: Function, new: Function) -> Reason:
    """The curves are drawn from what is logged."""

    def logged(function: Function) -> set[str]:
        calls = [n for n in ast.walk(function) if isinstance(n, ast.Call) and called(n) == "log" and n.args]
        return {ast.unparse(call.args[0]) for call in calls if isinstance(call.args[0], ast.Constant)}

    gone = sorted(logged(old) - logged(new))
    return f"it no longer logs {gone[0]}" if gone else None


def _unknown(source: str, operation: EditOperation) -> Reason:
    """A name that nothing defines: models make them up."""
    text = set_body(source, operation)
    module = symtable.symtable(text, "script", "exec")
    known = {symbol.get_name() for symbol in module.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    known |= {symbol.get_name() for symbol in module.get_symbols() if symbol.is_namespace()}
    if any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in ast.walk(parse_script(source))):
        return None
    table: symtable.SymbolTable = module
    for name in operation.function.split("."):
        table = next(child for child in table.get_children() if child.get_name() == name)
    made_up = sorted(_globals(table) - known - set(dir(builtins)) - {"__file__", "__class__"})
    return f"it uses {made_up[0]}, which nothing defines" if made_up else None


def _globals(table: symtable.SymbolTable) -> set[str]:
    own = {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return own.union(*(_globals(child) for child in table.get_children()))
