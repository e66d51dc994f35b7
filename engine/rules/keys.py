"""The keys of `user_defined_rules.json`: their defaults, and what may stand under each.

A table instead of a model: `progtrain status` reads the rules, and may not wait for what a model imports.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from progtrain.engine.complaints import shown
from progtrain.engine.errors import InputError
from progtrain.engine.jobs import sizes
from progtrain.engine.rules import goal
from progtrain.engine.script.names import ALIASES, canonical

#: says what belongs there instead; None for what may stand there
Check = Callable[[Any], str | None]

_FOLDER_NAME = re.compile(r"[^/\\\0]+")


def _whole(least: int) -> Check:
    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "a whole number belongs here"
        return None if value >= least else f"a number of at least {least} belongs here"

    return check


def _above_zero(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return "a number belongs here"
    return None if value > 0 else "a number above 0 belongs here"


def _is(kind: type, what: str) -> Check:
    return lambda value: None if isinstance(value, kind) else f"{what} belongs here"


_text = _is(str, "a text in quotes")
_switch = _is(bool, "true or false")
_object = _is(dict, "an object in { }")


def _words(value: Any) -> str | None:
    return _text(value) or (None if value else "a text that is not empty belongs here")


def _one_of(*words: str) -> Check:
    *first, last = map(repr, words)
    return lambda value: None if value in words else f"one of {', '.join(first)} or {last} belongs here"


def _repeats(value: Any) -> str | None:
    return None if value == "auto" or _whole(0)(value) is None else 'a whole number, or "auto", belongs here'


def _folder(value: Any) -> str | None:
    named = isinstance(value, str) and _FOLDER_NAME.fullmatch(value) and value not in {".", ".."}
    return _text(value) or (None if named else "a dataset_id is the name of one folder below dataset/prepdata/")


def _or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _arguments(value: Any) -> str | None:
    listed = isinstance(value, list) and all(isinstance(word, str | int | float) for word in value)
    return None if listed else 'a list of words belongs here, such as ["--config", "small.yaml"]'


def _form(pattern: re.Pattern[str], what: str) -> Check:
    """`pattern`: of the whole text; a whole number is one too."""

    def check(value: Any) -> str | None:
        given = isinstance(value, str | int) and not isinstance(value, bool) and pattern.fullmatch(str(value))
        return None if given else f"{what} belongs here"

    return check


def _shell_lines(value: Any) -> str | None:
    listed = isinstance(value, list) and all(isinstance(line, str) and "\n" not in line for line in value)
    return None if listed else 'a list of lines of shell belongs here, such as ["module load cuda"]'


def _options(value: Any) -> str | None:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        return 'a list of options of sbatch belongs here, such as ["--constraint=a100"]'
    return next((reason for line in value if (reason := sizes.refused_option(line))), None)


_word = _form(re.compile(r"[^\s#\"'\\]+"), "a name without spaces, quotes and #")
#: of `loop_config.resources`: what each job asks a cluster for
_RESOURCES: dict[str, Check] = {
    "partition": _or_null(_word),
    "account": _or_null(_word),
    "qos": _or_null(_word),
    "gpus": _whole(0),
    "cpus": _or_null(_whole(1)),
    "memory": _or_null(_form(sizes.MEMORY, 'a size such as "16G"')),
    "time": _or_null(_form(sizes.TIME, 'minutes, or a time such as "04:30:00"')),
    "setup": _shell_lines,
    "sbatch": _options,
    "python": _or_null(_words),
    "preemptible": _switch,
    "poll_seconds": _whole(1),
}
#: key -> (what may stand there, default)
KEYS: dict[str, tuple[Check, Any]] = {
    "seed": (_whole(0), 42),
    "loop_config.max_versions": (_whole(1), goal.MAX_VERSIONS),
    "loop_config.branch_from": (_one_of("latest", "best", "proven"), "latest"),
    "loop_config.max_train_attempts": (_whole(1), 3),
    "loop_config.step_timeout_minutes": (_or_null(_above_zero), None),
    "loop_config.executor": (_one_of("local", "slurm"), "local"),
    "loop_config.resources": (_object, {}),
    "loop_config.sandbox": (_switch, False),
    "dataset_config.dataset_id": (_or_null(_folder), None),
    "training_config": (_object, {}),
    "training_args": (_arguments, []),
    "eval_config.primary_metric": (_or_null(_words), None),
    "eval_config.metrics": (_is(list, "a list in [ ]"), []),
    "eval_config.repeats": (_or_null(_repeats), None),
    "eval_config.infer_samples": (_whole(0), 10),
    "eval_config.final_test": (_switch, False),
    "advisor_config.model": (_or_null(_text), None),
    "advisor_config.context_tokens": (_or_null(_whole(256)), None),
    "advisor_config.gpu_layers": (_or_null(_whole(-1)), None),
    "advisor_config.threads": (_or_null(_whole(1)), None),
    "advisor_config.allow_code_edits": (_switch, False),
}
#: an older name of `dataset_id`, still read
_OLDER = {"dataset_config.prepdata_version": (_or_null(_folder), None)}
_SECTIONS = tuple(dict.fromkeys(key.split(".")[0] for key in KEYS if "." in key))
#: of one entry of `eval_config.metrics` that is no text
_METRIC: dict[str, Check] = {"name": _words, "higher_is_better": _or_null(_switch)}


def value(stated: Mapping[str, Any], key: str) -> Any:
    """What stands under a key, else its default."""
    section, _, name = key.rpartition(".")
    return (stated.get(section, {}) if section else stated).get(name, (KEYS | _OLDER)[key][1])


def problems(stated: Mapping[str, Any], path: Path) -> list[InputError]:
    """All that is wrong, in the order of the table."""

    def wrong(place: str, reason: str, *found: Any) -> InputError:
        said = "".join(f", found {shown(one)}" for one in found)
        fix = "correct the value of that key (progtrain docs rules lists all)"
        return InputError(f"{reason}{said}", file=path, place=f"key {place}", fix=fix)

    sections = [(name, _object(stated[name])) for name in _SECTIONS if name in stated]
    found = [wrong(name, reason, stated[name]) for name, reason in sections if reason]
    for key, (check, _) in (KEYS | _OLDER).items():
        section, _, name = key.rpartition(".")
        held = stated.get(section, {}) if section else stated
        if isinstance(held, dict) and name in held and (reason := check(held[name])):
            found.append(wrong(key, reason, held[name]))
    inside = (*_resource_problems(stated), *_metric_problems(stated))
    found += [wrong(place, reason, *value) for place, reason, *value in inside]
    return found


def _resource_problems(stated: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    held = stated.get("loop_config")
    asked = held.get("resources") if isinstance(held, dict) else None
    if not isinstance(asked, dict):
        return
    for key, check in _RESOURCES.items():
        if key in asked and (reason := check(asked[key])):
            yield f"loop_config.resources.{key}", reason, asked[key]


def _metric_problems(stated: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    held = stated.get("eval_config")
    listed = held.get("metrics") if isinstance(held, dict) else None
    for index, entry in enumerate(listed if isinstance(listed, list) else ()):
        place = f"eval_config.metrics[{index}]"
        if isinstance(entry, dict) and "name" not in entry:
            yield f"{place}.name", "this key is missing"
        elif isinstance(entry, dict):
            checked = ((key, check(entry[key])) for key, check in _METRIC.items() if key in entry)
            yield from ((f"{place}.{key}", reason, entry[key]) for key, reason in checked if reason)
        elif reason := _text(entry):
            yield place, reason, entry


def unknown(stated: Mapping[str, Any]) -> Iterator[str]:
    """Keys that nothing reads, with the one that was probably meant."""
    top = [key for key in KEYS if "." not in key]
    yield from _unknown_in(stated, "", [*top, *_SECTIONS])
    for section in _SECTIONS:
        inside = [key.partition(".")[2] for key in KEYS | _OLDER if key.startswith(f"{section}.")]
        yield from _unknown_in(stated.get(section, {}), f"{section}.", inside)
    yield from _unknown_in(value(stated, "loop_config.resources"), "loop_config.resources.", [*_RESOURCES])
    for index, entry in enumerate(value(stated, "eval_config.metrics")):
        if isinstance(entry, dict):
            yield from _unknown_in(entry, f"eval_config.metrics[{index}].", [*_METRIC])


def _unknown_in(held: Mapping[str, Any], prefix: str, known: list[str]) -> Iterator[str]:
    for key in held:
        if key in known:
            continue
        import difflib  # with its 5 ms `status` has nothing to do

        near = difflib.get_close_matches(key, known, n=1)
        meant = f"{prefix}{near[0]}" if near else _elsewhere(key)
        hint = f"; did you mean {meant}?" if meant else ""
        yield f"unknown key {prefix}{key} in the rules is kept and has no effect{hint}"


def _elsewhere(key: str) -> str | None:
    """The place of a key that stands in the wrong one."""
    place = next((known for known in KEYS if known.endswith(f".{key}")), None)
    return place or (f"training_config.{key}" if canonical(key) in ALIASES else None)
