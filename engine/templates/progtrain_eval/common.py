"""What all parts need: the workspace, errors for people, and files that are written whole."""

from __future__ import annotations

import hashlib
import json
import math
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

#: where 03_eval.py and these modules lie
CODE = Path(__file__).resolve().parents[1]
#: the workspace: the engine may start the same code from where nothing in the workspace can change it
ROOT = Path(os.environ.get("PROGTRAIN_WORKSPACE") or CODE)


class EvalError(Exception):
    """What the user can fix: shown as one line."""


class OtherModel(EvalError):
    """The checkpoint does not fit the model that this fit() is given."""


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Turns whatever the user's code raises into one line that says where it happened."""
    try:
        yield
    except EvalError:
        raise
    except (Exception, SystemExit) as error:
        frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        ours = (CODE / "03_eval.py", *Path(__file__).parent.glob("*.py"))
        own = [f for f in frames if f[0].is_relative_to(ROOT) and f[0] not in ours]
        own = [f for f in own if "site-packages" not in f[0].parts]
        place = f" ({own[-1][0].name}, line {own[-1][1]})" if own else ""
        message = " ".join(str(error).split())[:300]
        raise EvalError(f"{what} failed{place}: {type(error).__name__}: {message}") from error


def read_json(path: Path) -> Any:
    """An empty dict when there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except ValueError as error:
        raise EvalError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise EvalError(f"{path.name} holds no JSON object")
    return value


def readable(path: Path) -> Any:
    """As `read_json`; an empty dict for what is damaged too."""
    try:
        return read_json(path)
    except EvalError:
        return {}


def write(path: Path, content: Any) -> None:
    """All of it or nothing; what is no text becomes JSON."""
    text = content if isinstance(content, str) else json.dumps(clean(content), indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def clean(value: Any) -> Any:
    """As JSON knows it: NaN becomes null, tensors and arrays lists, all that is foreign its text."""
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return clean(value.tolist())
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def timestamp() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def sha256(path: Path) -> str:
    """Of a file, or of the names and contents of a folder, without what this script writes there."""
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else ():
        name = file.relative_to(path).as_posix()
        if not name.startswith(("_eval/", "infer_samples/", "eval_score.json", "__pycache__/", ".venv/", "venv/")):
            digest.update(os.fsencode(f"{name}\0{sha256(file)}\n"))
    return digest.hexdigest()


def evaluator_sha256(root: Path) -> str:
    """Of 03_eval.py, with the modules beside it where it works with them: of all the code that makes a score."""
    script, parts = root / "03_eval.py", root / Path(__file__).parent.name
    with script.open("rb") as content:
        # no script is larger than 64 MiB
        ours = parts.name.encode() in content.read(1 << 26)
    if not ours:
        return sha256(script)
    digest = hashlib.sha256()
    for file in (script, *sorted(parts.rglob("*.py"))):
        digest.update(os.fsencode(f"{file.relative_to(root).as_posix()}\0{sha256(file)}\n"))
    return digest.hexdigest()
