"""Data is read below dataset/prepdata/{DATASET_ID}/, results lie in Models/Artifacts/{VERSION}/."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from progtrain.engine.script.baseline import constants
from progtrain.engine.script.baseline.desk import Desk
from progtrain.engine.script.baseline.paths import Module
from progtrain.engine.script.baseline.reroute import Name, Part, Rerouter, Unclear, render
from progtrain.engine.script.baseline.uses import Use, find_uses, normal
from progtrain.engine.script.nodes import calls, dotted

DATA_ROOT = "dataset/prepdata"
ARTIFACT_ROOT = "Models/Artifacts"
DATA: tuple[Part, ...] = (f"{DATA_ROOT}/", Name("DATASET_ID"))
ARTIFACTS: tuple[Part, ...] = (f"{ARTIFACT_ROOT}/", Name("VERSION"))
DATA_TEXT = f"{DATA_ROOT}/{{DATASET_ID}}"
ARTIFACT_TEXT = f"{ARTIFACT_ROOT}/{{VERSION}}"

_LOADERS = {
    *("load_digits", "load_wine", "load_iris", "load_breast_cancer", "load_diabetes", "fetch_openml", "load_dataset"),
    *("fetch_california_housing", "MNIST", "FashionMNIST", "KMNIST", "EMNIST", "CIFAR10", "CIFAR100", "SVHN", "STL10"),
}


@dataclass(frozen=True)
class _Change:
    use: Use
    start: int
    end: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class _Done:
    change: _Change
    module: Module
    node: ast.expr

    @property
    def use(self) -> Use:
        return self.change.use

    @property
    def line(self) -> int:
        return self.node.lineno


def follow(desk: Desk) -> None:
    _reroute(desk, "data")
    _reroute(desk, "artifact")
    _some_data(desk)


def _reroute(desk: Desk, role: str) -> None:
    rerouter, done = Rerouter(), list[_Done]()
    uses = [use for use in find_uses(desk.modules) if use.role == role]
    # what is really opened tells more than a name, and a whole path more than its beginning
    for use in sorted(uses, key=lambda use: (not (use.read or use.written), -len(use.text))):
        for change in _data_change(desk, use, done) if role == "data" else _artifact_changes(desk, use, done):
            try:
                place = rerouter.change(use.template, change.start, change.end, change.parts, (use.module, use.node))
                done.append(_Done(change, *place))
            except Unclear:
                _unclear(desk, use, role)
    for module in rerouter.touched():
        own = [item for item in done if item.module is module]
        if role == "artifact" and module is not desk.main:
            _rebind(desk, module, own)
        else:
            _apply(desk, rerouter, module, own, role)


def _unclear(desk: Desk, use: Use, role: str) -> None:
    wanted = f'f"{DATA_TEXT}/..."' if role == "data" else f'f"{ARTIFACT_TEXT}/..."'
    problem = f"the path {use.text} (for {use.sink}) cannot be changed without touching others"
    desk.problem(f"{role}_path", use.module, use.node.lineno, problem, f"write it as {wanted}")


def _apply(desk: Desk, rerouter: Rerouter, module: Module, own: list[_Done], role: str) -> None:
    try:
        edits = rerouter.edits(module)
    except Unclear:
        _unclear(desk, own[0].use, role)
        return
    for item in {item.node: item for item in own}.values():
        _tell(desk, module, item, role)
    desk.put(module.path, module.source.apply(edits))
    current = next(m for m in desk.modules if m.path == module.path)
    if role == "data" and not current.defines("DATASET_ID"):
        constants.add(desk, current, {"DATASET_ID": desk.dataset_id})
        desk.notes.append(f"DATASET_ID stands in {desk.name(module.path)} too: keep both the same")


def _tell(desk: Desk, module: Module, item: _Done, role: str) -> None:
    text = item.use.text
    if role == "data":
        problem, fix = f"the data path {text} does not follow DATASET_ID", f"{text} → below {DATA_TEXT}"
    else:
        problem = f"the path {text} does not follow VERSION, so versions would overwrite each other"
        fix = f"{text} → below {ARTIFACT_TEXT}"
    desk.fixed(f"{role}_path", module, item.line, problem, fix)


def _rebind(desk: Desk, module: Module, own: list[_Done]) -> None:
    """All versions share an imported module, so the script itself gives its folders another value."""
    file = desk.name(module.path)
    inside = [item for item in own if item.use.module is not desk.main and (item.use.read or item.use.written)]
    names = {} if inside else _rebound(desk, module, own)
    if not names:
        item = (inside or own)[0]
        problem = f"the folder {item.use.text} is chosen in {file}, which all versions share"
        fix = f'let the script say it: f"{ARTIFACT_TEXT}", and hand it over as an argument'
        desk.problem("artifact_path", module, item.line, problem, fix)
        return
    main = desk.main
    lines, edits = [], []
    for spelled, (name, parts) in names.items():
        text = render(parts)
        template = module.constant(name)
        if template is not None and template.kind == "path":
            path, imports = main.source.import_name("pathlib", "Path")
            edits += imports
            text = f"{path}({text})"
        lines.append(f"{spelled} = {text}")
        problem = f"{name} of {file} does not follow VERSION, so versions would overwrite each other"
        desk.fixed("artifact_path", main, None, problem, f"{lines[-1]}, after the import")
    statement = main.parents[main.names["VERSION"][-1]]
    assert isinstance(statement, ast.stmt)
    desk.apply(main, [*edits, main.source.insert_after(statement, "\n".join(lines))])


def _rebound(desk: Desk, module: Module, own: list[_Done]) -> dict[str, tuple[str, tuple[Part, ...]]]:
    """How the script spells each of the module's folders -> (its name there, its new value)."""
    found: dict[str, tuple[str, tuple[Part, ...]]] = {}
    for name in module.names:
        template = module.constant(name)
        for spelled in _spellings(desk.main, module, name):
            for item in own:
                change = item.change
                old = change.use.template.text[: change.end]
                if template is not None and (template.text + "/").startswith(old.rstrip("/") + "/"):
                    rest = template.text[len(old) :]
                    head = change.use.template.text[: change.start]
                    parts = (head, *change.parts, rest)
                    found[spelled] = name, tuple(part for part in parts if part != "")
    return found


