"""The files that a version is made of, as they lie in the workspace: its script, and its own copies of others.

A config file or a module that an action changes is copied: `config_v003.yaml` beside `config.yaml`, and the modules in
`02_train_v003_src/`. Where the copy's text is that of the shared file again, there is none. `read` gives what a version
is made of under names without a version (`Sources`), `written` the files that such a thing comes to.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath

from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, object_in, read_bytes, read_text
from progtrain.engine.script import references
from progtrain.engine.script.baseline.modules import imported_names, load_modules, search_path
from progtrain.engine.script.config_files import is_config
from progtrain.engine.script.editor import Source
from progtrain.engine.script.header import without_header
from progtrain.engine.script.nodes import first_line, is_docstring
from progtrain.engine.script.sources import Sources
from progtrain.engine.text import unified_diff
from progtrain.engine.workspace import Workspace, version_number

#: what lies there is data, results, or ours
_NOT_SETTINGS = frozenset({"dataset", "Models", "user_defined_rules.json"})
_MOST_BYTES = 256 * 1024
_MOST_MODULES = 200
_VERSIONED = re.compile(r"(.+)_(v\d{3,})")
_OVERRIDE = re.compile(r"(?:--?|\+\+?|~)?([A-Za-z_][\w./@-]*)(?:=.*)?", re.DOTALL)
_COPIES_FIRST = re.compile(r"^import sys; sys\.path\[:0\] = .*# this version's copies of modules\r?\n", re.MULTILINE)
#: a copy would look for what lies beside it
_BESIDE = re.compile(r"\b(__file__|importlib\.resources|pkgutil\.get_data|hydra\.main)\b")


#: of a file of a version: where it lies, what stands there, and the same with names without a version
_Lying = tuple[Path, str, str]


def read(ws: Workspace, version: str, texts: Mapping[Path, str] | None = None) -> Sources:
    """A version, or "baseline". `texts` stand for files as they will be.

    Raises `InputError` where the script is missing, or it or a module of the user's own is no Python.
    """
    found = _lying(ws, version, texts or {})
    files = {name: plain for name, (_, _, plain) in found.items() if name}
    return Sources(found[""][2], files)


def lying(ws: Workspace, version: str, texts: Mapping[Path, str] | None = None) -> dict[Path, str]:
    """Where each file of a version lies -> what stands there, the script first. Raises as `read` does."""
    return {path: text for path, text, _ in _lying(ws, version, texts or {}).values()}


def text_of(ws: Workspace, version: str) -> str:
    """As `read`; the script's text alone where it, or a module of it, is no Python. Raises `InputError` without one."""
    try:
        return read(ws, version)
    except InputError:
        return read_text(ws.script(version))


def paths(ws: Workspace, version: str) -> dict[str, Path]:
    """Name without a version -> where that file of a version lies; the script under "", alone if it is no Python."""
    return {name: path for name, (path, _, _) in _lying_if_read(ws, version, {}).items()}


def diff(ws: Workspace, old: str, new: str, texts: Mapping[Path, str] | None = None, *, bare: bool = False) -> str:
    """What differs from one version to another, file by file; `bare`: without the summaries at the top of scripts."""
    before, after = _lying_if_read(ws, old, {}), _lying_if_read(ws, new, texts or {})
    show = without_header if bare else str
    parts = []
    for name, (now, is_now, _) in after.items():
        if name in before:
            then, was, _ = before[name]
            was, is_now = (was, is_now) if name else (show(was), show(is_now))
            parts.append(unified_diff(was, is_now, ws.relative(now), ws.relative(then)))
    return "".join(parts)


def arguments(ws: Workspace, version: str, words: Sequence[str]) -> list[str]:
    """Words of the command line, with a version's own copy of each config file that they name."""
    own = [_own_word(ws, version, word, {}) for word in words]
    asked = references.primary(words, _given(words))
    if asked is not None and version_number(version):
        at, before, copy = asked[0], asked[1], _with_version(asked[2], version)
        with suppress(InputError):
            folder = references.hydra_folder(_exact(ws.script(version), {}) or "", "")
            own[at] = before + copy.removesuffix(".yaml") if folder and (ws.root / folder / copy).is_file() else own[at]
    return own


