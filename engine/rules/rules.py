"""`user_defined_rules.json` and `user_instruction.md`: what nothing may break."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from progtrain.engine.complaints import first_problem
from progtrain.engine.errors import InputError
from progtrain.engine.files import parse_json, read_text, sha256_text
from progtrain.engine.rules import goal, instruction
from progtrain.engine.schema import EvalScore
from progtrain.engine.script.names import ALIASES, canonical
from progtrain.engine.workspace import Workspace

_FOLDER_NAME = re.compile(r"[^/\\\0]+")


class _Section(BaseModel):
    # strict: `"3"` is not 3; unknown keys are kept, and warned of
    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)


class LoopConfig(_Section):
    max_versions: int = Field(goal.MAX_VERSIONS, ge=1)
    branch_from: Literal["latest", "best"] = "latest"
    max_train_attempts: int = Field(3, ge=1)
    step_timeout_minutes: float | None = Field(None, gt=0)


class DatasetConfig(_Section):
    dataset_id: str | None = Field(None, validation_alias=AliasChoices("dataset_id", "prepdata_version"))

    @field_validator("dataset_id")
    @classmethod
    def _one_folder(cls, value: str | None) -> str | None:
        if value is not None and (not _FOLDER_NAME.fullmatch(value) or value in {".", ".."}):
            raise ValueError("a dataset_id is the name of one folder below dataset/prepdata/")
        return value


class MetricRule(_Section):
    name: str = Field(min_length=1)
    higher_is_better: bool | None = None


class EvalConfig(_Section):
    primary_metric: str | None = Field(None, min_length=1)
    metrics: list[str | MetricRule] = Field(default_factory=list)
    infer_samples: int = Field(10, ge=0)
    final_test: bool = False


class AdvisorConfig(_Section):
    model: str | None = None
    context_tokens: int | None = Field(None, ge=256)
    gpu_layers: int | None = Field(None, ge=-1)
    threads: int | None = Field(None, ge=1)
    allow_code_edits: bool = False


class RulesFile(_Section):
    """The keys of `user_defined_rules.json`."""

    seed: int = Field(42, ge=0)
    loop_config: LoopConfig = Field(default_factory=LoopConfig)
    dataset_config: DatasetConfig = Field(default_factory=DatasetConfig)
    training_config: dict[str, Any] = Field(default_factory=dict)
    eval_config: EvalConfig = Field(default_factory=EvalConfig)
    advisor_config: AdvisorConfig = Field(default_factory=AdvisorConfig)


@dataclass(frozen=True)
class Rules:
    """Rules and instruction as they are now."""

    path: Path
    file: RulesFile
    instruction: instruction.Instruction
    #: False: there is no such file, hence no constraint of that kind
    has_rules: bool
    has_instruction: bool
    sha256: str
    warnings: tuple[str, ...] = ()

    @cached_property
    def stated(self) -> dict[str, Any]:
        """The keys that stand in the file, as plain JSON."""
        return self.file.model_dump(exclude_unset=True)

    @cached_property
    def locked(self) -> dict[str, Any]:
        """Canonical setting -> the value that the rules give it."""
        locks = {canonical(key): value for key, value in self.file.training_config.items()}
        if "seed" in self.file.model_fields_set:
            locks.setdefault("seed", self.file.seed)
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
            try:
                expected = self.higher_is_better(metric.name)
            except InputError:
                continue  # the evaluator's own extra metric: it says itself which way it goes
            if metric.higher_is_better != expected:
                raise InputError(
                    f"{metric.name} says higher_is_better {str(metric.higher_is_better).lower()}, "
                    f"the rules and the table of known metrics say {str(expected).lower()}",
                    file=path,
                    place=f"metric {metric.name}",
                    fix="correct 03_eval.py, or give the direction in eval_config.metrics",
                )

    @property
    def timeout_seconds(self) -> float | None:
        minutes = self.file.loop_config.step_timeout_minutes
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


def load(ws: Workspace) -> Rules:
    """Reads both files. Raises `InputError` with file, key, value and fix when one is broken."""
    # what is there and is no file must not pass for "no rules"
    for path in (ws.rules, ws.instruction):
        if (path.is_symlink() or path.exists()) and not path.is_file():
            raise InputError("not a file that can be read", file=path, fix="put the file there, or take it away")
    has_rules, has_instruction = ws.rules.is_file(), ws.instruction.is_file()
    text = read_text(ws.rules) if has_rules else "{}"
    data = _parse(text, ws.rules)
    try:
        file = RulesFile.model_validate(data)
    except ValidationError as error:
        raise first_problem(
            error, ws.rules, "correct the value of that key (progtrain docs file_formats lists all)"
        ) from error
    _check_training_config(file.training_config, ws.rules)
    prose = read_text(ws.instruction) if has_instruction else ""
    rules = Rules(
        path=ws.rules,
        file=file,
        instruction=instruction.read(prose),
        has_rules=has_rules,
        has_instruction=has_instruction,
        sha256=sha256_text(text + "\0" + prose),
        warnings=tuple(_unknown_keys(file)),
    )
    for name in {rules.primary_metric, *rules.metric_names}:
        rules.higher_is_better(name)
    return rules


def _parse(text: str, path: Path) -> Any:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise InputError(
                    "the key stands there twice, so one of them would be lost",
                    file=path,
                    place=f"key {key}",
                    fix="keep one of the two",
                )
            seen[key] = value
        return seen

    try:
        data = parse_json(text, path, no_duplicates)
    except RecursionError as error:
        raise InputError("nested too deeply to be rules", file=path, fix="correct the JSON") from error
    if not isinstance(data, dict):
        raise InputError("the rules are one JSON object", file=path, place="line 1", fix="begin with { and end with }")
    return data


def _check_training_config(config: Mapping[str, Any], path: Path) -> None:
    seen: dict[str, str] = {}
    for key, value in config.items():
        name = canonical(key)
        if name in seen and config[seen[name]] != value:
            raise InputError(
                f"{seen[name]} and {key} both mean {name}, with different values",
                file=path,
                place=f"key training_config.{key}",
                fix="keep one of the two",
            )
        seen[name] = key
        if isinstance(value, dict):
            raise InputError(
                "a locked setting has one value, not an object",
                file=path,
                place=f"key training_config.{key}",
                fix='name the setting itself, for example "learning_rate": 0.001',
            )


def _elsewhere(key: str) -> str | None:
    """The place of a key that stands in the wrong one."""
    for name, info in RulesFile.model_fields.items():
        if isinstance(info.annotation, type) and key in getattr(info.annotation, "model_fields", ()):
            return f"{name}.{key}"
    return f"training_config.{key}" if canonical(key) in ALIASES else None


def _unknown_keys(model: BaseModel, prefix: str = "") -> Iterator[str]:
    known = [*type(model).model_fields, *(["prepdata_version"] if isinstance(model, DatasetConfig) else [])]
    for key in model.model_extra or {}:
        near = difflib.get_close_matches(key, known, n=1)
        meant = f"{prefix}{near[0]}" if near else _elsewhere(key)
        hint = f"; did you mean {meant}?" if meant else ""
        yield f"unknown key {prefix}{key} in the rules is kept and has no effect{hint}"
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _unknown_keys(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _unknown_keys(item, f"{prefix}{name}[{index}].")
