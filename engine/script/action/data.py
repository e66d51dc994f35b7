"""Training with more rows: an addition, made of training rows, besides the training split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from progtrain.engine.additions import plan
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.action.operation import Lineage, Operation
from progtrain.engine.script.action.parts import additions
from progtrain.engine.script.action.rewrite import Refused
from progtrain.engine.script.action.trees import same_program
from progtrain.engine.script.sources import with_script

#: stands for the name of an addition that is not made yet
UNNAMED = "a000"
CANDIDATE = "add_training_rows"


class DataOperation(Operation):
    """Has the training read one addition more."""

    operation: Literal["data"] = "data"
    #: "a001"; None: the one that is made of the rest
    addition: str | None = Field(default=None, pattern=r"^a\d{3,}$")
    #: as `additions.plan.read` takes them
    focus: dict[str, Any] = Field(default_factory=dict)
    augment: dict[str, Any] = Field(default_factory=dict)
    replay: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    #: whether as many random training rows are tried too; None: where a training is short
    control: bool | None = None

    def known(self, refuse: Callable[[str, str], InputError]) -> Operation:
        try:
            found = self.plan(0)
        except InputError as error:
            place = f"{error.place}: " if error.place else ""
            raise refuse(f"{place}{error.reason}", error.fix or "") from error
        return self.model_copy(update={"focus": found.focus})

    def plan(self, seed: int) -> plan.Plan:
        """What the addition is to be made of. Raises `InputError`. `seed` counts where it names none."""
        told = {"focus": self.focus, "augment": self.augment, "replay": self.replay}
        return plan.read({**told, "seed": seed if self.seed is None else self.seed})

    def touches(self, source: str, lineage: Sequence[Lineage] = ()) -> frozenset[str]:
        return frozenset({"data", CANDIDATE})

    def apply(self, source: str, *, lineage: Sequence[Lineage] = ()) -> str:
        """With the addition among `ADDITIONS`; a script that cannot read any learns to first."""
        name, script = self.addition or UNNAMED, str(source)
        there = additions.used(script)
        if there is not None and name in there:
            raise InputError(f"the script trains with {name} already", fix="name another addition")
        try:
            script = script if there is not None else additions.with_reader(script)
        except Refused as refusal:
            fix = "choose another candidate, or have the training read its rows through load_split(split)"
            raise InputError(f"no rows can be added to its training: {refusal}", fix=fix) from refusal
        return with_script(source, additions.set_to(script, (*(there or ()), name)))

    def verify(self, old: str, new: str, *, lineage: Sequence[Lineage] = ()) -> None:
        """One addition more and nothing else; where the script could read none, its reader, in the places for that.

        What the new script names is told from it alone; that its reader is as it should be by writing it again.
        """
        before, after = additions.used(str(old)), additions.used(str(new)) or ()
        name = self.addition or UNNAMED
        if after != (*(before or ()), name):
            raise self.refusal(f"the script trains with {', '.join(after) or 'no addition'}")
        places = {additions.CONSTANT} if before is not None else additions.places(str(old))
        for change in compare(old, new):
            if change.path not in places:
                raise self.refusal(f"{change.path} changed too", change.line)
        if not same_program(self.apply(old), new):
            raise self.refusal("applying it again gives another script")

    def describe(self) -> str:
        if self.addition and not (self.focus or self.augment or self.replay):
            return f"train with {self.addition} besides"
        wanted = self.plan(0)
        shares = ((wanted.augment, "changed"), (wanted.replay, "repeated"))
        told = " and ".join(f"{100 * share:g} % {how}" for share, how in shares if share)
        return f"add training rows of {meant(wanted.focus)}: {told}"

    def unsaid(self) -> set[str]:
        told = {name: getattr(self, name) for name in type(self).model_fields}
        return {name for name, value in told.items() if value is None or value == {}}

    def place(self, script: str, source: str | None) -> str:
        return f"{script}: `{additions.CONSTANT}`, and the function that reads the training split"


def meant(focus: Mapping[str, Any]) -> str:
    """In words: what the rows are taken from."""
    if "classes" in focus:
        names = focus["classes"]
        return f"class{'es' if len(names) > 1 else ''} {', '.join(names)}"
    if "target_range" in focus:
        low, high = focus["target_range"]
        return f"targets from {low:g} to {high:g}"
    return f"the highest {focus['metric_part']}" if focus else "where it is weakest"
