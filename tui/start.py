"""The command `progtrain-tui`: says what is wrong before a screen is taken, and reads ahead while Textual loads."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from engine.errors import InputError
from tui import preferences
from tui.port import workspace_problem
from tui.reading.ahead import Ahead
from tui.sanitize import clean_line


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="progtrain-tui",
        description="Look at a workspace and drive its loop by keyboard. It starts nothing by itself.",
    )
    parser.add_argument("workspace", nargs="?", default=".", help="the workspace's folder (default: this one)")
    parser.add_argument("--readonly", action="store_true", help="only look")
    parser.add_argument("--ascii", action="store_true", help="no characters beyond ASCII")
    parser.add_argument("--keys", action="store_true", help="list names and keys, for keys.toml in the config folder")
    options = parser.parse_args(arguments)
    if options.keys:
        from tui.app import key_names

        sys.stdout.write(f"# {preferences.config_folder() / 'keys.toml'}\n[keys]\n" + "".join(key_names()))
        return
    root = Path(options.workspace).expanduser().resolve()
    problem = workspace_problem(root)
    if problem is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        problem = "this is not a terminal: progtrain status and progtrain review work without one"
    keys: dict[str, str] = {}
    try:
        keys = preferences.read_keys(preferences.config_folder())
    except InputError as error:
        problem = problem or str(error).replace("\n", ";")
    if problem:
        _give_up(problem)
    # a second process reads while this one imports what draws
    ahead = Ahead(root)
    from tui.app import ProgtrainApp

    ascii_only = options.ascii or "UTF-8" not in (sys.stdout.encoding or "").upper()
    app = ProgtrainApp(
        root, readonly=options.readonly, ascii_only=ascii_only, keys=keys, ahead=ahead, seen=preferences.read_view(root)
    )
    app.run()
    if text := app.farewell():
        sys.stdout.write(f"{text}\n")
    # a look at a dead network folder must not keep the process
    sys.stdout.flush()
    os._exit(app.return_code or 0)


def _give_up(problem: str) -> None:
    sys.stderr.write(f"progtrain-tui: {clean_line(problem)}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main()