def _primary(
    texts: Mapping[str, str], words: Sequence[str], resolve: references.Resolve, version: str
) -> tuple[str, str] | None:
    """The primary config of Hydra that the words name, the version's own copy before all, and the folder of configs."""
    asked = references.primary(words, _given(words))
    return None if asked is None else references.first(texts, (_with_version(asked[2], version), asked[2]), resolve)


def _own_word(ws: Workspace, version: str, word: str, texts: Mapping[Path, str]) -> str:
    option, equals, name = word.rpartition("=")
    if not version_number(version) or not is_config(name):
        return word
    copy = _with_version(name, version)
    return f"{option}{equals}{copy}" if ws.root / copy in texts or (ws.root / copy).is_file() else word


# ---- what a version is made of


def _lying_if_read(ws: Workspace, version: str, texts: Mapping[Path, str]) -> dict[str, _Lying]:
    """The script alone where it, or a module of it, is no Python."""
    try:
        return _lying(ws, version, texts)
    except (InputError, OSError):
        script = ws.script(version)
        text = _exact(script, texts) or ""
        return {"": (script, text, text)}


def _lying(ws: Workspace, version: str, texts: Mapping[Path, str]) -> dict[str, _Lying]:
    script = ws.script(version)
    words = _words(ws)
    given, resolve = _given(words), _resolver(ws, version, texts)
    found: dict[str, tuple[Path, str]] = {"": (script, texts[script] if script in texts else read_text(script))}
    copies = ws.module_copies(version)
    for module in load_modules(script, texts, copies)[1:][:_MOST_MODULES]:
        around = copies if module.path.is_relative_to(copies) else ws.root
        if module.path.is_relative_to(around):
            text = _exact(module.path, texts) or module.text
            found[module.path.relative_to(around).as_posix()] = module.path, text
    waiting = [
        (name, list(references.in_code(text, _folder(name), resolve, given))) for name, (_, text) in found.items()
    ]
    for word in words:
        name = word.rpartition("=")[2]
        if is_config(name) and (target := resolve("", _own_word(ws, version, name, texts))) is not None:
            found[_plain_name(target, version)] = ws.root / target, _text(ws.root / target, texts) or ""
    if primary := _primary({name: text for name, (_, text) in found.items()}, words, resolve, version):
        target, folder = primary
        plain, text = _plain_name(target, version), _text(ws.root / target, texts) or ""
        found[plain] = ws.root / target, text
        waiting.append((plain, list(references.in_defaults(text, _folder(target), folder, resolve, given))))
    renamed: dict[str, list[tuple[int, int, str]]] = {}
    while waiting:
        holder, named = waiting.pop(0)
        # `config_name="train.yaml"` is found as the name of a file too; as Hydra's it leads on
        for reference in sorted(named, key=lambda one: one.hydra is None):
            plain = _plain_name(reference.target, version)
            renamed.setdefault(holder, []).append((reference.start, reference.end, PurePosixPath(plain).stem))
            if plain in found:
                continue
            path = ws.root / reference.target
            text = _text(path, texts) or ""
            found[plain] = path, text
            if (hydra := reference.hydra) is not None:
                inside = references.in_defaults(text, _folder(reference.target), hydra, resolve, given)
                waiting.append((plain, list(inside)))
    return {
        name: (path, text, _COPIES_FIRST.sub("", _put(text, renamed.get(name, []))))
        for name, (path, text) in found.items()
    }


