"""Where code and Hydra's configs name a config file: what has to change so that a copy is read in its place."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

import yaml

from progtrain.engine.script.config_files import is_config
from progtrain.engine.script.editor import Source
from progtrain.engine.script.nodes import argument, calls, text_of
from progtrain.engine.yaml_text import composed

_LONGEST = 300


class Reference(NamedTuple):
    """`target`: path in the workspace. `start` and `end`: the characters of its name without the ending."""

    target: str
    start: int
    end: int
    #: the folder of Hydra's configs, where the file may name others
    hydra: str | None = None


#: gives the path in the workspace that a name means in a folder, or None
Resolve = Callable[[str, str], str | None]


def in_code(text: str, folder: str, resolve: Resolve, given: Collection[str]) -> Iterator[Reference]:
    """Config files that a script or module names in a text of its own: `open("config.yaml")`, `Path(...) / "a.toml"`;
    and the primary config of Hydra. `folder` is that of the file, `given` what the command line decides.
    """
    literals, config_path, names = _named_in(text)
    for value, start, end in literals:
        if (target := resolve(folder, value)) is not None:
            stem = PurePosixPath(value).stem
            # the ending may stand elsewhere, behind a constant
            found = (text.rfind(name, start, end) for name in (PurePosixPath(value).name, f"{stem}{text[end - 1]}"))
            at = next((at for at in found if at >= 0), -1)
            if at >= 0:
                yield Reference(target, at, at + len(stem))
    if config_path is None or {"config-name", "cn", "config-dir", "cd", "config-path", "cp"} & set(given):
        return
    hydra = posixpath.normpath(posixpath.join(folder, config_path))
    for value, start, end in names:
        if (target := _of_hydra(hydra, value, resolve)) is not None:
            stem = PurePosixPath(value).name.removesuffix(".yaml")
            at = text.rfind(stem, start, end)
            if at >= 0:
                yield Reference(target, at, at + len(stem), hydra)


def primary(words: Sequence[str], given: Collection[str]) -> tuple[int, str, str] | None:
    """The word that names Hydra's primary config in place of the script's: which it is, what stands before the name in
    it, and the name with its ending. None where the folder is given too.
    """
    if {"config-dir", "cd", "config-path", "cp"} & set(given):
        return None
    for at, word in enumerate(words):
        option, equals, name = word.partition("=")
        if option in ("--config-name", "-cn") and (equals or at + 1 < len(words)):
            named = (name if equals else words[at + 1]).removesuffix(".yaml")
            return at + (not equals), f"{option}=" if equals else "", f"{named}.yaml"
    return None


def hydra_folder(text: str, folder: str) -> str | None:
    """Where Hydra's configs lie that a script in `folder` names. Raises `InputError` for what is no Python."""
    path = _named_in(text)[1]
    return None if path is None else posixpath.normpath(posixpath.join(folder, path))


def first(texts: Mapping[str, str], names: Sequence[str], resolve: Resolve) -> tuple[str, str] | None:
    """The first of the primary configs of these names that is there, and the folder of Hydra's configs."""
    code = {name: text for name, text in texts.items() if not is_config(name)}
    folders = [folder for name, text in code.items() if (folder := hydra_folder(text, posixpath.dirname(name)))]
    found = ((resolve(folder, name), folder) for folder in folders for name in names)
    return next(((target, folder) for target, folder in found if target is not None), None)


_Literal = tuple[str, int, int]


@lru_cache(maxsize=256)
def _named_in(text: str) -> tuple[list[_Literal], str | None, list[_Literal]]:
    """Texts that look like config files, the folder of Hydra's configs, and the names of its primary ones."""
    source = Source(text)
    tree = source.tree
    literals = [
        (node.value, *source.span(node))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if len(node.value) < _LONGEST and "\n" not in node.value and is_config(node.value)
    ]
    literals += _of_constants(source)
    if "hydra" not in text:
        return literals, None, []
    folders = [argument(call, "config_path", 0) for call in calls(tree, "main", "initialize")]
    nodes = [argument(call, "config_name", 1) for call in calls(tree, "main")]
    nodes += [argument(call, "config_name", 0) for call in calls(tree, "compose")]
    names = [(name, *source.span(node)) for node in nodes if node is not None and (name := text_of(node)) is not None]
    return literals, next((folder for node in folders if (folder := text_of(node)) is not None), None), names


def _of_constants(source: Source) -> Iterator[_Literal]:
    """File names that a constant is filled into, `f"conf/{NAME}.yaml"`, with the place of the constant's text.

    Only where the constant is used nowhere else, which another text there would change too.
    """
    names = [node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)]
    texts = {
        node.targets[0].id: node.value
        for node in source.tree.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    }
    for node in (node for node in ast.walk(source.tree) if isinstance(node, ast.JoinedStr)):
        *before, filled, ending = node.values if len(node.values) in (2, 3) else (None, None)
        name = filled.value if isinstance(filled, ast.FormattedValue) and filled.conversion == -1 else None
        said = texts.get(name.id) if isinstance(name, ast.Name) and names.count(name.id) == 2 else None
        folder = text_of(before[0]) if before else ""
        stem, after = text_of(said), text_of(ending)
        if said is None or not stem or not after or folder is None or (folder and not folder.endswith("/")):
            continue
        if after.startswith(".") and is_config(f"x{after}") and "\n" not in stem and PurePosixPath(stem).suffix == "":
            yield f"{folder}{stem}{after}", *source.span(said)


def in_defaults(text: str, folder: str, hydra: str, resolve: Resolve, given: Collection[str]) -> Iterator[Reference]:
    """Configs that the `defaults` of one of Hydra's name, which lies in `folder`."""
    try:
        node = next(iter(composed(text)), None)
    except yaml.YAMLError:
        return
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    listed = next((value for key, value in pairs if getattr(key, "value", "") == "defaults"), None)
    for item in listed.value if isinstance(listed, yaml.SequenceNode) else ():
        group, chosen = item.value[0] if isinstance(item, yaml.MappingNode) and len(item.value) == 1 else (None, item)
        if not isinstance(chosen, yaml.ScalarNode) or chosen.value == "_self_":
            continue
        name = str(getattr(group, "value", "")).removeprefix("optional ").partition("@")[0]
        if name.startswith("override ") or name.strip("/") in given:
            continue
        start = hydra if name.startswith("/") else folder
        target = _of_hydra(posixpath.normpath(posixpath.join(start, name.strip("/"))), chosen.value, resolve)
        stem = PurePosixPath(chosen.value).name.removesuffix(".yaml")
        at = text.rfind(stem, chosen.start_mark.index, chosen.end_mark.index)
        if target is not None and at >= 0:
            yield Reference(target, at, at + len(stem), hydra)


def _of_hydra(folder: str, name: str, resolve: Resolve) -> str | None:
    return resolve(folder, name if name.endswith(".yaml") else f"{name}.yaml")
