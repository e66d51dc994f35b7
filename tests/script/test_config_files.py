"""Values in YAML, TOML and JSON: found where they stand, changed there, and nothing else."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from progtrain.engine.errors import InputError
from progtrain.engine.script.config_files import differences, flat, places, replaced, span_in

YAML = """\
# what is tuned
defaults: &base   # an anchor
  lr: 1e-3        # by hand
model:
    hidden: [64, 32]
    act: "relu"
    name: 'a ''b'''
    norm: yes
    clip: ~
    empty:
optim: {name: adam, lr: &rate 0.05, decay: 1.0e-4}
other: *rate
rest: *base
url: ${model.act}/x
text: |
  lr: 3
"""
TOML = """\
title = "runs"  # of a day

[optim]
lr = 5e-3     # fast
name = 'adam'
betas = [0.9, 0.999]

[optim.more]
lr = 1
[[layers]]
size = 64
[[layers]]
size = 32
inline = { size = 16, on = true }
"""
JSON = (
    '{\n\t"optim": {"lr": 1e-3, "on": true},\n\t"hidden": [64, 32],\t"name": "a\\u00e9",\n\t"layers": [{"n": 1}]\n}\n'
)


def test_yaml_is_read_as_people_mean_it() -> None:
    found = {path: place.value for path, place in places("c.yaml", YAML).items()}
    assert found == {
        "model.hidden": (64, 32), "model.act": "relu", "model.name": "a 'b'", "model.norm": True, "model.clip": None,
        "model.empty": None, "defaults.lr": 0.001, "optim.name": "adam", "optim.decay": 1e-4,
    }  # fmt: skip
    assert span_in(YAML, places("c.yaml", YAML)["model.act"])[0] == 6


def test_what_an_alias_repeats_under_another_name_is_left_out() -> None:
    assert not {"optim.lr", "other", "rest.lr"} & places("c.yaml", YAML).keys()
    assert not places("c.yaml", "lr: &x 3\nmore: {*x : 1}\n").keys() & {"lr"}


MERGED = """\
base: &base {lr: 0.1, epochs: 3}   # of both
small:
  <<: *base
  epochs: 1
large: *base
optim: {learning_rate: &rate 0.2, hidden: &sizes [8, 8]}
model: {lr: *rate, hidden: *sizes}
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        ("base.lr", 0.3, "lr: 0.1", "lr: 0.3"),
        ("small.epochs", 2, "epochs: 1", "epochs: 2"),
        ("optim.learning_rate", 0.4, "&rate 0.2", "&rate 0.4"),
        ("optim.hidden", [16, 8], "&sizes [8, 8]", "&sizes [16, 8]"),
    ],
)
def test_what_an_alias_or_a_merge_repeats_as_the_same_setting_changes_where_it_stands(
    path: str, value: Any, old: str, new: str
) -> None:
    assert path in places("c.yaml", MERGED)
    changed = replaced("c.yaml", MERGED, path, value)
    assert changed == MERGED.replace(old, new, 1)
    assert [found for found, *_ in differences("c.yaml", MERGED, changed)] == [path]


def test_an_alias_that_gives_way_to_a_value_of_its_own_is_a_difference() -> None:
    changed = MERGED.replace("lr: *rate", "lr: 0.2")
    assert [found for found, *_ in differences("c.yaml", MERGED, changed)] == []
    changed = MERGED.replace("lr: *rate", "lr: 0.3")
    assert [found for found, *_ in differences("c.yaml", MERGED, changed)] == ["model.lr"]