def _spellings(main: Module, module: Module, name: str) -> set[str]:
    """`OUT_DIR` of `from config import OUT_DIR`, `config.OUT_DIR` of `import config`."""
    found = set()
    for node in ast.walk(main.tree):
        if isinstance(node, ast.Name) and main.imported_name(node.id) == (module, name):
            found.add(node.id)
        elif (
            isinstance(node, ast.Attribute) and node.attr == name and main.imported_module(dotted(node.value)) is module
        ):
            found.add(dotted(node))
    return found


def _prefix(desk: Desk, text: str) -> int:
    """Length of `./` or of the workspace's own absolute path in front."""
    match = re.match(rf"(?:{re.escape(desk.ws.root.as_posix())}/|(?:\./)+)", text)
    return match.end() if match else 0


# --- data ---------------------------------------------------------------------------------------------------------


def _data_change(desk: Desk, use: Use, done: list[_Done]) -> list[_Change]:
    text = use.template.text
    begin = _prefix(desk, text)
    if text[begin:].startswith(DATA_ROOT):
        return _named_dataset(desk, use, begin)
    if not use.text or _settled(use, done):
        return []
    end = _root_length(desk, text)
    if end is None:
        if use.read or use.sink:
            problem = f"data is read from {use.text or 'a path'} ({use.sink}), outside {DATA_ROOT}/{desk.dataset_id}/"
            fix = f'put the data there, in train/ and valid/, and read it from f"{DATA_TEXT}/..."'
            desk.problem("data_path", use.module, use.node.lineno, problem, fix)
        return []
    parts = DATA if end or not text else (*DATA, "/")
    return [_Change(use, 0, end, parts)]


def _named_dataset(desk: Desk, use: Use, begin: int) -> list[_Change]:
    text = use.template.text
    match = re.compile(rf"{DATA_ROOT}/+([^/]+)").match(text, begin)
    if match is None or match[1] == "{DATASET_ID}":
        return []
    if "{?}" in match[1]:
        problem = f"which data set {use.text} means is only known when the script runs"
        desk.problem("data_path", use.module, use.node.lineno, problem, f'write it as f"{DATA_TEXT}/..."')
        return []
    return [_Change(use, match.start(1), match.end(1), (Name("DATASET_ID"),))]


