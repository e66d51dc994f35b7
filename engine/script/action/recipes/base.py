"""What a recipe is: its words, when it fits, and how it rewrites a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from progtrain.advisor.prose import wording
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.allowed_changes import Place
from progtrain.engine.script.action.edit import replace_literal
from progtrain.engine.script.action.rewrite import Refused, Script
from progtrain.engine.script.settings import Setting, choose_setting, duplicates, find_settings, parse_script
from progtrain.engine.script.structure import ScriptFacts, describe

if TYPE_CHECKING:
    from progtrain.engine.analysis.advise.tuning import Situation
    from progtrain.engine.analysis.measure.measurements import Measurements

Risk = Literal["low", "medium", "high"]
Parameters = dict[str, Any]
#: what a circumstance leaves of a score, 0 to 1, how much it gives it at least, and why, in words
Circumstance = tuple[float, float, str]

#: how to see whether it helped, in the words of several recipes: training that gets smoother, a better end of it
STEADIER = """
        verification: Compare the roughness of the training loss with @roughness, and the lowest validation loss with
            @val_loss.
        verification: Watch where the best epoch falls: now it is @best_epoch of @epochs.
        verification: The lowest validation loss should be below @val_loss.
    """
BETTER_AT_THE_END = """
        verification: The last quarter of the validation curve should go lower than @val_loss and stay there.
        verification: Compare the final validation loss with @final_val_loss and the best with @val_loss.
        verification: Look for a smoother end of the training curve than now (roughness @roughness).
    """

#: stands for a default that is fitted to the script when the recipe is applied
FITTED = None


@dataclass(frozen=True)
class Recipe:
    """One change that a practitioner would make to a Lightning script. Each stands in a module of its own, as RECIPE.

    `rewrite` collects the change, or raises `Refused` with the precondition that fails.
    """

    id: str
    #: what it is called among what is on offer: "add_dropout"
    candidate_id: str
    title: str
    #: why and when one does that
    why: str
    risk: Risk
    rewrite: Callable[[Script, Parameters], None]
    #: the places of a script that it may change; a declared change elsewhere is refused
    changes: tuple[Place, ...]
    #: canonical keys and parts of the script that it changes, whatever the parameters: locks are checked against these
    touches: frozenset[str]
    #: its place among equals, and in lists
    order: int = 1000
    #: parameter -> canonical key of the setting that it becomes, and its default, which may be `FITTED`
    brings: Mapping[str, tuple[str, object]] = field(default_factory=dict)
    #: parameters that are settings which the script has already, and that change along with the rest
    sets: tuple[str, ...] = ()
    #: parameters fitted to a script, from its facts and settings
    fit: Callable[[ScriptFacts, Sequence[Setting]], Parameters] = lambda facts, settings: {}

    #: diagnosis -> how often an experienced engineer would try this first, 0 to 1, given the diagnosis for sure
    speaks_for: Mapping[str, float] = field(default_factory=dict)
    speaks_against: Mapping[str, float] = field(default_factory=dict)
    #: whether it can help at all with this task and data
    suits: Callable[[Measurements], bool] = lambda measured: True
    #: what the metric and the length of the training make of its score; None: nothing
    circumstance: Callable[[Measurements], Circumstance | None] = lambda measured: None
    #: what the evidence says about its parameters
    sized: Callable[[Situation], Parameters] = lambda situation: {}

    #: what the advisor may write about it: `goal: ...`, `impact: ...`, `risk: ...`, `verification: ...`, each as often
    #: as there are ways to say it; other lines go on with the one above
    sentences: str = ""
    #: the move of a setting that it acts like, and whose sentences it shares: "dropout_up"
    spoken_of_as: str = ""
    #: what else it acts on, so that hypotheses and the next focus agree with it: words of `advisor/prose/subjects.py`
    effects: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, object]:
        return {name: default for name, (_, default) in self.brings.items()}

    @property
    def keys(self) -> dict[str, str]:
        return {name: key for name, (key, _) in self.brings.items()}

    def words(self) -> dict[str, tuple[str, ...]]:
        """The sentences, its own or the shared ones; empty where nobody has written any."""
        if self.spoken_of_as:
            return wording.action(self.spoken_of_as)
        found: dict[str, tuple[str, ...]] = {}
        for part in re.split(r"\n *(?=(?:goal|impact|risk|verification): )", self.sentences)[1:]:
            section, _, sentence = " ".join(part.split()).partition(": ")
            found[section] = (*found.get(section, ()), sentence)
        return found

    def precondition(self, source: str, parameters: Mapping[str, Any] | None = None) -> str | None:
        """Why it cannot be applied; None when it can. Tells by trying, so that it never promises too much."""
        try:
            self._rewritten(source, self.resolve(source, parameters or {}))
        except Refused as refusal:
            return str(refusal)
        except InputError as error:
            return error.reason
        return None

    def resolve(self, source: str, parameters: Mapping[str, Any]) -> Parameters:
        """All parameters: given, else fitted to the script, else default. `learning_rate: null` says "leave it"."""
        result = {**self.parameters, **self.fit(describe(source), find_settings(source))}
        result.update((k, v) for k, v in parameters.items() if v is not None or k == "learning_rate")
        return result

    def fitted(self, source: str) -> Parameters:
        """The parameters for this script, written out."""
        return {name: value for name, value in self.resolve(source, {}).items() if value is not None}

    def apply(self, source: str, parameters: Mapping[str, Any] | None = None) -> str:
        """The script with the recipe applied. Raises `InputError` that says why it cannot be."""
        try:
            return self._rewritten(source, self.resolve(source, parameters or {}))
        except Refused as refusal:
            raise InputError(
                f"{self.id} cannot be applied: {refusal}",
                fix="choose another candidate, or make the change in the script by hand",
            ) from refusal

    def _rewritten(self, source: str, parameters: Parameters) -> str:
        script = Script(source)
        self.rewrite(script, parameters)
        code = script.code()
        for key in self.sets:
            if (value := parameters.get(key)) is not None:
                code = _with_setting(code, key, value)
        parse_script(code)
        return code


def _with_setting(code: str, key: str, value: float) -> str:
    settings = find_settings(code)
    setting = choose_setting(settings, key)
    words = key.replace("_", " ")
    if setting is None:
        raise Refused(f"the {words} is not a literal in the script, so it cannot be set along with it")
    if setting.value == value:
        return code
    if others := duplicates(settings, setting):
        raise Refused(f"the {words} is set in {len(others) + 1} places: {setting.name} and {others[0].name}")
    return replace_literal(code, setting.span, value)
