"""What a runner has understood of `user_instruction.md`, kept for those who only look: to understand takes its time.

Nothing is decided by it: a runner reads the text itself.
"""

from __future__ import annotations

import json

from progtrain import __version__
from progtrain.engine.files import object_in, write_text
from progtrain.engine.rules.locks import Instruction, InstructionLine
from progtrain.engine.workspace import Workspace


def keep(ws: Workspace, prose: str, instruction: Instruction) -> None:
    if prose.strip() and read(ws, prose) != instruction:
        lines = [
            {
                "text": line.text,
                "understood": line.understood,
                "locks": sorted(line.locks),
                "only": None if line.only is None else sorted(line.only),
            }
            for line in instruction.lines
        ]
        write_text(ws.understood, json.dumps({"progtrain": __version__, "of": prose, "lines": lines}, indent=2) + "\n")


def read(ws: Workspace, prose: str) -> Instruction | None:
    """None where another text was understood, or by another progtrain."""
    found = object_in(ws.understood)
    if found.get("of") != prose or found.get("progtrain") != __version__:
        return None
    try:
        return Instruction(
            tuple(
                InstructionLine(
                    str(line["text"]),
                    None if line["understood"] is None else str(line["understood"]),
                    frozenset(map(str, line["locks"])),
                    None if line["only"] is None else frozenset(map(str, line["only"])),
                )
                for line in found["lines"]
            )
        )
    except (TypeError, KeyError):
        return None
