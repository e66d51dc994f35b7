"""A notebook as a plain script: its code cells in their order, what only a notebook understands as comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_json

_MAGIC = re.compile(r"\s*([%!?]|[\w.]+\?{1,2}\s*$|\w+\s*=\s*[%!])")
#: cell magics whose cell is Python all the same
_PYTHON_CELLS = frozenset({"%%time", "%%timeit", "%%capture", "%%prun"})


def as_script(path: Path) -> str:
    """Raises `InputError` for what is no notebook, or has no Python in it."""
    notebook = read_json(path)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise InputError("this is no notebook: it has no cells", file=path, fix="save it anew as .ipynb, or as .py")
    code = [cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    parts = [f"# %% cell {number}\n{_converted(_text(cell))}" for number, cell in enumerate(code, 1) if _text(cell)]
    if not parts:
        raise InputError("the notebook has no cell with code", file=path, fix="name the one that trains")
    return "\n\n".join(parts) + "\n"


def _text(cell: dict[str, object]) -> str:
    """Stored as one text, or as a list of lines."""
    source = cell.get("source")
    return ("".join(map(str, source)) if isinstance(source, list) else str(source or "")).strip("\n")


def _converted(text: str) -> str:
    first = text.lstrip().split(maxsplit=1)[0] if text.strip() else ""
    whole = first.startswith("%%") and first not in _PYTHON_CELLS
    return "\n".join(_lines(text, whole))


def _lines(text: str, whole: bool) -> Iterator[str]:
    """`whole`: nothing in the cell is Python."""
    for line in text.split("\n"):
        if not whole and not _MAGIC.match(line):
            yield line
        else:
            body = line.lstrip()
            indent = line[: len(line) - len(body)]
            # a block that holds nothing else stays a block
            yield f"{indent}pass  # {body}" if indent and not whole else f"# {line}"


def is_notebook(path: Path) -> bool:
    return path.suffix == ".ipynb"