def _put(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(set(edits), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _folder(name: str) -> str:
    return posixpath.dirname(name)


def _text(path: Path, texts: Mapping[Path, str]) -> str | None:
    """None for what is no small text file."""
    small = path in texts or (path.is_file() and path.stat().st_size <= _MOST_BYTES)
    return _exact(path, texts) if small else None


def _exact(path: Path, texts: Mapping[Path, str]) -> str | None:
    """With its own ends of lines; None for what is no text file."""
    try:
        return texts[path] if path in texts else read_bytes(path).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _resolver(ws: Workspace, version: str, texts: Mapping[Path, str]) -> references.Resolve:
    """Finds the config file that a name means, where the last training of it, if there was one, has read it."""
    seen, written = _told(ws, version)

    def resolve(folder: str, name: str) -> str | None:
        inside = PurePosixPath(posixpath.normpath(name.lstrip("/")))
        plain = _plain_name(str(inside), version)
        tried = [posixpath.normpath(posixpath.join(folder, inside)), str(inside)]
        tried += [posixpath.join(_folder(path), inside.name) for path in seen if path.endswith(f"/{plain}")]
        for path in tried:
            first, known = path.partition("/")[0], _plain_name(path, version)
            if first in _NOT_SETTINGS or first.startswith(".") or known in written or (seen and known not in seen):
                continue
            within = (ws.root / path).resolve().is_relative_to(ws.root.resolve())
            if within and _text(ws.root / path, texts) is not None:
                return path
        return None

    return resolve


def _told(ws: Workspace, version: str) -> tuple[set[str], set[str]]:
    """Names of config files that were read, and written, in its training, else in that of the version before."""
    root = ws.root.resolve()
    last = version_number(version) or 0
    for earlier in reversed([known for known in ws.versions() if (version_number(known) or 0) <= last]):
        found: dict[str, set[str]] = {"settings": set(), "settings_written": set()}
        saves = ws.saves(earlier)
        for kind, path in _told_in(saves, saves.stat().st_mtime_ns) if saves.is_file() else ():
            if path.is_relative_to(root):
                found[kind].add(_plain_name(path.relative_to(root).as_posix(), earlier))
        if any(found.values()):
            return found["settings"], found["settings_written"]
    return set(), set()


@lru_cache(maxsize=64)
def _told_in(saves: Path, written_at: int) -> tuple[tuple[str, Path], ...]:
    """(kind, path) of the files told of; `written_at` tells `saves` from what it was before."""
    named = [(str(line.get("kind")), Path(str(line.get("path")))) for line in LineReader(saves).read()]
    return tuple((kind, path) for kind, path in named if kind in ("settings", "settings_written"))


def _words(ws: Workspace) -> list[str]:
    words = object_in(ws.rules).get("training_args")
    return [str(word) for word in words] if isinstance(words, list) else []


def _given(words: Sequence[str]) -> frozenset[str]:
    """What they decide: `--lr 0.1` and `model.lr=0.1`."""
    named = [match[1] for word in words if word.startswith("-") or "=" in word if (match := _OVERRIDE.fullmatch(word))]
    return frozenset(named)


# ---- names with and without a version


def _plain_name(name: str, version: str) -> str:
    """`conf/config_v003.yaml` -> `conf/config.yaml` for version v003 and later ones."""
    path = PurePosixPath(name)
    match = _VERSIONED.fullmatch(path.stem)
    if match is None or (version_number(match[2]) or 0) > (version_number(version) or 0):
        return name
    return path.with_name(match[1] + path.suffix).as_posix()


def _with_version(name: str, version: str) -> str:
    path = PurePosixPath(name)
    match = _VERSIONED.fullmatch(path.stem)
    stem = match[1] if match else path.stem
    return path.with_name(f"{stem}_{version}{path.suffix}").as_posix() if path.name else name


# ---- writing


def written(ws: Workspace, version: str, source: str, base: str) -> dict[Path, str]:
    """The files of a version made from `base`, the script last. Raises `InputError` where a copy would not be read."""
    script = ws.script(version)
    files = source.files if isinstance(source, Sources) else {}
    changed = {name for name, text in files.items() if text != _exact(ws.root / name, {})}
    if not changed:
        return {script: str(source)}
    given, resolve = _given(_words(ws)), _among(files)
    texts = {"": str(source), **files}
    primary = _primary(texts, _words(ws), resolve, version)
    named = _holders(texts, resolve, given, primary)
    asked = {word.rpartition("=")[2] for word in _words(ws)} | ({primary[0]} if primary else set())
    waiting = [name for name in changed if is_config(name)]
    edits: dict[str, list[tuple[int, int, str]]] = {}
    while waiting:
        name = waiting.pop()
        places = named.get(name, [])
        if not places and name not in asked:
            raise InputError(f"nothing names {name} in a way that can be changed", file=name, fix="change it by hand")
        for holder, start, end in places:
            edits.setdefault(holder, []).append((start, end, PurePosixPath(_with_version(name, version)).stem))
            if holder and holder not in changed:
                changed.add(holder)
                waiting += [holder] if is_config(holder) else []
    texts = {name: _put(text, edits.get(name, [])) for name, text in texts.items()}
    made = {ws.root / _with_version(name, version): texts[name] for name in sorted(changed) if is_config(name)}
    if any(not is_config(name) for name in changed):
        modules = {name: text for name, text in texts.items() if name and not is_config(name)}
        made |= _copied_modules(ws, ws.module_copies(version), ws.module_copies(base), modules)
        texts[""] = _with_copies_first(texts[""], modules)
    for path, text in made.items():
        if path.exists() and _exact(path, {}) != text:
            raise InputError("it lies there already", file=ws.relative(path), fix="move it away, or delete it")
    return {**made, script: texts[""]}


def _among(files: Mapping[str, str]) -> references.Resolve:
    def resolve(folder: str, name: str) -> str | None:
        inside = posixpath.normpath(name.lstrip("/"))
        tried = [posixpath.normpath(posixpath.join(folder, inside)), inside]
        tried += [path for path in files if path.endswith(f"/{inside}")]
        return next((path for path in tried if path in files), None)

    return resolve


def _holders(
    texts: Mapping[str, str], resolve: references.Resolve, given: frozenset[str], primary: tuple[str, str] | None
) -> dict[str, list[tuple[str, int, int]]]:
    """Config file -> where it is named."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    waiting = [
        (name, list(references.in_code(text, _folder(name), resolve, given)))
        for name, text in texts.items()
        if not is_config(name)
    ]
    seen: set[str] = set()
    for target, folder in [primary] if primary else []:
        seen.add(target)
        waiting.append((target, list(references.in_defaults(texts[target], _folder(target), folder, resolve, given))))
    while waiting:
        holder, named = waiting.pop(0)
        for target, start, end, hydra in named:
            found.setdefault(target, []).append((holder, start, end))
            if hydra is not None and target not in seen:
                seen.add(target)
                inside = references.in_defaults(texts[target], _folder(target), hydra, resolve, given)
                waiting.append((target, list(inside)))
    return found


def _copied_modules(ws: Workspace, copies: Path, base: Path, modules: Mapping[str, str]) -> dict[Path, str]:
    """All of them, and the rest of each package: Python looks for that in the same place."""
    made = {copies / name: text for name, text in modules.items()}
    for package in {top for name in modules if (top := _package(ws.root, name)) is not None}:
        for path in sorted((ws.root / package).rglob("*.py")):
            name = path.relative_to(ws.root).as_posix()
            kept = base / name
            made.setdefault(copies / name, _exact(kept, {}) or _exact(path, {}) or "")
    for name, text in modules.items():
        if match := _BESIDE.search(text):
            raise InputError(
                f"{name} looks for files beside itself ({match[1]}), which a copy of it would not find",
                file=name,
                place=text.count("\n", 0, match.start()) + 1,
                fix="keep the setting in the script, or in a config file",
            )
    return made


def _package(root: Path, name: str) -> str | None:
    """The outermost package that a module is in."""
    found = None
    folder = PurePosixPath(name).parent
    while folder.name and (root / folder / "__init__.py").is_file():
        found, folder = folder.as_posix(), folder.parent
    return found


def _with_copies_first(text: str, modules: Mapping[str, str]) -> str:
    """One line before the first import of one of the modules, behind what the script does to `sys.path` itself."""
    source = Source(text)
    folders = [folder for folder in search_path(source.tree) if any(name.startswith(f"{folder}/") for name in modules)]
    start = next((node for node in source.tree.body if _imports_one(node, folders, modules)), None)
    if start is None:
        rest = [node for node in source.tree.body if not is_docstring(node) and not _is_future(node)]
        start = rest[0]
    listed = ", ".join(f'f"{{__file__[:-3]}}_src/{folder}"' for folder in [*reversed(folders), ""])
    at = source.line_start(first_line(start))
    line = f"import sys; sys.path[:0] = [{listed}]  # this version's copies of modules\n"
    return text[:at] + line + text[at:]


def _imports_one(statement: ast.stmt, folders: Sequence[str], modules: Mapping[str, str]) -> bool:
    stems = [
        posixpath.join(folder, name.replace(".", "/"))
        for name in imported_names(statement)
        for folder in [*folders, ""]
    ]
    return any(f"{stem}.py" in modules or f"{stem}/__init__.py" in modules for stem in stems)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
