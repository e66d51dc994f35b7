"""How a script spells the names of packages, and the imports that it needs for more of them."""

from __future__ import annotations

import ast

from progtrain.engine.script import brackets
from progtrain.engine.script.action.rewrite import Refused, Script


def qualify(script: Script, full: str) -> str:
    """How the script would write a dotted name such as `torch.nn.Dropout`; imports it where necessary."""
    parent, _, last = full.rpartition(".")
    for wanted, rest in ((full, ""), (parent, f".{last}")):
        for local, target in script.bindings.items():
            if target == wanted:
                return local + rest
    if _extend_import(script, parent, last):
        return last
    prefixes = [
        (len(target), local)
        for local, target in script.bindings.items()
        if full.startswith(target + ".") and (local.islower() or local in ("F", "L"))
    ]
    if prefixes:
        length, local = max(prefixes)
        return local + full[length:]
    if full.startswith("torch."):
        return package(script, "torch") + full[len("torch") :]
    return _import(script, f"from {parent} import {last}", last, full)


def package(script: Script, name: str) -> str:
    """How the script writes a top-level package; imports it where necessary."""
    found = next((local for local, target in script.bindings.items() if target == name), None)
    return found or _import(script, f"import {name}", name, name)


def _extend_import(script: Script, parent: str, last: str) -> bool:
    """`from a import b` -> `from a import b, c`, in order where the names stand in order."""
    froms = [n for n in script.module.body if isinstance(n, ast.ImportFrom) and not n.level and n.module == parent]
    for node in froms if last not in script.names else ():
        names = [alias.name for alias in node.names]
        if names == ["*"]:
            continue
        later = next((place for place, name in enumerate(names) if name > last), None)
        after = later - 1 if later is not None and names == sorted(names) else None
        script.edit(brackets.added(script.source, node, after, [last]))
        script.bindings[last] = f"{parent}.{last}"
        script.names.add(last)
        return True
    return False


def _import(script: Script, code: str, local: str, full: str) -> str:
    if local in script.names:
        raise Refused(f"{full} would have to be imported, but {local} means something else in the script")
    script.imports.append(script.source.add_import(code))
    script.bindings[local] = full
    script.names.add(local)
    return local


def lightning_root(script: Script) -> str:
    """`lightning.pytorch` or `pytorch_lightning`, whichever the script uses."""
    for target in script.bindings.values():
        if target.partition(".")[0] in ("pytorch_lightning", "lightning"):
            return "pytorch_lightning" if target.startswith("pytorch_lightning") else "lightning.pytorch"
    return "lightning.pytorch"
