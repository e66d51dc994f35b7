"""What another tool, or a slip of the pen, has left where the loop does not look; each with the way to bring it in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from progtrain.engine.workspace import Workspace, next_version, version_id

#: what a folder of results holds
_RESULTS = frozenset({"eval_score.json", "best.ckpt", "last.ckpt", "spec.json", "metrics.csv", "logs", "Artifacts"})
_RUNS = ("Runs/*", "runs/*", "Models/Runs/*")
_BESIDE_SKILLS = ("*/SKILL.md", "skills/*/SKILL.md", ".*/skills/*/SKILL.md")
_RULES = re.compile(r"(user[-_ ]?(defined)?[-_ ]?)?rules?\.jsonc?", re.IGNORECASE)
_INSTRUCTION = re.compile(r"(user[-_ ]?)?instructions?\.(md|txt)", re.IGNORECASE)
_SCRIPT = re.compile(r"(02[-_ ]?)?train[-_ ]?v(ersion)?[-_ ]?(\d+)\.py", re.IGNORECASE)
_BASELINE = re.compile(r"(02[-_ ]?)?train[-_ ]?baseline\.py", re.IGNORECASE)
_VERSION = re.compile(r"v(ersion)?[-_ ]?(\d+)", re.IGNORECASE)
_BEST = re.compile(r"(best[-_ ]?(model)?|model[-_ ]?best)\.(ckpt|pth?)", re.IGNORECASE)


def near_misses(ws: Workspace) -> list[str]:
    """In the order in which they would be brought in."""
    return [*_rules(ws), *_names(ws), *_data(ws), *_runs(ws), *_versions(ws)]


def _said(ws: Workspace, path: Path, why: str, *command: str | Path) -> str:
    shown = shlex.join(ws.relative(word) if isinstance(word, Path) else word for word in command)
    slash = "/" if path.is_dir() else ""
    return f"{ws.relative(path)}{slash} is not read: {why}; to use it: {shown}"


def _rules(ws: Workspace) -> Iterator[str]:
    if ws.rules.is_file():
        return
    for pattern in _BESIDE_SKILLS:
        for path in sorted(ws.root.glob(pattern)):
            beside = path.with_name(ws.rules.name)
            if beside.is_file():
                yield _said(ws, beside, "rules lie beside the scripts", "cp", beside, ".")


def _names(ws: Workspace) -> Iterator[str]:
    """Files beside the scripts that are nearly called as the loop calls them."""
    known = {path.name for path in ws.root.iterdir()} if ws.root.is_dir() else set()
    for name in sorted(known):
        path = ws.root / name
        if not path.is_file():
            continue
        numbered = _SCRIPT.fullmatch(name)
        for fits, wanted in (
            (_RULES.fullmatch(name), ws.rules),
            (_INSTRUCTION.fullmatch(name), ws.instruction),
            (_BASELINE.fullmatch(name), ws.baseline_script),
            (numbered, ws.script(version_id(int(numbered[3]))) if numbered and int(numbered[3]) else path),
        ):
            if fits and wanted.name not in known:
                yield _said(ws, path, f"it is called {wanted.name} here", "mv", path, wanted)


def _data(ws: Workspace) -> Iterator[str]:
    """Data with parts of their own, one folder too high."""
    prepared = ws.data("x").parent
    for path in sorted(prepared.parent.glob("*")):
        if path != prepared and (path / "train").is_dir() and not (prepared / path.name).exists():
            yield _said(ws, path, f"prepared data lie in {ws.relative(prepared)}/", "mv", path, prepared / path.name)


def _runs(ws: Workspace) -> Iterator[str]:
    """Runs by date or name; on a file system without capitals each once."""
    free = next_version(ws.versions()[-1]) if ws.versions() else version_id(1)
    seen = set()
    for run in sorted(path for pattern in _RUNS for path in ws.root.glob(pattern) if path.is_dir()):
        inside = {path.name for path in run.iterdir()}
        if inside.isdisjoint(_RESULTS) or (found := run.stat().st_ino) in seen:
            continue
        seen.add(found)
        target = ws.version(free).path
        scripts = sorted(path for path in run.glob("*.py") if "train" in path.name)
        text = _said(ws, run, f"versions lie in {ws.relative(ws.artifacts)}/", "cp", "-r", run, target)
        more = shlex.join(["cp", ws.relative(scripts[0]), ws.script(free).name]) if scripts else ""
        yield f"{text} && {more}" if more else f"{text}, and its training script as {ws.script(free).name}"


def _versions(ws: Workspace) -> Iterator[str]:
    """Folders of versions that are nearly called so, and checkpoints in them."""
    for path in sorted(ws.artifacts.iterdir()) if ws.artifacts.is_dir() else ():
        numbered = _VERSION.fullmatch(path.name)
        if not path.is_dir() or numbered is None or not int(numbered[2]):
            continue
        right = ws.version(version_id(int(numbered[2])))
        if path.name != right.path.name:
            if not right.path.exists():
                yield _said(ws, path, f"it is called {right.path.name} here", "mv", path, right.path)
            continue
        for file in sorted(path.iterdir()) if not right.best_checkpoint.exists() else ():
            if file.is_file() and _BEST.fullmatch(file.name):
                yield _said(ws, file, "the best checkpoint is called best.ckpt", "cp", file, right.best_checkpoint)
