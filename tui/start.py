"""The command `progtrain-tui`: says what is wrong before a screen is taken, and reads ahead while Textual loads."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

from progtrain.engine import hanging
from progtrain.engine.errors import InputError
from progtrain.engine.modes import share
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace
from progtrain.tui import terminal_guard
from progtrain.tui.reading.prefetch import Prefetch

if TYPE_CHECKING:
    from progtrain.tui.app import ProgtrainApp

_SWITCH_SECONDS = 0.001
#: the interpreter's own, but all generations are looked through three times as seldom: a key would wait for it
_GARBAGE = (700, 10, 30)


def main(arguments: list[str] | None = None) -> None:
    options = _options(sys.argv[1:] if arguments is None else arguments)
    if options.keys:
        from progtrain.tui import preferences
        from progtrain.tui.keys import key_names

        sys.stdout.write(f"# {preferences.config_folder() / 'keys.toml'}\n[keys]\n" + "".join(key_names()))
        return
    # before there is a screen that could say so
    with hanging.ending():
        root = Path(options.workspace).expanduser().resolve()
        problem = workspace_problem(root)
    if problem is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        problem = "this is not a terminal: progtrain status and progtrain review work without one"
    elif problem is None and os.environ.get("TERM") == "dumb":
        problem = "TERM=dumb: on this terminal nothing can be drawn; progtrain status and progtrain review work on it"
    if problem:
        _give_up(problem)
    share(root)
    # the parent waits; what follows is its child, whose own child reads ahead: both are forked from one thread
    watch_parent = terminal_guard.stand_guard(
        f"The loop goes on by itself. See it again: progtrain-tui {clean_line(root)}"
    )
    # a second process reads while this one imports what draws
    ahead = Prefetch(root)
    watch_parent()
    # what is imported stays: to look through it again and again would only take time
    gc.disable()
    _forget_size()
    _without_tls()
    # of the interpreter's lock: what draws must not wait long for what reads, nor the terminal for what draws
    sys.setswitchinterval(_SWITCH_SECONDS)
    app = _app(root, options, ahead)
    app.run()
    if text := app.farewell():
        sys.stdout.write(f"{text}\n")
    # a look at a dead network folder must not keep the process
    sys.stdout.flush()
    os._exit(app.return_code or 0)


def _options(arguments: list[str]) -> SimpleNamespace:
    options = SimpleNamespace(workspace=".", readonly=False, ascii=False, keys=False)
    if not arguments or (len(arguments) == 1 and not arguments[0].startswith("-")):
        # nothing to parse: the parser's import would hold up the first frame
        options.workspace = arguments[0] if arguments else "."
        return options
    import argparse

    parser = argparse.ArgumentParser(
        prog="progtrain-tui",
        description="Look at a workspace and drive its loop by keyboard. It starts nothing by itself.",
    )
    parser.add_argument("workspace", nargs="?", default=".", help="the workspace's folder (default: this one)")
    parser.add_argument("--readonly", action="store_true", help="only look")
    parser.add_argument("--ascii", action="store_true", help="no characters beyond ASCII")
    parser.add_argument("--keys", action="store_true", help="list names and keys, for keys.toml in the config folder")
    return parser.parse_args(arguments, options)


def workspace_problem(root: Path) -> str | None:
    """Why a folder cannot be opened as a workspace; None when it can."""
    if not root.exists():
        return f"{root}: there is no such folder"
    if not root.is_dir():
        return f"{root}: this is a file; give the workspace's folder"
    workspace = Workspace(root)
    signs = (workspace.rules, workspace.baseline_script, workspace.own, workspace.artifacts)
    try:
        if any(path.exists() for path in signs) or workspace.versions():
            return None
    except OSError as error:
        return f"{root}: cannot be read ({error.strerror})"
    return (
        f"{root}: not a workspace: it has neither {workspace.baseline_script.name} nor {workspace.rules.name}"
        " (progtrain init --example digits DIR makes one)"
    )


def _app(root: Path, options: SimpleNamespace, ahead: Prefetch) -> ProgtrainApp:
    from progtrain.tui import preferences
    from progtrain.tui.look import themes

    folder = preferences.config_folder()
    try:
        keys, (theme, pixels) = preferences.read_keys(folder), preferences.read_look(folder)
    except InputError as error:
        ahead.close()
        _give_up(str(error).replace("\n", ";"))
    from progtrain.tui.app import ProgtrainApp
    from progtrain.tui.look.pixels import pixel_widget

    if keys:
        from progtrain.tui.keys import keymap_problem

        if problem := keymap_problem(keys):
            ahead.close()
            _give_up(f"{folder / 'keys.toml'}, {problem}")
    app = ProgtrainApp(
        root,
        readonly=options.readonly,
        ascii_only=options.ascii or _only_ascii(),
        keys=keys,
        ahead=ahead,
        seen=preferences.read_view(root),
        theme=theme,
        sixteen=themes.fitting(os.environ) if themes.few_colours(os.environ) else None,
        pixels=pixel_widget(os.environ) if pixels else None,
        loaded=_settle,
    )
    if theme not in {None, *app.available_themes}:
        ahead.close()
        known = ", ".join(sorted(app.available_themes))
        _give_up(f"{folder / 'app.toml'}, key theme: no theme {theme}; there are {known}")
    return app


def _settle() -> None:
    """From here on answering soon counts, not starting soon: what is loaded is not looked through for garbage."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    gc.enable()


def _without_tls() -> None:
    """asyncio does without `ssl` where there is none, and no screen connects to anything: its import would hold up the
    first frame by a fortieth. Whatever else wants it imports it as ever."""
    if "ssl" not in sys.modules:
        sys.modules["ssl"] = None  # type: ignore[assignment]
        import asyncio  # noqa: F401 - remembers that there is none

        del sys.modules["ssl"]


def _forget_size() -> None:
    """Textual believes `COLUMNS` and `LINES` before the terminal; a shell that exports them never updates them."""
    try:
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return
    if columns and lines:
        os.environ.pop("COLUMNS", None)
        os.environ.pop("LINES", None)


def _only_ascii() -> bool:
    """Other encodings have no more; the fonts of the Linux console have neither braille nor our signs."""
    return "UTF-8" not in (sys.stdout.encoding or "").upper() or os.environ.get("TERM") == "linux"


def _give_up(problem: str) -> NoReturn:
    sys.stderr.write(f"progtrain-tui: {clean_line(problem)}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main()
