"""What a recipe is: words about it, and the code that applies it to a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import libcst as cst

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import RecipeInfo, Risk
from progtrain.engine.script.action.rewrite import NeedsBlock, Refused, Script
from progtrain.engine.script.action.set import SetOperation
from progtrain.engine.script.settings import Setting, choose_setting, find_settings, parse_script
from progtrain.engine.script.structure import ScriptFacts, describe

Parameters = dict[str, Any]
Rewrite = Callable[[Script, Parameters], None]
#: parameters fitted to a script, from its facts and settings
Fit = Callable[[ScriptFacts, Sequence[Setting]], Parameters]


def nothing_to_fit(facts: ScriptFacts, settings: Sequence[Setting]) -> Parameters:
    return {}


@dataclass(frozen=True)
class Recipe:
    """`footprint` names the places that it may change; `difference` knows what they are."""

    info: RecipeInfo
    rewrite: Rewrite
    footprint: frozenset[str]
    fit: Fit = nothing_to_fit
    #: parameters that are settings which the script has already, and that change along with the rest
    sets: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def candidate_id(self) -> str:
        return self.info.candidate_id

    @property
    def title(self) -> str:
        return self.info.title

    @property
    def why(self) -> str:
        return self.info.why

    @property
    def risk(self) -> Risk:
        return self.info.risk

    @property
    def parameters(self) -> Mapping[str, object]:
        return self.info.parameters

    @property
    def touches(self) -> frozenset[str]:
        return self.info.touches

    def precondition(
        self, source: str, facts: ScriptFacts | None = None, parameters: Mapping[str, Any] | None = None
    ) -> str | None:
        """Why it cannot be applied; None when it can. Tells by trying, so that it never promises too much."""
        try:
            self._rewritten(source, self.resolve(source, parameters or {}, facts))
        except Refused as refusal:
            return refusal.reason
        except InputError as error:
            return error.reason
        return None

    def resolve(self, source: str, parameters: Mapping[str, Any], facts: ScriptFacts | None = None) -> Parameters:
        """All parameters: given, else fitted to the script, else default. `learning_rate: null` says "leave it"."""
        fitted = self.fit(facts or describe(source), find_settings(source))
        result = {**self.info.parameters, **fitted}
        result.update((k, v) for k, v in parameters.items() if v is not None or k == "learning_rate")
        return result

    def fitted(self, source: str, facts: ScriptFacts | None = None) -> dict[str, Any]:
        """The parameters for this script, written out."""
        resolved = self.resolve(source, {}, facts)
        return {name: value for name, value in resolved.items() if value is not None}

    def run(self, source: str, parameters: Mapping[str, Any] | None = None, *, filename: str = "") -> str:
        """The script with the recipe applied. Raises `InputError` that says why it cannot be."""
        try:
            return self._rewritten(source, self.resolve(source, parameters or {}), filename)
        except Refused as refusal:
            raise InputError(
                f"{self.id} cannot be applied: {refusal.reason}",
                file=filename or None,
                fix="choose another candidate, or make the change in the script by hand",
            ) from refusal

    def apply(self, source: str, parameters: Mapping[str, Any] | None = None) -> str:
        return self.run(source, parameters)

    def _rewritten(self, source: str, parameters: Parameters, filename: str = "") -> str:
        try:
            code = self._attempt(source, filename, parameters)
        except cst.ParserSyntaxError as error:
            raise Refused(f"the script uses syntax that cannot be rewritten ({error.message})") from error
        for key in self.sets:
            if (value := parameters.get(key)) is not None:
                code = _with_setting(code, key, value)
        parse_script(code, filename)
        return code

    def _attempt(self, source: str, filename: str, parameters: Parameters) -> str:
        expand: frozenset[str] = frozenset()
        while True:
            script = Script(source, filename, expand)
            try:
                self.rewrite(script, parameters)
                return script.code()
            except NeedsBlock as need:
                if need.function in expand:
                    raise Refused(f"{need.function} cannot be written as a block") from need
                expand |= {need.function}


def _with_setting(code: str, key: str, value: float) -> str:
    setting = choose_setting(find_settings(code), key)
    if setting is None:
        raise Refused(f"the {key.replace('_', ' ')} is not a literal in the script, so it cannot be set along with it")
    if setting.value == value:
        return code
    return SetOperation(setting=setting.name, to=value).apply(code)
