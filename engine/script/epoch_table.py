"""A loop of the script's own that keeps no numbers: two lines that write what each epoch came to, as a table.

Without them, and without functions that the evaluation could call, there is nothing to compare versions by.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from progtrain.engine import metrics
from progtrain.engine.script.editor import Source
from progtrain.engine.script.nodes import called, calls

_VALIDATION = re.compile(r"(val|valid|validation|eval|dev)_\w+")
FILE = "metrics.csv"


def is_needed(source: str) -> bool:
    """Whether a script with its own loop neither offers what can be evaluated nor writes a table of its epochs."""
    tree = ast.parse(source)
    offers = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    offers |= {alias.asname or alias.name for n in tree.body if isinstance(n, ast.ImportFrom) for alias in n.names}
    loader = any(name.removeprefix("make_").removeprefix("get_") == "val_dataloader" for name in offers)
    writes = calls(tree, "writer", "DictWriter", "to_csv", "writerow", "CSVLogger")
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    tables = bool(writes) or any(re.search(r"^[^,]*epoch\w*,", text) for text in texts)
    return not ("load_split" in offers or (loader and "load_model" in offers) or tables)


def with_table(source: str) -> str | None:
    """The script with those lines behind the last number of the validation that an epoch computes; None without one."""
    text = Source(source)
    for loop in ast.walk(text.tree):
        if not isinstance(loop, ast.For) or not isinstance(loop.target, ast.Name):
            continue
        names = list(validation_names(loop))
        if names and (first := _first(loop.iter)) is not None:
            last = next(node for node in reversed(loop.body) if set(names) & set(validation_names(node)))
            return text.apply([text.insert_after(last, _lines(loop.target.id, first, names))])
    return None


def validation_names(node: ast.AST) -> Iterator[str]:
    """Variables such as `val_loss`, once each, in the order of the script."""
    stored = (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    known = (n for n in stored if _VALIDATION.fullmatch(n) and metrics.higher_is_better(n) is not None)
    yield from dict.fromkeys(known)


def _first(counted: ast.expr) -> str | None:
    """Code of the first number of `range(...)`, also within tqdm and the like; None where it is not known."""
    if not isinstance(counted, ast.Call) or not counted.args:
        return None
    if called(counted) != "range":
        return _first(counted.args[0])
    return ast.unparse(counted.args[0]) if len(counted.args) > 1 else "0"


def _lines(epoch: str, first: str, names: list[str]) -> str:
    row = ",".join(f"{{float({name})}}" for name in names)
    header = ",".join(["epoch", *names])
    return (
        f'with open("{FILE}", "w" if {epoch} == {first} else "a") as table:\n'
        f'    table.write(("{header}\\n" if {epoch} == {first} else "") + f"{{{epoch}}},{row}\\n")'
    )
