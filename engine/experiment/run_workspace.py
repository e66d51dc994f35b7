"""The workspace of a run: where a script finds what it would find in the user's, and leaves what is the run's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from progtrain.engine.experiment.folder import RunFolder
from progtrain.engine.experiment.placing import leading
from progtrain.engine.loop import apart
from progtrain.engine.loop.apart import results_of as results_of
from progtrain.engine.workspace import Workspace


def of(folder: RunFolder) -> Workspace:
    return Workspace(folder.workspace.absolute())


def files(ws: Workspace, folder: RunFolder, texts: Mapping[Path, str]) -> dict[Path, str]:
    """What is a file of its own there: path -> text. `texts`: those of the version, under their paths in `ws`."""
    return apart.files(ws, of(folder), texts)


def links(ws: Workspace, folder: RunFolder, texts: Mapping[Path, str], version: str) -> dict[Path, Path]:
    """Path -> where it leads: what is the user's, and short ways to the run's script and results."""
    own = of(folder)
    ways = {folder.script: own.script(version), folder.artifacts: own.version(version).path}
    return apart.links(ws, own, texts) | {path: leading(path, target) for path, target in ways.items()}
