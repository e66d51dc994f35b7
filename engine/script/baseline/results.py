"""Where results go: literal paths follow VERSION. What is written elsewhere is collected after the training."""

from __future__ import annotations

import ast
import re

from progtrain.engine import metrics
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.nodes import argument, called, calls, is_docstring, keyword, text_of

ARTIFACTS = "Models/Artifacts"
_FOLDER = re.compile(rf"(?<={ARTIFACTS}/)[A-Za-z0-9][\w.-]*")
_PLAIN_LITERAL = re.compile(r"[rR]?(['\"])(?!\1\1).*\1", re.DOTALL)


def follow_version(desk: Desk) -> None:
    """`"Models/Artifacts/run1/x"` becomes `f"Models/Artifacts/{VERSION}/x"`, so that versions have a folder each."""
    main, edits = desk.main, []
    documents = {id(node.value) for node in ast.walk(main.tree) if isinstance(node, ast.Expr) and is_docstring(node)}
    inside = {id(part) for node in ast.walk(main.tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(main.tree):
        plain = text_of(node) is not None and id(node) not in documents | inside
        if not isinstance(node, ast.Constant | ast.JoinedStr) or not (plain or isinstance(node, ast.JoinedStr)):
            continue
        code = main.source.segment(node)
        if not _FOLDER.search(code) or (plain and (not _PLAIN_LITERAL.fullmatch(code) or "{" in code)):
            continue
        new = ("f" if plain else "") + _FOLDER.sub("{VERSION}", code)
        problem = f"results are written to {code}, by every version"
        desk.fixed("artifact_path", main, node.lineno, problem, f"{code} -> {new}")
        edits.append(main.source.replace(node, new))
    desk.apply(main, edits)


def monitored_rightly(desk: Desk) -> None:
    """A checkpoint that monitors an accuracy keeps the worst one where nobody says that more is better."""
    main, edits = desk.main, []
    for call in calls(main.tree, "ModelCheckpoint", "EarlyStopping"):
        position = {"ModelCheckpoint": 2, "EarlyStopping": 0}[called(call)]
        monitor, mode = text_of(argument(call, "monitor", position)), keyword(call, "mode")
        stated = "min" if mode is None else text_of(mode)
        right = metrics.turned_mode(monitor, stated) if monitor else None
        if right is None:
            continue
        said = 'mode="min" (the default)' if mode is None else f'mode="{stated}"'
        problem = f'{called(call)} monitors "{monitor}" with {said}: it takes the worst for the best'
        desk.fixed("monitor", main, call.lineno, problem, f'mode="{right}"')
        edits.append(main.source.set_keyword(call, "mode", f'"{right}"'))
    desk.apply(main, edits)
