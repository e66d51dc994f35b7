"""What the commands share: the workspace, their options, and what a shell may complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from progtrain.engine.cli.output import say
from progtrain.engine.errors import InputError, StorageError
from progtrain.engine.modes import share
from progtrain.engine.workspace import Workspace, version_number

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from progtrain.engine.control.launch import Options

_Command = TypeVar("_Command", bound=Callable[..., Any])


def workspace(ctx: click.Context) -> Workspace:
    """Of the command line's `-C`: also while a shell completes it, when no command has run yet."""
    ws = Workspace(Path(ctx.find_root().params.get("workspace") or ".").resolve())
    share(ws.root)
    return ws


# options


def json_option(function: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")(function)


def version_option(function: _Command) -> _Command:
    return click.option(
        "--version", "version", metavar="vNNN", shell_complete=versions, help="By default the latest version."
    )(function)


def run_options(function: _Command) -> _Command:
    """Of every command that runs steps."""
    for option in (
        click.option("--python", metavar="PATH", help="Interpreter of your scripts; by default progtrain's own."),
        click.option(
            "--model",
            metavar="GGUF",
            shell_complete=model_files,
            help="The advisor's model; by default the one that comes along.",
        ),
        click.option("--dataset-id", metavar="ID", shell_complete=datasets, help="Folder below dataset/prepdata/."),
        click.option(
            "--no-probe",
            "probe",
            flag_value=False,
            default=True,
            help="Do not run the script up to its training to see what it sets up.",
        ),
    ):
        function = option(function)
    return function


def cold_option(function: _Command) -> _Command:
    return click.option(
        "--cold/--warm",
        "cold",
        default=None,
        help="Start each script in a new interpreter, not from one that has imported its packages; kept for the loop.",
    )(function)


def sandbox_option(function: _Command) -> _Command:
    return click.option(
        "--sandbox",
        is_flag=True,
        help="Let trainings and evaluations write to their version's folder alone; kept for the loop.",
    )(function)


def options_of(python: str | None, model: str | None, dataset_id: str | None, probe: bool, **others: object) -> Options:
    """Raises `InputError` when the interpreter cannot be run, or the model is not there: the loop would keep them."""
    from progtrain.engine.control.launch import Options

    path = None if model is None else str(model_file(Path(model), "--model"))
    chosen = {"python": interpreter(python), "model": path, "dataset_id": dataset_id, "probe": probe, **others}
    chosen["devices"] = os.environ.get("CUDA_VISIBLE_DEVICES")
    return Options.model_validate(chosen)


def from_here(path: str | None) -> str | None:
    """A path as it is meant here: scripts and models are looked up from the workspace. A bare name stays one."""
    if path is None or not (os.sep in path or path.startswith("~")):
        return path
    return str(Path(path).expanduser().absolute())


def interpreter(python: str | None) -> str | None:
    """Raises `InputError` when it cannot be run."""
    import shutil  # 3 ms for which `status` need not wait

    found = from_here(python)
    if found is not None and shutil.which(found) is None:
        raise InputError(
            "there is no such program that could be run", file=found, place="--python", fix="name a Python interpreter"
        )
    return found


def model_file(path: Path, place: str | None = None) -> Path:
    """Raises `InputError` when there is no such file."""
    path = path.expanduser().absolute()
    if not path.is_file():
        raise InputError("there is no such file", file=path, place=place, fix="name a GGUF file, or leave it out")
    return path


def chosen_version(ws: Workspace, version: str | None) -> str:
    """Raises `InputError` when there is no such version, or none at all."""
    known = ws.versions()
    if version is None:
        if not known:
            raise InputError("there is no version yet", file=ws.root, fix="progtrain run makes the first")
        return known[-1]
    if version_number(version) is None or version not in known:
        there = ", ".join(known) or "none yet"
        raise InputError(f"there is no version {version!r}", file=ws.root, fix=f"versions are: {there}")
    return version


# files that show what is printed anyway


def written_by(write: Callable[[], None], ws: Workspace, files: Iterable[Path]) -> list[str]:
    """Their names; none where they cannot be written, which is said: what they hold can be shown all the same."""
    try:
        write()
    except StorageError as error:
        say(f"note: not written: {error.located}", error=True)
        return []
    return [ws.relative(path) for path in files]


def say_written(files: Sequence[str]) -> None:
    if files:
        say(f"\nwritten: {' and '.join(files)}")


# what a shell may complete


def versions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [version for version in workspace(ctx).versions() if version.startswith(incomplete)]


def candidates(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Of the open question, each with what it would change."""
    from click.shell_completion import CompletionItem

    from progtrain.engine.status.view import WorkspaceView

    review = WorkspaceView(workspace(ctx).root, once=True).snapshot().review
    cards = review.candidates if review else []
    return [CompletionItem(card.id, help=card.change) for card in cards if card.id.startswith(incomplete)]


def datasets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from progtrain.engine import prepared_data

    return [name for name in prepared_data.available(workspace(ctx)) if name.startswith(incomplete)]


def model_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """GGUF files below what is typed so far, and the folders on the way to others."""
    typed, _, begun = incomplete.rpartition("/")
    folder = Path(f"{typed}/" if "/" in incomplete else ".").expanduser()
    prefix = f"{typed}/" if "/" in incomplete else ""
    if not folder.is_dir():
        return []
    found = [path for path in sorted(folder.iterdir()) if path.name.startswith(begun)]
    files = [f"{prefix}{path.name}" for path in found if path.suffix == ".gguf"]
    return files + [f"{prefix}{path.name}/" for path in found if path.is_dir() and not path.name.startswith(".")]
