"""Step 6: writes the next version, with the accepted action and nothing else (L34, L35).

Reads `action-extract.md` as it lies in the version's folder: what the user edits there counts.
"""

from __future__ import annotations

from engine import authoring
from engine.context import Context
from engine.files import read_text, write_text
from engine.insight import documents


def run(context: Context, version: str) -> str:
    """Raises `InputError` with line and mend when the action file says nothing that may be done."""
    context.check_stop()
    ws = context.ws
    path = ws.version(version).action
    parsed = documents.parse_action(read_text(path), path)
    planned = authoring.plan(ws, context.rules, version, parsed.operation, base=parsed.base, reason=parsed.goal)
    # the journal first: a script whose origin nobody knows would be worse than an origin without its script
    context.journal.write("version_authored", **planned.origin(parsed.goal))
    script = ws.script(planned.version)
    write_text(script, planned.source)
    return f"{script.name} from {planned.base}: {planned.action_text}"
