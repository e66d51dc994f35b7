"""What is installed in the interpreter that a plan's tools run in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping

from progtrain.engine.errors import InputError
from progtrain.engine.experiment.workers.base import Experiment
from progtrain.engine.text import last_line

_SECONDS = 60
#: a package is there where its files say which version: nothing is imported, which takes seconds
_PROBE = """
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: found[name] = None
print(json.dumps(found))
"""


def missing(experiment: Experiment, needed: Mapping[str, str], tool: str) -> list[InputError]:
    """Packages that `tool` needs and the plan's interpreter does not have. `needed`: package -> how it is installed.

    Says nothing where the plan's `setup` prepares the interpreter just before the job.
    """
    if experiment.plan.resources.setup:
        return []
    try:
        found = versions(experiment.python, needed)
    except InputError as error:
        return [error]
    lacking = [name for name, version in found.items() if version is None]
    if not lacking:
        return []
    reason = f"{tool} needs {' and '.join(lacking)}, which this interpreter does not have"
    install = " ".join(needed[name] for name in lacking)
    fix = f"{experiment.python} -m pip install {install}; or name another in resources.python"
    return [InputError(reason, file=experiment.python, fix=fix)]


def versions(python: str, names: Mapping[str, str]) -> dict[str, str | None]:
    """Raises `InputError` where the interpreter does not answer."""
    fix = "name another in resources.python"
    try:
        command = [python, "-c", _PROBE, *names]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
        found: dict[str, str | None] = json.loads(ended.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired) as error:
        why = "does not answer" if isinstance(error, subprocess.TimeoutExpired) else str(error.strerror)
        raise InputError(f"the interpreter {why}", file=python, fix=fix) from error
    except (IndexError, ValueError) as error:
        raise InputError(f"it is no Python that runs: {last_line(ended.stderr)}", file=python, fix=fix) from error
    return found
