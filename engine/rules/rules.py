"""`user_defined_rules.json` and `user_instruction.md`: what nothing may break."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text, sha256_text
from progtrain.engine.json_text import parse_json
from progtrain.engine.rules import goal, keys, remembered
from progtrain.engine.rules.locks import Instruction
from progtrain.engine.script.names import canonical
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    from progtrain.engine.schema import EvalScore


@dataclass(frozen=True)
class Rules:
    """Rules and instruction as they are now."""

    path: Path
    #: the keys that stand in the file, as plain JSON, all of them valid
    stated: Mapping[str, Any]
    instruction: Instruction
    #: False: there is no such file, hence no constraint of that kind
    has_rules: bool
    has_instruction: bool
    #: of both files
    text: str
    warnings: tuple[str, ...] = ()

    def value(self, key: str) -> Any:
        """Of `"loop_config.max_versions"` and the like; the default where it is not stated."""
        return keys.value(self.stated, key)

    def with_value(self, key: str, value: Any) -> Rules:
        """The same rules with another value for one key, as the command line may give it."""
        section, name = key.split(".")
        return replace(self, stated={**self.stated, section: {**self.stated.get(section, {}), name: value}})

    @property
    def prose(self) -> str:
        """The instruction as it stands there."""
        return self.text.partition("\0")[2]

    @cached_property
    def sha256(self) -> str:
        return sha256_text(self.text)

    @property
    def seed(self) -> int:
        return int(self.value("seed"))

    @property
    def max_versions(self) -> int:
        return int(self.value("loop_config.max_versions"))

    @property
    def branch_from(self) -> Literal["latest", "best", "proven"]:
        found: Literal["latest", "best", "proven"] = self.value("loop_config.branch_from")
        return found

    @property
    def repeats(self) -> int | Literal["auto"]:
        """How often each version is trained again with other seeds; "auto": where it is cheap, and as far as needed."""
        asked: int | Literal["auto"] | None = self.value("eval_config.repeats")
        return asked or 0

    @property
    def max_train_attempts(self) -> int:
        return int(self.value("loop_config.max_train_attempts"))

    @property
    def on_cluster(self) -> bool:
        """Whether trainings and evaluations run as jobs of Slurm."""
        return bool(self.value("loop_config.executor") == "slurm")

    @property
    def sandboxed(self) -> bool:
        """Whether trainings and evaluations can write to their version's folder alone."""
        return bool(self.value("loop_config.sandbox"))

    @property
    def resources(self) -> dict[str, Any]:
        """What each of these jobs asks for, as it is stated."""
        return dict(self.value("loop_config.resources"))

    @property
    def dataset_id(self) -> str | None:
        named: str | None = self.value("dataset_config.dataset_id") or self.value("dataset_config.prepdata_version")
        return named

    @property
    def training_config(self) -> dict[str, Any]:
        return dict(self.value("training_config"))

    @property
    def training_args(self) -> list[str]:
        """What a script is started with."""
        return [str(word) for word in self.value("training_args")]

    @property
    def allow_code_edits(self) -> bool:
        return bool(self.value("advisor_config.allow_code_edits"))

    @cached_property
    def locked(self) -> dict[str, Any]:
        """Canonical setting -> the value that the rules give it."""
        locks = {canonical(key): value for key, value in self.training_config.items()}
        if "seed" in self.stated:
            locks.setdefault("seed", self.seed)
        return locks

    def locks_in(self, settings: Iterable[str]) -> dict[str, Any]:
        """What may not be changed in a script with these settings: by the rules with the value that they give, by
        the instruction with None.
        """
        only = self.instruction.only
        outside = [] if only is None else [key for key in settings if key not in only]
        return {**dict.fromkeys([*outside, *self.instruction.locked]), **self.locked}

    @property
    def primary_metric(self) -> str:
        return goal.primary_metric(self.stated)

    @property
    def metric_names(self) -> list[str]:
        return goal.metric_names(self.stated)

    def higher_is_better(self, metric: str) -> bool:
        """Raises `InputError` for a name whose direction neither the rules nor the table tell."""
        known = goal.higher_is_better(self.stated, metric)
        if known is None:
            raise InputError(
                f"which way is {metric!r} better? It is not among the well-known metrics",
                file=self.path,
                place="key eval_config.metrics",
                fix=f'write it as {{"name": "{metric}", "higher_is_better": true}} (or false)',
            )
        return known

    def check_directions(self, score: EvalScore, path: Path) -> None:
        """A score that says the opposite of the rules is an error."""
        for metric in score.metrics:
            # None: the evaluator's own extra metric, which says itself which way it goes
            expected = goal.higher_is_better(self.stated, metric.name)
            if expected is not None and metric.higher_is_better != expected:
                raise InputError(
                    f"{metric.name} says higher_is_better {str(metric.higher_is_better).lower()}, "
                    f"the rules and the table of known metrics say {str(expected).lower()}",
                    file=path,
                    place=f"metric {metric.name}",
                    fix="correct 03_eval.py, or give the direction in eval_config.metrics",
                )

    @property
    def timeout_seconds(self) -> float | None:
        minutes: float | None = self.value("loop_config.step_timeout_minutes")
        return None if minutes is None else minutes * 60

    def locks_shown(self) -> tuple[tuple[str, str], ...]:
        """What is locked and by what, for screens."""
        by_rules = [(key, json.dumps(value)) for key, value in self.locked.items()]
        by_text = [(name, "instruction") for name in sorted(self.instruction.locked)]
        only = self.instruction.only
        return (*by_rules, *by_text, *([("everything else", "instruction")] if only is not None else []))

    def notes(self) -> tuple[str, ...]:
        """In plain words, what stands where."""
        lines = []
        if not self.has_rules:
            lines.append(f"no {self.path.name}: no rules, only the defaults")
        if not self.has_instruction:
            lines.append("no user_instruction.md: no constraint of that kind")
        lines += [f"not enforced, told to the advisor: {line}" for line in self.instruction.not_enforced]
        return tuple(lines)


