"""Operations: parsed strictly, told in a line, undone only where that is safe."""

from pathlib import Path

import pytest
import yaml

from progtrain.engine.analysis.vocabulary import CANDIDATES
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import recipes
from progtrain.engine.script.action.operations import (
    Lineage,
    Operation,
    RecipeOperation,
    RevertOperation,
    SetOperation,
    parse_operation,
)
from progtrain.engine.script.action.revert import undo
from progtrain.engine.script.header import set_version, with_header

PLAIN = (Path(__file__).parent / "styles" / "plain.txt").read_text()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"operation": "set", "setting": "learning_rate", "from": 1e-3, "to": 3e-4}, "learning_rate 0.001 → 0.0003"),
        ({"operation": "set", "setting": "lr", "to": 3e-5}, "lr → 3e-5"),
        ({"operation": "set", "setting": "clip", "from": None, "to": 1.0}, "clip None → 1.0"),
        (
            {"operation": "recipe", "recipe": "gradient_clipping", "parameters": {"max_norm": 1.0}},
            "add gradient_clipping (max_norm=1.0)",
        ),
        ({"operation": "recipe", "recipe": "use_adamw"}, "use adamw"),
        ({"operation": "revert", "version": "v002"}, "undo v002"),
    ],
)
def test_an_operation_is_told_in_a_line_and_survives_yaml(data: dict[str, object], text: str) -> None:
    operation = parse_operation(data)
    assert operation.describe() == text
    assert parse_operation(yaml.safe_load(operation.to_yaml())) == operation


def test_a_number_without_a_dot_is_a_number() -> None:
    operation = parse_operation(yaml.safe_load("operation: set\nsetting: lr\nfrom: 1e-3\nto: 3e-4\n"))
    assert isinstance(operation, SetOperation)
    assert (operation.from_, operation.to) == (0.001, 0.0003)


