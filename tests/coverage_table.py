"""Writes docs/coverage.md: which test and which module stand behind each item of the specification.

Tests name their items in the docstring or in a comment of the function: `"L11, L36"`. Run it
after adding one: `tests/test_coverage.py` fails while the table is not the present one.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "coverage.md"

#: item -> what it is about, and the module that does it
ITEMS = {
    "L1": ("started by the user alone", "engine/launch.py, tui/commands.py"),
    "L2": ("rules first, in every step", "engine/rules.py, engine/context.py"),
    "L3": ("missing files are said, broken ones stop", "engine/rules.py"),
    "L4": ("the rule wins over the action", "engine/authoring.py"),
    "L5": ("max_versions", "engine/steps/check.py"),
    "L6": ("training_config locks and is verified", "engine/script/checks.py, engine/spec.py"),
    "L7": ("dataset_id, fixed in step 0", "engine/steps/initialize.py"),
    "L8": ("the keys of the rules", "engine/rules.py"),
    "L9": ("direction of metrics", "engine/metrics.py, engine/rules.py"),
    "L10": ("what initialize reads", "engine/steps/initialize.py, engine/data.py"),
    "L11": ("goes on where something is missing", "engine/loop.py, engine/marks.py"),
    "L12": ("baseline audit", "engine/script/audit.py"),
    "L13": ("one minimal mend, shown first", "engine/script/mend.py"),
    "L14": ("the baseline becomes v001", "engine/steps/initialize.py"),
    "L15": ("the script under its guard", "engine/jobs/guard.py"),
    "L16": ("required outputs, spec.json completed", "engine/steps/train.py, engine/spec.py"),
    "L17": ("training writes no scores", "engine/steps/train.py"),
    "L18": ("failed attempts kept, repairs proposed", "engine/attempts.py, engine/script/repair.py"),
    "L19": ("attempts, then the user", "engine/steps/train.py"),
    "L20": ("best.ckpt on the whole validation set", "engine/templates/evaluate.py"),
    "L21": ("03_eval.py is written once, and hashed", "engine/steps/evaluate.py, engine/history.py"),
    "L22": ("metrics by torchmetrics, loss always", "engine/templates/evaluate.py"),
    "L23": ("eval_score.json and latency", "engine/templates/evaluate.py, engine/schema.py"),
    "L24": ("a missing primary metric ranks last", "engine/steps/evaluate.py"),
    "L25": ("infer_samples", "engine/templates/evaluate.py"),
    "L26": ("per_sample.csv", "engine/templates/evaluate.py, engine/insight/per_sample.py"),
    "L27": ("which log is read", "engine/insight/reading.py"),
    "L28": ("deltas, verdicts, curves, failures", "engine/insight/"),
    "L29": ("result-analysis.md", "engine/insight/documents.py"),
    "L30": ("exactly one action, and memory of what was tried", "engine/insight/candidates.py"),
    "L31": ("action-extract.md, both ways", "engine/insight/documents.py, engine/insight/action_file.py"),
    "L32": ("the last version too", "engine/loop.py"),
    "L33": ("the end of the loop", "engine/steps/check.py"),
    "L34": ("the next script: one change, VERSION, header", "engine/authoring.py, engine/script/header.py"),
    "L35": ("compiles, exact difference, rules hold", "engine/authoring.py, engine/script/difference.py"),
    "L36": ("one report for each finished loop", "engine/steps/report.py, engine/runner.py"),
    "L37": ("04_final_report.py", "engine/templates/final_report.py"),
    "L38": ("one protocol", "engine/templates/final_report.py"),
    "L39": ("columns of leaderboard.csv", "engine/templates/final_report.py"),
    "L40": ("external models", "engine/templates/final_report.py, engine/templates/evaluate.py"),
    "L41": ("ranking", "engine/templates/final_report.py"),
    "L42": ("final-analysis.md, final test once", "engine/templates/final_report.py"),
    "L43": ("locks from the instruction", "engine/instruction.py"),
    "C1": ("everything without a screen", "engine/cli/"),
    "C2": ("--dry-run", "engine/plan.py"),
    "C3": ("errors with file, place, reason, mend", "engine/errors.py, engine/cli/main.py"),
    "T1": ("the app holds nothing", "tui/start.py, tui/app.py, engine/launch.py"),
    "T2": ("loop screen", "tui/screens/"),
    "T3": ("review screen", "tui/screens/"),
    "T4": ("leaderboard screen", "tui/screens/"),
    "T5": ("samples screen", "tui/screens/"),
    "T6": ("rules, journal and report screens", "tui/screens/"),
    "T7": ("keys", "tui/app.py"),
    "T8": ("text is never control", "engine/plain.py, tui/sanitize.py"),
    "A1": ("local GGUF, bundled or any other", "advisor/llama.py, advisor/locate.py"),
    "A2": ("a process for one draft", "advisor/process.py"),
    "A3": ("numbers from facts alone", "advisor/grounding.py"),
    "A4": ("prose first, then the scored choice", "advisor/drafting.py, advisor/ranking.py"),
    "A5": ("code edits of one function, where allowed", "engine/proposing.py, engine/script/conduct.py"),
    "A6": ("who wrote it, and the fallback", "advisor/rules_only.py, engine/drafting.py"),
}
_ITEM = re.compile(r"\b([LCTA]\d{1,2})\b(?:\s*(?:to|–)\s*\b[LCTA]?(\d{1,2})\b)?")


def tests_by_item() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        whole = _items(ast.get_docstring(ast.parse(source)) or "")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
                comments = " ".join(line.split("#", 1)[1] for line in lines if "#" in line)
                for item in whole | _items((ast.get_docstring(node) or "") + " " + comments):
                    found.setdefault(item, []).append(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return found


def _items(text: str) -> set[str]:
    found = set()
    for match in _ITEM.finditer(text):
        first, last = match[1], match[2]
        numbers = range(int(first[1:]), int(last or first[1:]) + 1)
        found |= {f"{first[0]}{number}" for number in numbers}
    return found & set(ITEMS)


def table() -> str:
    tests = tests_by_item()
    lines = [
        "# What stands behind each item",
        "",
        "Made by `python tests/coverage_table.py` from the tests' own words; a test fails while it is out of date.",
        "",
        "| Item | About | Module | Tests |",
        "|---|---|---|---|",
    ]
    for item, (about, module) in ITEMS.items():
        names = tests.get(item, [])
        shown = "<br>".join(f"`{name.removeprefix('tests/')}`" for name in names[:4])
        more = f"<br>and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"| {item} | {about} | `{module}` | {shown}{more} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
    missing = [item for item in ITEMS if item not in tests_by_item()]
    sys.stdout.write(f"no test names {', '.join(missing)}\n" if missing else "every item has a test\n")
