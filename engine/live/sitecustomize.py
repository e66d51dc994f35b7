"""Runs before the user's script where this folder is on its PYTHONPATH, and asks to be told of what the script imports.

The module of the same name that would have run without this folder runs first.
"""

import importlib.util
import os
import sys
from importlib.machinery import PathFinder

_ASKED = ("LIVE_FILE", "RECORD_FILE", "CURVE_FILE", "PROBE_FILE", "PROBE_CHILD")
_HERE = os.path.realpath(os.path.dirname(__file__))


def _run_the_other():
    elsewhere = [folder for folder in sys.path if os.path.realpath(folder or ".") != _HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _install():
    if any(os.environ.get(f"PROGTRAIN_{name}") for name in _ASKED):
        probed = bool(os.environ.get("PROGTRAIN_PROBE_FILE"))
        try:
            import progtrain_hooks

            progtrain_hooks.install()
        except Exception as error:  # a training runs without us then; a probe must not become one
            if probed:
                sys.stderr.write(f"the probe cannot be set up: {type(error).__name__}: {error}\n")
                sys.stderr.flush()
                os._exit(70)


try:
    _run_the_other()
finally:
    _install()