@pytest.mark.parametrize(
    ("data", "reason", "fix"),
    [
        ("set lr", "an operation is a mapping", "operation: set"),
        ({"setting": "lr", "to": 1}, "the operation is not named", "`operation: set`"),
        ({"operation": "delete"}, "unknown operation 'delete'", "revert"),
        ({"operation": "set", "setting": "lr"}, "`to` is missing", "add `to: ...`"),
        ({"operation": "set", "setting": "lr", "to": 1.0, "form": 2.0}, "unknown key 'form'", "did you mean `from`?"),
        ({"operation": "set", "setting": 5, "to": 1.0}, "setting: a text in quotes belongs here", "correct `setting`"),
        ({"operation": "set", "setting": "dropout", "to": 1.5}, "dropout must be below 1", "in range"),
        ({"operation": "recipe", "recipe": "cosine"}, "unknown recipe 'cosine'", "recipes are"),
        ({"operation": "recipe", "recipe": "gradient_cliping"}, "unknown recipe", "did you mean `gradient_clipping`?"),
        (
            {"operation": "recipe", "recipe": "dropout", "parameters": {"rate": 0.1}},
            "recipe dropout has no parameter 'rate'",
            "its parameters: dropout",
        ),
        (
            {"operation": "recipe", "recipe": "dropout", "parameters": {"dropout": 2}},
            "dropout: dropout must be below 1",
            "in range",
        ),
        (
            {"operation": "recipe", "recipe": "dropout", "parameters": {"dropout": "x); import os"}},
            "is not a number",
            "in range",
        ),
        (
            {"operation": "recipe", "recipe": "early_stopping", "parameters": {"monitor": 3}},
            "3 is not a name",
            "in range",
        ),
        ({"operation": "revert", "version": "2"}, "version: a text of the form ^v", "correct `version`"),
    ],
)
def test_a_wrong_operation_is_refused_with_its_fix(data: object, reason: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_operation(data, file="action-extract.md", place=12)
    assert str(caught.value).startswith("action-extract.md, line 12: ")
    assert reason in caught.value.reason
    assert fix in (caught.value.fix or "")


def test_every_recipe_stands_behind_a_candidate_of_the_vocabulary() -> None:
    offered = {name for name in CANDIDATES if name.startswith(("add_", "use_", "keep_"))}
    assert {recipe.candidate_id for recipe in recipes()} == offered


@pytest.mark.parametrize(
    ("operation", "touched", "untouched"),
    [
        (SetOperation(setting="LEARNING_RATE", to=0.1), {"learning_rate"}, {"optimizer"}),
        (SetOperation(setting="hidden_size", to=8), {"hidden_size", "model"}, {"optimizer"}),
        (RecipeOperation(recipe="adamw"), {"adamw", "use_adamw", "optimizer", "weight_decay"}, {"learning_rate"}),
        (RecipeOperation(recipe="sgd_momentum"), {"optimizer", "momentum", "learning_rate"}, {"model"}),
        (
            RecipeOperation(recipe="sgd_momentum", parameters={"learning_rate": None}),
            {"optimizer", "momentum"},
            {"learning_rate"},
        ),
        (RecipeOperation(recipe="dropout"), {"dropout", "model"}, {"loss"}),
        (RecipeOperation(recipe="early_stopping"), {"patience", "trainer"}, {"monitor"}),
    ],
)
def test_an_operation_tells_what_it_touches(operation: Operation, touched: set[str], untouched: set[str]) -> None:
    """What locks are checked against."""
    result = operation.touches(PLAIN)
    assert touched <= result
    assert not untouched & result


# undoing


def lineage(*operations: Operation) -> list[Lineage]:
    """v001 and one version for each operation, made as the loop makes them."""
    entries = [Lineage("v001", PLAIN)]
    for number, operation in enumerate(operations, start=2):
        base = entries[-1]
        source = operation.apply(base.source, lineage=entries)
        version = f"v{number:03d}"
        source = with_header(set_version(source, version), version, base.version, operation.describe(), "x")
        entries.append(Lineage(version, source, operation, base.version))
    return entries


LR = SetOperation(setting="learning_rate", from_=1e-3, to=3e-4)
CLIP = RecipeOperation(recipe="gradient_clipping", parameters={"max_norm": 1.0})
DROPOUT = RecipeOperation(recipe="dropout", parameters={"dropout": 0.2})
CLIP_HARDER = SetOperation(setting="gradient_clip", from_=1.0, to=0.5)


def undo_version(version: str) -> RevertOperation:
    return RevertOperation(version=version)


def test_the_last_action_is_undone_by_going_back() -> None:
    versions = lineage(LR, CLIP)
    assert undo(versions, "v003") == versions[1].source


def test_an_earlier_action_is_taken_out_and_the_later_ones_stay() -> None:
    versions = lineage(LR, CLIP, DROPOUT)
    result = undo(versions, "v002")
    assert "LEARNING_RATE = 1e-3" in result
    assert "gradient_clip_val=GRADIENT_CLIP" in result
    assert "nn.Dropout(DROPOUT)" in result
    operation = undo_version("v002")
    operation.verify(versions[-1].source, result, lineage=versions)
    with pytest.raises(InputError, match="does not differ by exactly this action"):
        operation.verify(versions[-1].source, versions[-1].source, lineage=versions)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LEARNING_RATE = 1e-3", "LEARNING_RATE = 1e-2"),
        ("LEARNING_RATE = 1e-3", "LEARNING_RATE = 3e-4"),
        ("BATCH_SIZE = 32", "BATCH_SIZE = 64"),
        ("gradient_clip_val=GRADIENT_CLIP", "gradient_clip_val=None"),
        ("import lightning", "import os\nimport lightning"),
    ],
)
def test_a_script_that_was_reverted_wrongly_is_refused(old: str, new: str) -> None:
    """Whatever did it: the check knows what v002 changed, and runs nothing again."""
    versions = lineage(LR, CLIP, DROPOUT)
    wrong = undo(versions, "v002").replace(old, new, 1)
    assert wrong != undo(versions, "v002")
    with pytest.raises(InputError, match="does not differ by exactly this action"):
        undo_version("v002").verify(versions[-1].source, wrong, lineage=versions)


def test_another_versions_action_taken_out_is_refused() -> None:
    versions = lineage(LR, CLIP, DROPOUT)
    with pytest.raises(InputError, match="something else than the action of v002"):
        undo_version("v002").verify(versions[-1].source, undo(versions, "v003"), lineage=versions)
    with pytest.raises(InputError, match="not the script of v003 again"):
        undo_version("v004").verify(versions[-1].source, versions[1].source, lineage=versions)


