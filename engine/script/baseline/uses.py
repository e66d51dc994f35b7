"""Where a script uses paths, and what for: to read data, or to write what comes of the training."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from progtrain.engine.script.baseline.paths import Module
from progtrain.engine.script.baseline.template import Template
from progtrain.engine.script.nodes import argument, called, dotted

Role = Literal["data", "artifact"]


@dataclass(frozen=True)
class Use:
    """A path expression that is no part of a larger one."""

    module: Module
    node: ast.expr
    template: Template
    role: Role | None
    #: the call or method that it goes into, the name it is given ...: for messages
    sink: str
    #: it is written to, not only named
    written: bool = False
    read: bool = False

    @property
    def text(self) -> str:
        return normal(self.template.text)


def normal(text: str) -> str:
    """Without `./` and double slashes; offsets no longer count."""
    return re.sub(r"/+", "/", re.sub(r"^(?:\./)+", "", text)).rstrip("/")


_READERS = {
    *("load", "loadtxt", "genfromtxt", "fromfile", "memmap", "imread", "load_from_disk", "listdir", "scandir", "glob"),
    *("iglob", "walk", "read_csv", "read_parquet", "read_json", "read_pickle", "read_excel", "read_table"),
    *("read_feather", "ImageFolder", "DatasetFolder", "open_memmap", "read_image", "loadmat", "load_from_checkpoint"),
}
_READING_METHODS = {"read_text", "read_bytes", "glob", "rglob", "iterdir"}
#: callee -> position of the path
_WRITERS = {
    **dict.fromkeys(("save_checkpoint", "savefig", "to_csv", "to_parquet", "to_json", "to_pickle", "savez"), 0),
    **dict.fromkeys(("savez_compressed", "savetxt", "makedirs", "mkdir", "imsave", "imwrite", "FileHandler"), 0),
    **dict.fromkeys(("ModelCheckpoint", "CSVLogger", "TensorBoardLogger", "SummaryWriter"), 0),
    **dict.fromkeys(("copy", "copy2", "copyfile", "move", "rename", "replace", "symlink", "link", "save_file"), 1),
}
_WRITING_METHODS = {"write_text", "write_bytes", "mkdir", "touch"}
_WRITING_KEYWORDS = {"dirpath", "save_dir", "default_root_dir", "log_dir", "output_dir"}

_DATA_NAME = re.compile(
    r"(?:^|_)(?:data|dataset|prepdata|train|training|valid|validation|val|input|inputs|image|images|csv)s?"
    r"_?(?P<suffix>dir|directory|path|root|folder|file|base|csv|npz)?$"
)
_ARTIFACT_NAME = re.compile(
    r"(?:^|_)(?:out|output|save|ckpt|checkpoint|log|logging|run|result|artifact|exp|experiment|work|model|weight)s?"
    r"_?(?P<suffix>dir|directory|path|root|folder|file|base|dirpath)?$"
)
_CHECKPOINT_FILE = re.compile(r"\.(?:ckpt|pth?|bin|safetensors)$")


def find_uses(modules: list[Module]) -> list[Use]:
    found = [use for module in modules for use in _in_module(module)]
    written = {use.text for use in found if use.written}
    return [_as_artifact(use, written) for use in found]


def _as_artifact(use: Use, written: set[str]) -> Use:
    """A checkpoint is no data: it is read where the script wrote it, or comes from elsewhere."""
    if use.read and not use.written and use.role == "data" and _CHECKPOINT_FILE.search(use.text):
        role: Role | None = "artifact" if use.text in written else None
        return Use(use.module, use.node, use.template, role, use.sink, False, True)
    return use


def _in_module(module: Module) -> Iterator[Use]:
    for node in module.nodes:
        if not isinstance(
            node, ast.Constant | ast.JoinedStr | ast.BinOp | ast.Call | ast.Name | ast.Attribute | ast.Subscript
        ):
            continue
        if isinstance(getattr(node, "ctx", None), ast.Store) or _is_part(module, node):
            continue
        template = module.template(node)
        if template is None or not template.known or "\n" in template.text:
            continue
        yield _use(module, node, template)


def _is_part(module: Module, node: ast.expr) -> bool:
    """Whether it belongs to a larger path, or to no expression at all."""
    parent = module.parents.get(node)
    if isinstance(parent, ast.Expr | ast.JoinedStr | ast.FormattedValue):
        return True
    if isinstance(parent, ast.Dict) and node in parent.keys:
        return True
    if isinstance(parent, ast.Subscript):
        return True
    if isinstance(parent, ast.Attribute):
        call = module.parents.get(parent)
        whole = call if isinstance(call, ast.Call) and call.func is parent else parent
        return module.template(whole) is not None
    return isinstance(parent, ast.BinOp | ast.Call) and module.template(parent) is not None


def _use(module: Module, node: ast.expr, template: Template) -> Use:
    role, sink, written, read = _sink(module, node, template)
    text = normal(template.text)
    if text.startswith("dataset/prepdata"):
        role = "data"
    elif text.startswith("Models/Artifacts"):
        role = "artifact"
    return Use(module, node, template, role, sink, written, read)


def _sink(module: Module, node: ast.expr, template: Template) -> tuple[Role | None, str, bool, bool]:
    """(role, where it goes, written, read)."""
    parent = module.parents.get(node)
    if isinstance(parent, ast.keyword):
        call = module.parents.get(parent)
        assert isinstance(call, ast.Call) or parent.arg is None
        if isinstance(call, ast.Call) and parent.arg:
            return _into_call(module, call, parent.arg, template)
    if isinstance(parent, ast.Call) and node in parent.args:
        return _into_call(module, parent, parent.args.index(node), template)
    if isinstance(parent, ast.Attribute):
        call = module.parents.get(parent)
        if isinstance(call, ast.Call) and call.func is parent:
            return _method(parent.attr, call)
    name = _given_name(module, node, parent)
    return _by_name(name, template), name, False, False


_NOTHING: tuple[Role | None, str, bool, bool] = (None, "", False, False)


def _into_call(
    module: Module, call: ast.Call, place: int | str, template: Template
) -> tuple[Role | None, str, bool, bool]:
    name, full = called(call), dotted(call.func)
    if name == full != "open" and (name not in module.foreign or module.imported_name(name)):
        # a function of the user's own, whatever its name suggests
        role = _by_name(place, template) if isinstance(place, str) else None
        return role, f"{name}({place}=...)", False, False
    if place in _WRITING_KEYWORDS:
        return "artifact", f"{name}({place}=...)", True, False
    root = full.partition(".")[0]
    if name == "open":
        # of a path object, the first argument is the mode
        opens_path = full == "open" or (name != full and root in module.foreign)
        return _opened(argument(call, "mode", 1), full) if opens_path and place in {0, "file"} else _NOTHING
    if root in {"self", "cls"}:
        return (_by_name(place, template) if isinstance(place, str) else None), full, False, False
    if name == "save" and full != "save":
        # numpy takes the path first, torch second
        position = 0 if full.startswith(("np.", "numpy.")) else 1
        return ("artifact", full, True, False) if place in {position, "f", "file"} else (None, full, False, False)
    if name == "dump":
        return (
            ("artifact", full, True, False) if place == 1 and full.startswith("joblib") else (None, full, False, False)
        )
    if name in _WRITERS and place in {_WRITERS[name], "path", "fname", "dst", "filepath", "name"} - {"name"}:
        return "artifact", full or name, True, False
    if name in _READERS and place in {0, "root", "file", "fname", "filepath", "path", "f"}:
        return "data", full or name, False, True
    if name == "add_argument" and place == "default":
        option = next((str(a.value) for a in call.args if isinstance(a, ast.Constant)), "")
        return _by_name(option.lstrip("-"), template), option, False, False
    if isinstance(place, str):
        return _by_name(place, template), f"{name}({place}=...)", False, False
    return None, name, False, False


def _method(name: str, call: ast.Call) -> tuple[Role | None, str, bool, bool]:
    if name == "open":
        return _opened(argument(call, "mode", 0), "open")
    if name in _READING_METHODS:
        return "data", name, False, True
    if name in _WRITING_METHODS:
        return "artifact", name, True, False
    return None, name, False, False


def _opened(mode: ast.expr | None, sink: str) -> tuple[Role | None, str, bool, bool]:
    text = mode.value if isinstance(mode, ast.Constant) and isinstance(mode.value, str) else "r"
    return ("artifact", sink, True, False) if set(text) & set("wax") else ("data", sink, False, True)


def _given_name(module: Module, node: ast.expr, parent: ast.AST | None) -> str:
    """The variable, field, parameter or key that it is the value of."""
    if isinstance(parent, ast.Assign | ast.AnnAssign):
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        return dotted(targets[0]).rpartition(".")[2]
    if isinstance(parent, ast.arguments):
        positional = [*parent.posonlyargs, *parent.args]
        pairs = list(zip(positional[len(positional) - len(parent.defaults) :], parent.defaults, strict=True))
        pairs += [(a, d) for a, d in zip(parent.kwonlyargs, parent.kw_defaults, strict=True) if d is not None]
        return next((arg.arg for arg, default in pairs if default is node), "")
    if isinstance(parent, ast.Dict) and node in parent.values:
        key = parent.keys[parent.values.index(node)]
        return str(key.value) if isinstance(key, ast.Constant) else ""
    return ""


def _by_name(name: str, template: Template) -> Role | None:
    """A name says what a path is for only where the value looks like one."""
    plain = name.lower().replace("-", "_")
    for role, pattern in (("data", _DATA_NAME), ("artifact", _ARTIFACT_NAME)):
        match = pattern.search(plain)
        if match and (match["suffix"] or "/" in template.text):
            return "data" if role == "data" else "artifact"
    return None
