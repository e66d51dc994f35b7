"""A screen is one file and one line: as docs/contributing_screen.md says, with the file and the line from there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from progtrain.engine.workspace import Workspace
from tests.tui.fakes import fill

ROOT = Path(__file__).parents[2]

_OPENED_BY_ITS_KEY = """
import asyncio, sys
from pathlib import Path
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.commands import Commands
from progtrain.tui.keys import all_bindings

async def main():
    app = ProgtrainApp(Path(sys.argv[1]))
    async with app.run_test(size=(80, 24)) as pilot:
        while app.model.snapshot is None:
            await pilot.pause(0.05)
        await pilot.press("8")
        await pilot.pause(0.2)
        rows = [row.key for row in app.screen.query_one("#times").rows]
        offered = [hit.prompt if hasattr(hit, "prompt") else hit.text async for hit in Commands(app.screen).discover()]
        print(app.current_mode, rows, "times" in map(str, offered), "screen.times" in all_bindings())

asyncio.run(main())
"""


def _copy_with_a_new_screen(target: Path) -> None:
    page = (ROOT / "docs" / "contributing_screen.md").read_text()
    file, line = re.findall(r"```(?:python|text)\n(.*?)```", page, re.DOTALL)
    package = target / "progtrain"
    package.mkdir()
    for part in (ROOT / "progtrain").iterdir():
        if part.name == "tui":
            shutil.copytree(part.resolve(), package / "tui")
        elif part.name != "__pycache__":
            (package / part.name).symlink_to(part.resolve())
    (package / "tui" / "screens" / "times.py").write_text(file)
    table = package / "tui" / "screens" / "table.py"
    before, end, after = table.read_text().partition("\n}\n#: what the app opens with")
    assert end
    table.write_text(f"{before}\n{line.rstrip()}{end}{after}")


def test_a_screen_is_added_by_one_file_and_one_line(ws: Workspace, tmp_path: Path) -> None:
    fill(ws)
    root = tmp_path / "copy"
    root.mkdir()
    _copy_with_a_new_screen(root)
    done = subprocess.run(
        [sys.executable, "-c", _OPENED_BY_ITS_KEY, str(ws.root)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert done.stdout.split("\n")[0] == "times ['v001', 'v002', 'v003', 'v004'] True True", done.stdout + done.stderr