@pytest.mark.parametrize("undone", ["v002", "v003", "v004", "v005"])
def test_what_was_reverted_rightly_passes_though_later_actions_share_a_line(undone: str) -> None:
    stop, keep = RecipeOperation(recipe="early_stopping"), RecipeOperation(recipe="weight_averaging")
    versions = lineage(LR, stop, keep, CLIP)
    undo_version(undone).verify(versions[-1].source, undo(versions, undone), lineage=versions)


@pytest.mark.parametrize(
    ("undone", "other", "line"),
    [
        ("input_standardisation", "class_weights", "        self.standardise = InputStandardisation()\n"),
        ("class_weights", "input_standardisation", "        self.class_weights = None\n"),
    ],
)
def test_what_was_reverted_rightly_passes_though_a_later_action_shares_a_function(
    undone: str, other: str, line: str
) -> None:
    """Both put statements into `on_train_start`. What the undone action alone needs must go, all of it."""
    versions = lineage(RecipeOperation(recipe=undone), RecipeOperation(recipe=other))
    newest = versions[-1].source
    undo_version("v002").verify(newest, undo(versions, "v002"), lineage=versions)
    assert line in newest
    with pytest.raises(InputError, match="a part of the action of v002 is still there"):
        undo_version("v002").verify(newest, newest.replace(line, ""), lineage=versions)


def test_what_a_later_action_builds_on_is_not_undone() -> None:
    versions = lineage(CLIP, CLIP_HARDER)
    with pytest.raises(InputError, match=r"v002 cannot be undone: a later action builds on it .*gradient_clip"):
        undo(versions, "v002")


def test_nothing_is_undone_twice() -> None:
    versions = lineage(LR, CLIP, undo_version("v002"))
    with pytest.raises(InputError, match="v002 has been undone already"):
        undo(versions, "v002")
    assert "LEARNING_RATE = 1e-3" in versions[-1].source


def test_undoing_an_undo_brings_the_action_back() -> None:
    versions = lineage(LR, CLIP, undo_version("v002"), DROPOUT)
    result = undo(versions, "v004")
    assert "LEARNING_RATE = 3e-4" in result
    assert "nn.Dropout(DROPOUT)" in result


def test_changes_by_hand_since_then_are_not_lost() -> None:
    versions = lineage(LR, CLIP)
    edited = versions[-1].source.replace("BATCH_SIZE = 32", "BATCH_SIZE = 8")
    versions[-1] = Lineage("v003", edited, CLIP, "v002")
    with pytest.raises(InputError, match="v002 cannot be undone: the scripts since then were changed in other ways"):
        undo(versions, "v002")


def test_changes_by_hand_before_it_do_no_harm() -> None:
    edited = PLAIN.replace("BATCH_SIZE = 32", "BATCH_SIZE = 8")
    first = Lineage("v001", PLAIN)
    second = Lineage("v002", edited, LR, "v001")
    third = Lineage("v003", CLIP.apply(edited), CLIP, "v002")
    fourth = Lineage("v004", DROPOUT.apply(third.source), DROPOUT, "v003")
    result = undo([first, second, third, fourth], "v003")
    assert "BATCH_SIZE = 8" in result
    assert "GRADIENT_CLIP" not in result


def test_only_ancestors_made_by_an_action_can_be_undone() -> None:
    versions = lineage(LR, CLIP)
    branch = Lineage("v004", DROPOUT.apply(versions[1].source), DROPOUT, "v002")
    with pytest.raises(InputError, match="v003 is not among the versions that v004 was made from"):
        undo([*versions, branch], "v003")
    with pytest.raises(InputError, match="v001 was not made by an action"):
        undo(versions, "v001")
    with pytest.raises(InputError, match="history is not known"):
        undo_version("v002").apply(PLAIN)


def test_undoing_touches_what_the_action_touched() -> None:
    versions = lineage(LR, CLIP)
    assert {"learning_rate", "revert"} <= undo_version("v002").touches(PLAIN, versions)