@pytest.mark.parametrize(
    ("name", "text", "path", "value", "old", "new"),
    [
        ("c.yaml", "lr: 1e-3 # x\n", "lr", 0.0005, "1e-3", "5e-4"),
        ("c.yaml", "lr: 1e-3\n", "lr", 0.02, "1e-3", "2e-2"),
        ("c.yaml", "lr: 0.001\n", "lr", 1e-5, "0.001", "1.0e-05"),
        ("c.yaml", "a:\n  b: 0.1\n  c: 0.1\n", "a.c", 0.25, "c: 0.1", "c: 0.25"),
        ("c.yaml", YAML, "model.hidden", [128, 32, 16], "[64, 32]", "[128, 32, 16]"),
        ("c.yaml", YAML, "model.act", "gelu", '"relu"', '"gelu"'),
        ("c.yaml", YAML, "model.name", "it's", "'a ''b'''", "'it''s'"),
        ("c.yaml", YAML, "model.norm", False, "norm: yes", "norm: no"),
        ("c.yaml", YAML, "model.clip", 0.5, "clip: ~", "clip: 0.5"),
        ("c.yaml", YAML, "model.empty", 3, "empty:", "empty: 3"),
        ("c.yaml", YAML, "optim.name", "true", "name: adam", 'name: "true"'),
        ("c.yaml", "on: True\r\nb: 1\r\n", "on", False, "True", "False"),
        ("c.toml", TOML, "optim.lr", 0.01, "5e-3", "1e-2"),
        ("c.toml", TOML, "optim.more.lr", 2, "lr = 1", "lr = 2"),
        ("c.toml", TOML, "optim.name", "sgd", "'adam'", "'sgd'"),
        ("c.toml", TOML, "optim.betas", [0.8, 0.99], "[0.9, 0.999]", "[0.8, 0.99]"),
        ("c.toml", TOML, "layers.1.size", 33, "size = 32", "size = 33"),
        ("c.toml", TOML, "layers.1.inline.on", False, "on = true", "on = false"),
        ("c.json", JSON, "optim.lr", 0.02, "1e-3", "2e-2"),
        ("c.json", JSON, "optim.on", False, "true", "false"),
        ("c.json", JSON, "hidden", [8], "[64, 32]", "[8]"),
        ("c.json", JSON, "layers.0.n", 2, '"n": 1', '"n": 2'),
    ],
)
def test_a_value_is_written_in_the_manner_of_the_old_one(
    name: str, text: str, path: str, value: Any, old: str, new: str
) -> None:
    changed = replaced(name, text, path, value)
    assert changed == text.replace(old, new, 1)
    assert [found for found, *_ in differences(name, text, changed)] == [path]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.yaml", "a: 1\nb: [1,\n", "c.yaml, line 3: not valid YAML"),
        ("c.yaml", "a: 1\n\tb: 2\n", "c.yaml, line 2: not valid YAML"),
        ("c.toml", "a = 1\nb = \n", "c.toml, line 2: not valid TOML: Invalid value"),
        ("c.json", '{"a": 1,\n}', "c.json, line 2: not valid JSON"),
    ],
)
def test_a_file_that_is_not_valid_is_told_with_its_line(name: str, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        places(name, text)
    assert said in str(error.value)


@pytest.mark.parametrize(("name", "text"), [("d.json", "[1, 2]"), ("d.yaml", "- 1\n"), ("d.yaml", "a: 1\n---\nb: 2\n")])
def test_what_is_no_mapping_has_no_settings(name: str, text: str) -> None:
    assert not places(name, text)


def test_what_a_merge_gives_way_to_a_value_of_its_own_in_is_left_out() -> None:
    text = "base: &b\n  lr: 0.1\n  n: 3\nmine:\n  <<: *b\n  lr: 0.2\n"
    assert places("c.yaml", text).keys() == {"base.n", "mine.lr"}


def test_toml_has_no_null() -> None:
    with pytest.raises(InputError, match="cannot be changed there"):
        replaced("c.toml", TOML, "optim.lr", None)


# ---- any config at all

_KEYS = st.text("abcdefgh_", min_size=1, max_size=6)
_TEXTS = st.text("abcxyz #'\"[]{},:-?&*!|>%@`_0123456789é", max_size=8)
_SCALARS = st.one_of(st.booleans(), st.integers(-1000, 1000), st.floats(1e-8, 1e6), _TEXTS)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.dictionaries(_KEYS, inner, min_size=1, max_size=4), st.lists(inner, max_size=3)),
    max_leaves=12,
)
_CONFIGS = st.dictionaries(_KEYS, _TREES, min_size=1, max_size=5)


def _toml(tree: dict[str, Any], path: str = "") -> str:
    """A plain writer, enough for these trees."""
    tables = {key: value for key, value in tree.items() if isinstance(value, dict)}
    lines = [f"{key} = {_toml_value(value)}  # of {key}" for key, value in tree.items() if key not in tables]
    text = "".join(f"{line}\n" for line in lines)
    for key, value in tables.items():
        text += f"\n[{path}{key}]\n{_toml(value, f'{path}{key}.')}"
    return text


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(_toml_value, value)) + "]" if isinstance(value, list) else json.dumps(value)


@settings(max_examples=120, deadline=None)
@given(tree=_CONFIGS, kind=st.sampled_from(["json", "flow", "block", "toml"]), data=st.data())
def test_any_edit_changes_one_value_and_keeps_all_other_bytes(tree: dict[str, Any], kind: str, data: Any) -> None:
    name = {"json": "c.json", "toml": "c.toml"}.get(kind, "c.yaml")
    if kind == "json":
        text = json.dumps(tree, indent=data.draw(st.sampled_from([None, 2, "\t"])))
    elif kind == "toml":
        text = _toml(tree)
        assert tomllib.loads(text) == tree
    else:
        text = yaml.safe_dump(tree, default_flow_style=kind == "flow", sort_keys=False, allow_unicode=True)
    found = places(name, text)
    if not found:
        return
    path = data.draw(st.sampled_from(sorted(found)))
    place = found[path]
    value = data.draw(_like(place.value))
    try:
        changed = replaced(name, text, path, value)
    except InputError as error:
        assert "cannot be changed there" in str(error)
        return
    assert changed.startswith(text[: place.start])
    assert changed.endswith(text[place.end :])
    before, after = flat(name, text), flat(name, changed)
    assert {p: v for p, v in before.items() if p != path} == {p: v for p, v in after.items() if p != path}
    now = places(name, changed)[path].value
    assert now == (pytest.approx(value) if isinstance(value, float) else value)
    assert type(now) is type(place.value)


def _like(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.integers(-1000, 1000)
    if isinstance(value, float):
        return st.floats(1e-8, 1e6)
    if isinstance(value, str):
        return _TEXTS.filter(lambda text: "${" not in text and "{{" not in text)
    return st.just(value)
