"""What has a script train with additions: rows in folders of their own, which its training reads besides its split."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.nodes import called, calls, dotted, text_of, walk
from progtrain.engine.script.settings import parse_script

CONSTANT, READER = "ADDITIONS", "load_additions"
#: the function that reads a split, in scripts and for the evaluation alike
_LOADER = "load_split"
_JOINS = frozenset({"Path", "PurePath", "joinpath", "join"})

_CODE = '''

def load_additions(split):
    """Rows that the training reads besides its split, in the same format: dataset/additions/ has them."""
    rows = []
    for name in ADDITIONS if split == "train" else ():
        rows.extend(load_split(f"../../additions/{{{dataset}}}/{{name}}/train"))
    return rows
'''


def used(source: str) -> tuple[str, ...] | None:
    """Names of the additions that a script trains with; None where it cannot train with any."""
    node = _value(source)
    if node is None:
        return None
    return tuple(name for item in node.elts if (name := text_of(item)) is not None)


def _value(source: str) -> ast.Tuple | ast.List | None:
    """What `ADDITIONS = (...)` holds."""
    for statement in parse_script(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple() | ast.List() as value) if name == CONSTANT:
                return value
    return None


def set_to(source: str, names: Sequence[str]) -> str:
    """The script with other additions. It must be able to train with some."""
    script, node = Script(source), _value(source)
    assert node is not None
    written = ", ".join(f'"{name}"' for name in names)
    script.replace(node, f"({written},)" if len(names) == 1 else f"({written})")
    return script.code()


def with_reader(source: str) -> str:
    """The script whose training reads its split and those of `ADDITIONS`, which has none yet.

    Raises `Refused` where it cannot be told what reads the training split.
    """
    script = Script(source)
    for name in (CONSTANT, READER):
        if name in script.names:
            raise Refused(f"the script has something called {name} already")
    loader, reads = _loader(script), _training_reads(script)
    for call in reads:
        split = script.text(call.args[0])
        script.replace(call, f"[*{script.text(call)}, *{READER}({split})]")
    script.constant(CONSTANT, (), like='("",)')
    script.insert_after(loader, _CODE.format(dataset=_dataset(script)))
    return script.code()


def why_not(source: str) -> str:
    """Why the training of a script cannot be given more rows; empty where it can."""
    try:
        if used(source) is None:
            with_reader(source)
    except Refused as refusal:
        return str(refusal)
    return ""


def places(source: str) -> frozenset[str]:
    """Where a script changes when it gets its reader: paths as the difference of scripts has them."""
    script = Script(source)
    found = {CONSTANT, READER}
    for call in _training_reads(script):
        owner, function = script.enclosing(call, ast.ClassDef), script.enclosing(call, ast.FunctionDef)
        found.add(".".join(part.name for part in (owner, function) if part is not None))
    return frozenset(found)


def _dataset(script: Script) -> str:
    """The constant with the name of the prepared data."""
    found = next((setting for setting in script.settings if setting.key == "dataset_id" and not setting.file), None)
    if found is None or not found.name.isidentifier():
        raise Refused("the script has no constant DATASET_ID, which says where additions lie")
    return found.name


def _loader(script: Script) -> ast.FunctionDef:
    """`load_split`, if all that it does with the name of the split is to go to its folder."""
    found = [node for node in script.module.body if isinstance(node, ast.FunctionDef) and node.name == _LOADER]
    if len(found) != 1 or not found[0].args.args:
        raise Refused("it has no function load_split(split) that reads a split")
    loader = found[0]
    split = loader.args.args[0].arg
    uses = [node for node in walk(loader) if isinstance(node, ast.Name) and node.id == split]
    if not uses or not all(_goes_to_folder(script, use) for use in uses):
        raise Refused("load_split does more with the split's name than to read from the folder of that name")
    return loader


def _goes_to_folder(script: Script, use: ast.Name) -> bool:
    """Whether the name stands in a path as a folder: `DATA / split / ...`, `f"{DATA}/{split}/..."`."""
    parent = script.parent(use)
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.Div)
    if isinstance(parent, ast.Call):
        return called(parent) in _JOINS and use in parent.args
    text = script.parent(parent) if parent is not None else None
    if not isinstance(text, ast.JoinedStr) or not isinstance(parent, ast.FormattedValue):
        return False
    behind = text.values[text.values.index(parent) + 1 :]
    return not behind or (text_of(behind[0]) or "").startswith("/")


def _training_reads(script: Script) -> list[ast.Call]:
    """Where batches of the training split are read."""
    found = [call for call in script.calls(_LOADER) if _reads_training(script, call)]
    batches = [call for call in found if _makes_batches(script, call)]
    if not found and (line := _read_outside(script)):
        reason = f"its training rows are read outside of any function (line {line}), before anything asks for batches: "
        raise Refused(reason + "call load_split where they are made")
    if not batches and len(found) != 1:  # one alone cannot but be what the training reads
        raise Refused("no function reads the training split with load_split and makes batches of it")
    return batches or found


def _read_outside(script: Script) -> int | None:
    """The line where the module itself, or a class, reads the training split."""
    outside = (call for call in script.calls(_LOADER) if script.enclosing(call, ast.FunctionDef) is None)
    return next((call.lineno for call in outside if call.args and text_of(call.args[0]) in ("train", None)), None)


def _reads_training(script: Script, call: ast.Call) -> bool:
    function = script.enclosing(call, ast.FunctionDef)
    if function is None or len(call.args) != 1 or call.keywords or function.name == _LOADER:
        return False
    split = call.args[0]
    parameters = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)}
    return text_of(split) == "train" or (isinstance(split, ast.Name) and split.id in parameters)


def _makes_batches(script: Script, call: ast.Call) -> bool:
    function = script.enclosing(call, ast.FunctionDef)
    owner = script.enclosing(call, ast.ClassDef)
    if owner is not None and any(dotted(base).endswith(("Dataset", "DataModule")) for base in owner.bases):
        return True
    return any(called(one).endswith(("DataLoader", "Dataset")) for one in calls(function or call))
