"""The constants DATASET_ID and VERSION, which a version's paths follow."""

from __future__ import annotations

import ast
from itertools import takewhile

from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.baseline.modules import Module
from progtrain.engine.script.editor import Edit
from progtrain.engine.script.nodes import dotted, text_of

#: what VERSION is in the baseline itself; a version's copy gets its own id
BASELINE = "baseline"


def dataset_and_version(desk: Desk) -> None:
    """Adds or corrects both in the script; DATASET_ID may come from a module of the user's own."""
    _dataset_id(desk)
    _version(desk)


def _dataset_id(desk: Desk) -> None:
    owner, name = desk.main, "DATASET_ID"
    imported = None if name in owner.names else owner.imported_name(name)
    if imported is not None:
        owner, name = imported
    if name not in owner.names:
        add(desk, desk.main, {"DATASET_ID": desk.dataset_id})
        return
    value = owner.names[name][-1]
    text = text_of(value)
    if text is None or len(owner.names[name]) > 1:
        fix = f'write DATASET_ID = "{desk.dataset_id}"'
        desk.problem("dataset_id", owner, value.lineno, "DATASET_ID is not one plain text", fix)
    elif text != desk.dataset_id:
        problem = f'DATASET_ID is "{text}", the loop runs on "{desk.dataset_id}"'
        desk.fixed("dataset_id", owner, value.lineno, problem, f'DATASET_ID = "{desk.dataset_id}"')
        desk.apply(owner, [owner.source.replace(value, f'"{desk.dataset_id}"')])


def _version(desk: Desk) -> None:
    main = desk.main
    if "VERSION" not in main.names:
        if main.imported_name("VERSION") is not None:
            problem = "VERSION comes from another file, which all versions share"
            desk.problem("version", main, 1, problem, f'give the script its own: VERSION = "{BASELINE}"')
            return
        add(desk, main, {"VERSION": BASELINE})
        return
    value = main.names["VERSION"][-1]
    at_top = any(value in ast.walk(node) for node in main.tree.body if isinstance(node, ast.Assign | ast.AnnAssign))
    if len(main.names["VERSION"]) > 1 or not at_top:
        problem = "VERSION is set in several places, or inside a block"
        desk.problem("version", main, value.lineno, problem, f'keep one line at the top: VERSION = "{BASELINE}"')
    elif text_of(value) is None:
        problem = "VERSION is not a plain text, so a copy could not be given its own"
        desk.fixed("version", main, value.lineno, problem, f'VERSION = "{BASELINE}"')
        desk.apply(main, [main.source.replace(value, f'"{BASELINE}"')])


def add(desk: Desk, module: Module, values: dict[str, str]) -> None:
    """New constants, beside the one that is there already, else behind the imports."""
    for name, value in values.items():
        problem = f"the constant {name} is missing"
        desk.fixed(name.lower(), module, None, problem, f'constant {name} = "{value}" added')
    code = "\n".join(f'{name} = "{value}"' for name, value in values.items())
    desk.apply(module, [_insertion(module, code, set(values))])


def _insertion(module: Module, code: str, new: set[str]) -> Edit:
    body, partners = module.tree.body, {"DATASET_ID", "VERSION"} - new
    for node in body:
        if isinstance(node, ast.Assign) and partners & {dotted(target) for target in node.targets}:
            return module.source.insert_after(node, code)
    # docstring, imports, and what scripts do between imports
    head = list(takewhile(lambda node: isinstance(node, ast.Import | ast.ImportFrom | ast.Try | ast.Expr), body))
    if not body:
        return 0, 0, f"{code}\n"
    if not head:
        return module.source.insert_before(body[0], f"{code}\n")
    if len(head) < len(body) and isinstance(body[len(head)], ast.Assign | ast.AnnAssign):
        return module.source.insert_before(body[len(head)], code)
    return module.source.insert_after(head[-1], f"\n{code}")
