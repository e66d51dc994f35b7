"""What a loop of the script's own prints of its validation, such as `Test set: Average loss: 0.05, Accuracy: 390/400`.

Read twice: in the source before the training, where the calls that print say which numbers there will be, and in the
output after it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from progtrain.engine import metrics
from progtrain.engine.script.nodes import called
from progtrain.engine.text import clean_line

_NUMBER = re.compile(r"(?<![\w.@-])[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf)(?![\w@])", re.IGNORECASE)
_PART_OF = re.compile(r"\s*/\s*(\d+)(?![\d.])")
#: "90.00% correct", "450/500 correct", where nothing before the number names it
_CORRECT = re.compile(r"\s*(%{1,2}|/\s*\d+)\s*correct\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+\d*")
#: between two things that a line tells of
_BETWEEN = re.compile(r"[|;,\t]| - ")
_SETS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "eval", "evaluation", "dev", "holdout"},
    "test": {"test", "testing"},
}
_SET_OF = {word: name for name, words in _SETS.items() for word in words}
#: words that say nothing of which number it is
_FILLING = frozenset(
    {"average", "avg", "mean", "overall", "total", "final", "current", "set", "split"}
    | {"the", "on", "of", "is", "results", "result", "tensor", "info", "debug", "warning", "root"}
)
_COUNTERS = frozenset({"epoch", "epochs", "step", "steps", "iter", "iteration"})
_PRINTING = frozenset(
    {"print", "info", "debug", "warning", "write", "log", "echo", "set_description", "set_postfix_str"}
)
#: Longer lines are data rather than a report.
_LONGEST = 2_000
#: what stands for a value that is known only when it is printed
_UNKNOWN = " 0.5 "
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|%[-+ #0]*\d*(?:\.\d+)?[sdfegri]")


def numbers(line: str) -> Iterator[tuple[str, str, float]]:
    """The known metrics in a line: what they are of ("train", "val", "test", or empty where the line does not say),
    name and value. A percentage or "9 of 10" becomes a fraction."""
    end, of = 0, ""
    for match in _NUMBER.finditer(line):
        label, end = line[end : match.start()], match.end()
        of = next((_SET_OF[word] for word in reversed(_words(label)) if word in _SET_OF), of)
        near = _words(_BETWEEN.split(label)[-1])
        words = [word for word in near if word not in _SET_OF and word not in _FILLING]
        name = _metric(words) if words or not _CORRECT.match(line[end:]) else "accuracy"
        if name is not None:
            yield of, name, _value(match, line)


def _words(label: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).replace("@1 ", " ").replace("@", "")
    return [word.casefold() for word in _WORD.findall(spaced)]


def _metric(words: list[str]) -> str | None:
    """Words that are the name of a metric and nothing else: "best accuracy" and "kl loss" are other numbers."""
    joined = "_".join(words[_begins(words) :])
    return metrics.canonical(joined) if joined and metrics.higher_is_better(joined) is not None else None


def _begins(words: list[str]) -> int:
    """Behind the last counter: "end of epoch 3 loss" has no word of the number's name before it."""
    return max((at + 1 for at, word in enumerate(words) if word in _COUNTERS), default=0)


def _value(match: re.Match[str], line: str) -> float:
    value, behind = float(match[0]), line[match.end() :]
    if whole := _PART_OF.match(behind):
        return value / int(whole[1]) if int(whole[1]) else value
    return value / 100 if behind.lstrip().startswith("%") else value


def _counted(line: str, words: frozenset[str]) -> int | None:
    """The number of the epoch, or of the step, that the line tells of."""
    found = re.search(rf"\b({'|'.join(sorted(words, reverse=True))})\b\W*(\d+)(?![\d.]*\.)", line, re.IGNORECASE)
    return int(found[2]) if found else None


# ---- before the training


def announced(trees: Iterable[ast.Module]) -> list[str]:
    """Metrics of the validation that the source says it will print; those of a test set where there are no others."""
    found = [number for tree in trees for text in _texts(tree) for number in numbers(text)]
    for of in ("val", "test", ""):
        if names := dict.fromkeys(name for its, name, _ in found if its == of):
            return list(names)
    return []


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in _PRINTING:
            yield " ".join(_shown(argument) for argument in node.args)


def _shown(node: ast.expr) -> str:
    """The text that it makes, with a number for each value."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else _UNKNOWN
    if isinstance(node, ast.JoinedStr):
        return "".join(_shown(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _shown(node.left) + _shown(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _filled(_shown(node.left))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _filled(_shown(node.func.value))
    return _UNKNOWN


def _filled(text: str) -> str:
    return _PLACEHOLDER.sub(_UNKNOWN, text)


# ---- after it


def epochs(output: str) -> list[dict[str, float]]:
    """A row for each validation that was printed: `epoch`, `val_loss`, `train_loss` and the like. Empty where none was.

    A script that prints of no validation set but of a test set is validated by that one.
    """
    lines = [
        line for raw in re.split(r"[\r\n]+", output) if len(line := clean_line(raw.replace("\t", " | "))) <= _LONGEST
    ]
    told = {of for line in lines for of, _, _ in numbers(line)}
    of = "val" if "val" in told else "test"
    if of not in told:
        return []
    by_epoch = any(_counted(line, frozenset({"epoch"})) is not None and list(numbers(line)) for line in lines)
    return list(_rows(lines, of, frozenset({"epoch"}) if by_epoch else _COUNTERS))


def _rows(lines: Iterable[str], of: str, counters: frozenset[str]) -> Iterator[dict[str, float]]:
    count: int | None = None
    train: dict[str, float] = {}
    val: dict[str, float] = {}
    done = 0
    for line in lines:
        now = _counted(line, counters)
        found = list(numbers(line))
        again = count is None and any(its == of and f"val_{name}" in val for its, name, _ in found)
        if val and (again or (now is not None and now != count)):
            yield {"epoch": done, **train, **val}
            done, train, val = done + 1, {}, {}
        count = now if now is not None else count
        for its, name, value in found:
            if its == of:
                val[f"val_{name}"] = value
            elif its in ("train", ""):
                train[f"train_{name}"] = value
    if val:
        yield {"epoch": done, **train, **val}
