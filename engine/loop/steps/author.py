"""Step 6: writes the next version, with the accepted action and nothing else.

Reads `action-extract.md` as it lies in the version's folder: what the user edits there counts.
"""

from __future__ import annotations

from progtrain.engine.analysis.action_file import parse_action
from progtrain.engine.control.context import Context
from progtrain.engine.drafting import next_script
from progtrain.engine.files import read_text, write_text


def run(context: Context, version: str) -> str:
    """Raises `InputError` with line and fix when the action file says nothing that may be done."""
    ws = context.ws
    path = ws.version(version).action
    parsed = parse_action(read_text(path), path)
    planned = next_script.plan(ws, context.rules, version, parsed.operation, base=parsed.base, reason=parsed.goal)
    # the journal first: a script whose origin nobody knows would be worse than an origin without its script
    context.journal.write("version_authored", **planned.origin(parsed.goal))
    for file, text in planned.files.items():
        write_text(file, text)
    return f"{ws.script(planned.version).name} from {planned.base}: {planned.action_text}"