def load(ws: Workspace, *, to_look: bool = False) -> Rules:
    """Reads both files. Raises `InputError` with file, key, value and fix when one is broken.

    `to_look`: nothing is decided by them, and what the last runner understood of the instruction will do.
    """
    # what is there and is no file must not pass for "no rules"
    for path in (ws.rules, ws.instruction):
        if (path.is_symlink() or path.exists()) and not path.is_file():
            raise InputError("not a file that can be read", file=path, fix="put the file there, or take it away")
    has_rules, has_instruction = ws.rules.is_file(), ws.instruction.is_file()
    text = read_text(ws.rules) if has_rules else "{}"
    data = _parse(text, ws.rules)
    if found := _wrong_values(data, ws.rules):
        first, more = found[0], f" (and {len(found) - 1} more)" if found[1:] else ""
        raise InputError(first.reason + more, file=first.file, place=first.place, fix=first.fix)
    prose = read_text(ws.instruction) if has_instruction else ""
    rules = Rules(
        path=ws.rules,
        stated=data,
        instruction=(remembered.read(ws, prose) if to_look and prose else None) or _understood(prose),
        has_rules=has_rules,
        has_instruction=has_instruction,
        text=text + "\0" + prose,
        warnings=tuple(keys.unknown(data)),
    )
    for name in {rules.primary_metric, *rules.metric_names}:
        rules.higher_is_better(name)
    return rules


def _understood(prose: str) -> Instruction:
    if not prose.strip():
        return Instruction()
    from progtrain.engine.rules import instruction  # the phrases that it knows take their time

    return instruction.read(prose)


def problems(ws: Workspace) -> list[InputError]:
    """All wrong values, where `load` stops at the first; empty where the file cannot be read as rules at all."""
    try:
        return _wrong_values(_parse(read_text(ws.rules), ws.rules), ws.rules)
    except InputError:
        return []


def _parse(text: str, path: Path) -> Any:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                reason = "the key stands there twice, so one of them would be lost"
                raise InputError(reason, file=path, place=f"key {key}", fix="keep one of the two")
            seen[key] = value
        return seen

    try:
        data = parse_json(text, path, no_duplicates)
    except RecursionError as error:
        raise InputError("nested too deeply to be rules", file=path, fix="correct the JSON") from error
    if not isinstance(data, dict):
        raise InputError("the rules are one JSON object", file=path, place="line 1", fix="begin with { and end with }")
    return data


def _wrong_values(data: Mapping[str, Any], path: Path) -> list[InputError]:
    config = data.get("training_config")
    locked = _training_config_problems(config, path) if isinstance(config, dict) else ()
    return [*keys.problems(data, path), *locked]


def _training_config_problems(config: Mapping[str, Any], path: Path) -> Iterator[InputError]:
    """Settings that are locked twice with different values, or to something that is no value."""
    seen: dict[str, str] = {}
    for key, value in config.items():
        place = f"key training_config.{key}"
        name = canonical(key)
        if name in seen and config[seen[name]] != value:
            reason = f"{seen[name]} and {key} both mean {name}, with different values"
            yield InputError(reason, file=path, place=place, fix="keep one of the two")
        seen[name] = key
        if isinstance(value, dict):
            fix = 'name the setting itself, for example "learning_rate": 0.001'
            yield InputError("a locked setting has one value, not an object", file=path, place=place, fix=fix)
