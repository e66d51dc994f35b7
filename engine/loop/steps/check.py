"""Step 5: is this the last version that the rules allow?"""

from __future__ import annotations

from progtrain.engine.control.context import Context
from progtrain.engine.workspace import next_version, version_number


def is_last(context: Context, version: str) -> bool:
    return (version_number(version) or 0) >= context.rules.max_versions


def run(context: Context, version: str) -> str:
    limit = context.rules.max_versions
    if is_last(context, version):
        return f"{version} is the last of {limit} version{'s' if limit > 1 else ''}: the report is next"
    return f"{version} of {limit} versions: {next_version(version)} is next"
