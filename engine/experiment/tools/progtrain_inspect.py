"""Evaluates with inspect-ai, and writes the log as JSON beside it: `python progtrain_inspect.py --logs DIR -- WORDS`.

WORDS are those of `inspect eval`. Runs in the user's interpreter. inspect's own command does all of it, in one process,
since its imports take most of the time. The log says how the evaluation went: inspect ends with 0 where all samples
fail.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import runpy
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", required=True)
    parser.add_argument("--model-args", default="{}", help="JSON, for the model's provider")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    count_tokens_here()
    config = os.path.join(options.logs, "model_args.json")
    with open(config, "w", encoding="utf-8") as file:
        file.write(options.model_args)
    words = [*options.words, "--model-config", config] if json.loads(options.model_args) else options.words
    fixed = ["--log-dir", options.logs, "--log-format", "eval", "--display", "plain"]
    code = inspect("eval", *words, *fixed)
    log = newest(options.logs)
    if log is None:
        sys.exit(code or "inspect has written no log")
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        dumped = inspect("log", "dump", log)
    if dumped:
        sys.exit(f"{log} cannot be read: {told.getvalue()[-500:]}")
    beside = log[: -len(".eval")] + ".json"
    with open(beside + ".new", "w", encoding="utf-8") as file:
        file.write(told.getvalue())
    os.replace(beside + ".new", beside)
    sys.exit(code)


def inspect(*words):
    """Its exit code."""
    sys.argv = ["inspect", *words]
    try:
        runpy.run_module("inspect_ai", run_name="__main__", alter_sys=False)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return 0


def newest(folder):
    found = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".eval")]
    return max(found, key=os.path.getmtime) if found else None


def count_tokens_here():
    """inspect counts tokens by a table that tiktoken fetches; without a network that ends every sample. The count is
    an estimate either way."""

    def count(text):
        return max(1, len(text.encode()) // 4)

    with contextlib.suppress(ImportError, AttributeError):
        import inspect_ai.model._model as model
        import inspect_ai.model._tokens as tokens

        # only where both still have it
        if tokens.count_text_tokens and model.count_text_tokens:
            tokens.count_text_tokens = model.count_text_tokens = count


if __name__ == "__main__":
    main()
