"""Runs an evaluator so that nothing in the workspace comes between it and what it is meant to be.

    python isolated.py EVALUATOR ARGUMENTS

The evaluator's own modules are read from their source, never from byte code that somebody may have put beside it. Where
it is the one beside this file, modules of the standard library are found where Python has them, whatever lies beside
the scripts. Standard library only.
"""

from __future__ import annotations

import os
import runpy
import sys
import sysconfig
import types
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

_PACKAGE = "progtrain_eval"


def _library() -> list[str]:
    """Where the interpreter has its own modules."""
    paths = sysconfig.get_paths()
    return [paths["stdlib"], paths["platstdlib"], *(path for path in sys.path if Path(path).name == "lib-dynload")]


def _loader(name: str, path: Path) -> Any:
    """One that takes the code of a module from its text alone."""
    loader: Any = SourceFileLoader(name, str(path))
    loader.get_code = lambda _: loader.source_to_code(loader.get_data(str(path)), str(path))
    return loader


def install(folder: Path, *, ours: bool) -> None:
    """`folder`: where the evaluator lies; `ours`: not in the workspace."""
    library, home = _library(), folder / _PACKAGE

    def find_in_library(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, library) if path is None else None
        # a folder there is no module
        return spec if spec is not None and spec.loader is not None else None

    def find_as_text(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        package, _, module = name.partition(".")
        file = home / f"{module or '__init__'}.py"
        if package != _PACKAGE or "." in module or not file.is_file():
            return None
        places = None if module else [str(home)]
        return spec_from_file_location(name, file, loader=_loader(name, file), submodule_search_locations=places)

    finders: list[Any] = sys.meta_path
    finders.insert(0, types.SimpleNamespace(find_spec=find_as_text))
    if ours:
        # taken away where a script is imported (`progtrain_eval.scripts.beside`): it may have a profile.py of its own
        finders.insert(0, types.SimpleNamespace(find_spec=find_in_library, library_first=True))


def main() -> None:
    evaluator = Path(sys.argv[1]).resolve()
    ours = evaluator.parent == Path(__file__).resolve().parent
    install(evaluator.parent, ours=ours)
    if not ours:
        named = [path for path in os.environ.get("PROGTRAIN_MODULES", "").split(os.pathsep) if path]
        sys.path[:1] = [str(evaluator.parent), *named]
    sys.argv = sys.argv[1:]
    runpy.run_path(str(evaluator), run_name="__main__")


if __name__ == "__main__":
    main()
