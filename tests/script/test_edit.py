"""Setting one literal, whatever it is, and nothing else."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.edit import format_literal
from progtrain.engine.script.action.operations import SetOperation
from progtrain.engine.script.settings import find_setting

FRAME = """# über den Daten: ünïcödé before the literal
ÄRGER = "é"; {name} = {literal}  # stays

CONFIG = {{"a": [1, 2], "knob_of_dict": {literal},  # stays too
          "z": 0}}
class C:
    other: float = ({literal})


def f(x): return x  # unchanged
"""

floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(st.integers(-(10**12), 10**12), floats)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
lists = st.one_of(st.lists(st.integers(0, 99), min_size=1, max_size=3), st.lists(floats, min_size=1, max_size=3))


def notations(value: float) -> list[str]:
    forms = [repr(value), f"{value:e}"]
    return forms + ([f"{value:_}"] if isinstance(value, int) else [])


@given(st.data(), numbers, numbers, st.sampled_from(["KNOB", "knob_of_dict", "C.other"]))
def test_any_number_becomes_any_other(data: st.DataObject, old: float, new: float, where: str) -> None:
    source = FRAME.format(name="KNOB", literal=data.draw(st.sampled_from(notations(old))))
    found = find_setting(source, where)
    assert found is not None
    if values.same(found.value, new):
        return
    operation = SetOperation(setting=where, from_=found.value, to=new)
    changed = operation.apply(source)
    operation.verify(source, changed)
    after = find_setting(changed, where)
    assert after is not None
    assert values.same(after.value, new)
    assert [line.split("#")[-1] for line in changed.splitlines() if "#" in line] == [
        line.split("#")[-1] for line in source.splitlines() if "#" in line
    ]
    assert len(changed.splitlines()) == len(source.splitlines())


@given(texts, texts, st.sampled_from("'\""))
def test_any_text_becomes_any_other(old: str, new: str, quote: str) -> None:
    operation = SetOperation(setting="KNOB", from_=old, to=new)
    if old == new or (operation.from_, operation.to) != (old, new):
        return  # 3e-4 is a number in an action, also where YAML takes it for text
    source = f"KNOB = {format_literal(old, like=quote)}  # stays\n"
    changed = operation.apply(source)
    operation.verify(source, changed)
    assert changed.endswith("  # stays\n")
    assert ast.literal_eval(changed.removeprefix("KNOB = ").removesuffix("  # stays\n")) == new


@given(lists, lists, st.sampled_from(["[", "("]))
def test_any_list_becomes_any_other(old: list[float], new: list[float], bracket: str) -> None:
    if values.same(old, new):
        return
    source = f"KNOB = {format_literal(tuple(old), like=bracket)}\n"
    operation = SetOperation(setting="knob", to=new)
    changed = operation.apply(source)
    operation.verify(source, changed)
    assert changed.startswith(f"KNOB = {bracket}")


@given(st.one_of(numbers, texts, st.booleans(), st.none()), st.sampled_from(["1e-3", "0.1", "1_000", "'a'", '"a"', ""]))
def test_a_literal_reads_back_as_its_value(value: float | str | bool | None, like: str) -> None:
    written = ast.literal_eval(format_literal(value, like=like))
    assert type(written) is type(value)
    assert written == value


@pytest.mark.parametrize(
    ("old", "new", "written"),
    [
        ("1e-3", 0.0003, "3e-4"),
        ("1E-3", 0.00025, "2.5e-4"),
        ("0.001", 0.0003, "0.0003"),
        ("0.001", 0.00003, "3e-5"),
        ("1e-3", 0.05, "0.05"),
        ("1e-3", -0.002, "-2e-3"),
        ("10", 15.0, "15"),
        ("10.0", 15, "15.0"),
        ("10_000", 25_000, "25_000"),
        ("-1", 2, "2"),
        ("'adam'", "sgd", "'sgd'"),
        ('"adam"', "it's", '"it\'s"'),
        ("None", 0.5, "0.5"),
        ("True", False, "False"),
        ("[64, 32]", [128], "[128]"),
        ("(1e-3, 0.5)", [3e-4, 0.5], "(3e-4, 0.5)"),
    ],
)
def test_the_notation_is_kept(old: str, new: object, written: str) -> None:
    assert SetOperation(setting="knob", to=new).apply(f"KNOB = {old}\n") == f"KNOB = {written}\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_ends_of_lines_are_kept(newline: str) -> None:
    source = newline.join(["A = 'é'", "x = (", "    1e-3,  # ü", ")", "LR = 1e-3", ""])
    changed = SetOperation(setting="lr", to=0.01).apply(source)
    assert changed == source.replace("LR = 1e-3", "LR = 0.01")


def test_a_setting_in_brackets_and_a_negative_one() -> None:
    source = "EPOCHS = (  # how long\n    10\n)\nSHIFT = - 5\n"
    changed = SetOperation(setting="epochs", to=20).apply(source)
    assert SetOperation(setting="shift", to=3).apply(changed) == source.replace("10", "20").replace("- 5", "3")


@pytest.mark.parametrize(
    ("source", "operation", "reason"),
    [
        ("LR = 1e-3\n", {"setting": "learning_rat", "to": 1.0}, "no setting 'learning_rat'"),
        ("LR = 1e-3\n", {"setting": "lr", "from": 0.1, "to": 0.2}, "expects lr = 0.1, but the script says 0.001"),
        ("LR = 1e-3\n", {"setting": "lr", "to": 0.001}, "LR is 0.001 already"),
        ("LR = 1e-3\n", {"setting": "lr", "to": "fast"}, "LR holds a number, and 'fast' is text"),
        ("LR = 1e-3\n", {"setting": "lr", "to": True}, "is a truth value"),
        ("LR = 1e-3\n", {"setting": "lr", "to": -1.0}, "learning_rate must be above 0"),
        ("EPOCHS = 3\n", {"setting": "epochs", "to": 3.5}, "epochs must be a whole number"),
        ("EPOCHS = 3\n", {"setting": "epochs", "to": [1, 2]}, "not a list"),
        (
            "LR = 0.1\nD = {'lr': 0.1}\n",
            {"setting": "lr", "to": 0.2},
            r"2 places: LR \(line 1\) and D\['lr'\] \(line 2\)",
        ),
        ("SEED = 42\n", {"setting": "seed", "to": 43}, "another seed is no improvement"),
        ('VERSION = "v001"\n', {"setting": "version", "to": "v002"}, "VERSION moves with the version"),
        ("LR = float('1e-3')\n", {"setting": "lr", "to": 0.2}, "no setting 'lr' that is a literal"),
    ],
)
def test_what_cannot_be_set_is_refused(source: str, operation: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        SetOperation.model_validate(operation).apply(source)