def _root_length(desk: Desk, text: str) -> int | None:
    """How much of a path stands for the data set's folder: the rest exists below it."""
    folder = desk.ws.data(desk.dataset_id)
    starts = [0, *(match.end() for match in re.finditer("/+", text))]
    for start in starts:
        rest = normal(text[start:])
        if not rest or rest.startswith(("..", "/")):
            continue
        pattern = re.sub(r"\{[^}]*\}", "*", rest)
        if pattern.strip("*/") and any(folder.glob(pattern)):
            return len(text[:start].rstrip("/"))
    return None


def _some_data(desk: Desk) -> None:
    uses = [use for use in find_uses(desk.modules) if use.text.startswith(DATA_ROOT)]
    told = any(finding.id == "data_path" for finding in desk.errors)
    if uses or told:
        return
    line, what = 1, "no path below dataset/prepdata/ was found in the script"
    for module in desk.modules:
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Call)
                and (name := getattr(node.func, "attr", getattr(node.func, "id", ""))) in _LOADERS
            ):
                line, what = node.lineno, f"the data comes from {name}(), not from the prepared data"
    fix = f'read it from f"{DATA_TEXT}/train" and f"{DATA_TEXT}/valid"'
    desk.problem("data_path", desk.main, line, what, fix)


# --- artifacts ----------------------------------------------------------------------------------------------------

_FILE = re.compile(r"\.\w{1,12}$")
_CHECKPOINT = re.compile(r"\.(?:ckpt|pth?|bin)$")


def _artifact_changes(desk: Desk, use: Use, done: list[_Done]) -> list[_Change]:
    text = use.template.text
    begin = _prefix(desk, text)
    if use.module is not desk.main and not (use.read or use.written):
        return []  # a name in an imported module counts where it is used
    if text[begin:].startswith(ARTIFACT_ROOT):
        changes = _named_version(use, begin)
    elif text.startswith(("/dev/", "{")) or not use.text or _settled(use, done):
        return []
    else:
        changes = _moved(use)
    # with Lightning the Trainer writes the checkpoints, and a file of the script's own must not take their names
    return changes if any(calls(desk.main.tree, "Trainer")) else changes + _renamed(use)


def _settled(use: Use, done: list[_Done]) -> bool:
    """A name whose value has been changed through what is made of it."""
    return not (use.read or use.written) and any(use.template.text in item.use.template.text for item in done)


def _named_version(use: Use, begin: int) -> list[_Change]:
    text = use.template.text
    match = re.compile(rf"{ARTIFACT_ROOT}/+([^/]+)").match(text, begin)
    if match is None:
        whole = use.written and text[begin:].rstrip("/") == ARTIFACT_ROOT
        return [_Change(use, begin, len(text), ARTIFACTS)] if whole else []
    if match[1] == "{VERSION}":
        return []
    if match.end() == len(text) and _FILE.search(match[1]):
        return [_Change(use, match.start(1), match.start(1), (Name("VERSION"), "/"))]
    return [_Change(use, match.start(1), match.end(1), (Name("VERSION"),))]


def _moved(use: Use) -> list[_Change]:
    text = use.template.text
    is_file = bool(_FILE.search(text)) or use.sink in {"open", "write_text", "write_bytes"}
    folder = len(text.rpartition("/")[0]) if is_file else len(text)
    if 0 < use.template.base <= folder:
        return [_Change(use, 0, use.template.base, ARTIFACTS)]
    if is_file and not folder:
        return [_Change(use, 0, 0, (*ARTIFACTS, "/"))]
    return [_Change(use, 0, folder, ARTIFACTS)]


def _renamed(use: Use) -> list[_Change]:
    """Checkpoints that a script saves itself get the names that are looked for."""
    text = use.template.text
    start = text.rfind("/") + 1
    name = text[start:]
    if (not use.written and not use.read) or not _CHECKPOINT.search(name) or "{" in name:
        return []
    wanted = "best.ckpt" if "best" in name else "last.ckpt" if re.search("last|final|latest", name) else name
    return [_Change(use, start, len(text), (wanted,))] if wanted != name else []
