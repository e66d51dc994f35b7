"""A version is its script and its own copies of config files and modules: read, changed, written, read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.files import append_line, write_text
from progtrain.engine.script import version_files
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.script.header import set_version
from progtrain.engine.script.settings import find_settings
from progtrain.engine.script.sources import Sources, with_script
from progtrain.engine.templates.progtrain_eval.scripts import own_words
from progtrain.engine.workspace import Workspace

YAML = "# ours\noptim: {lr: 0.1}  # by hand\nepochs: 3\n"
TOP = 'VERSION = "v001"\n'


def make(root: Path, script: str, files: dict[str, str], words: list[str] | None = None) -> Workspace:
    ws = Workspace(root)
    for name, text in {"02_train_v001.py": TOP + script, **files}.items():
        write_text(root / name, text)
    ws.rules.write_text(json.dumps({"training_args": words or []}))
    return ws


def step(ws: Workspace, base: str, version: str, setting: str, to: Any) -> dict[str, str]:
    """Makes a version, and gives the texts that were written."""
    old = version_files.read(ws, base)
    operation = parse_operation({"operation": "set", "setting": setting, "to": to})
    changed = operation.apply(old)
    planned = with_script(changed, set_version(str(changed), version))
    operation.verify(old, planned)
    written = version_files.written(ws, version, planned, base)
    for path, text in written.items():
        write_text(path, text)
    found = version_files.read(ws, version)
    assert isinstance(planned, Sources)
    assert (str(found), found.files) == (str(planned), planned.files)
    return {ws.relative(path): text for path, text in written.items()}


@pytest.mark.parametrize(
    ("script", "file", "named"),
    [
        ('import yaml\nCFG = yaml.safe_load(open("config.yaml"))\n', "config.yaml", 'open("config_v002.yaml")'),
        (
            "from pathlib import Path\nCFG = load(Path(__file__).parent / 'conf' / 'a.yaml')\n",
            "conf/a.yaml",
            "'conf' / 'a_v002.yaml'",
        ),
        ('CFG = load(f"{ROOT}/conf/a.yaml")\n', "conf/a.yaml", 'f"{ROOT}/conf/a_v002.yaml"'),
        (
            'NAME = "a"\nCFG = load(f"conf/{NAME}.yaml")\n',
            "conf/a.yaml",
            'NAME = "a_v002"\nCFG = load(f"conf/{NAME}.yaml")',
        ),
        ("NAME = 'conf/a'  # of two\nCFG = load(f'{NAME}.yaml')\n", "conf/a.yaml", "NAME = 'conf/a_v002'  # of two"),
        ('p.add_argument("--config", default="a.yml")\n', "a.yml", 'default="a_v002.yml"'),
        (
            'LightningCLI(parser_kwargs={"default_config_files": ["a.yaml"]})\n',
            "a.yaml",
            '"default_config_files": ["a_v002.yaml"]',
        ),
        (
            '@hydra.main(version_base=None, config_path="conf", config_name="config")\ndef main(cfg): ...\n',
            "conf/config.yaml",
            'config_name="config_v002"',
        ),
        ('with hydra.initialize("conf"):\n    cfg = hydra.compose("config")\n', "conf/config.yaml", '("config_v002")'),
    ],
)
def test_the_script_names_the_copy_where_it_named_the_file(tmp_path: Path, script: str, file: str, named: str) -> None:
    ws = make(tmp_path, script, {file: YAML})
    if "__file__" in script:
        record_read(ws, "v001", file)
    written = step(ws, "v001", "v002", "lr", 0.2)
    assert named in written["02_train_v002.py"]
    copy = str(Path(file).with_stem(f"{Path(file).stem}_v002"))
    assert written[copy] == YAML.replace("0.1", "0.2")
    assert (tmp_path / file).read_text() == YAML


@pytest.mark.parametrize(
    "script",
    [
        'NAME = "a"\nCFG = load(f"{NAME}.yaml")\nprint(NAME)\n',
        'NAME = "a"\nNAME = NAME + ""\nCFG = load(f"{NAME}.yaml")\n',
        'NAME = "a"\nCFG = load(f"conf_{NAME}.yaml")\n',
        'CFG = load(f"{NAME}.yaml")\n',
        'NAME = "a"\nCFG = load(f"{NAME!r}.yaml")\n',
        'NAME = "a"\ndef main():\n    return load(f"{NAME}{NAME}.yaml")\n',
    ],
)
def test_a_file_named_by_what_says_other_things_too_is_not_offered(tmp_path: Path, script: str) -> None:
    ws = make(tmp_path, script, {"a.yaml": YAML, "conf_a.yaml": YAML})
    assert not version_files.read(ws, "v001").files


def test_what_an_alias_repeats_as_the_same_setting_is_set_where_it_stands(tmp_path: Path) -> None:
    files = {"a.yaml": "base: &base\n  lr: 0.1  # of both\nfirst:\n  <<: *base\nsecond: *base\n"}
    ws = make(tmp_path, 'load("a.yaml")["first"]["lr"]\n', files)
    written = step(ws, "v001", "v002", "lr", 0.2)
    assert written["a_v002.yaml"] == files["a.yaml"].replace("0.1", "0.2")


def record_read(ws: Workspace, version: str, *names: str, kind: str = "settings") -> None:
    for name in names:
        append_line(ws.saves(version), {"kind": kind, "path": str(ws.root / name), "t": 0})


def test_the_next_version_gets_a_copy_of_its_own_and_going_back_needs_none(tmp_path: Path) -> None:
    ws = make(tmp_path, 'CFG = load("config.yaml")\n', {"config.yaml": YAML})
    step(ws, "v001", "v002", "lr", 0.2)
    third = step(ws, "v002", "v003", "epochs", 5)
    assert third["config_v003.yaml"] == YAML.replace("0.1", "0.2").replace("3", "5")
    assert 'load("config_v003.yaml")' in third["02_train_v003.py"]
    assert (tmp_path / "config_v002.yaml").read_text() == YAML.replace("0.1", "0.2")
    back = step(ws, "v002", "v004", "lr", 0.1)
    assert list(back) == ["02_train_v004.py"]
    assert 'load("config.yaml")' in back["02_train_v004.py"]


def test_hydra_config_groups_are_copied_with_what_names_them(tmp_path: Path) -> None:
    script = '@hydra.main(version_base=None, config_path="conf", config_name="config")\ndef main(cfg): ...\n'
    files = {
        "conf/config.yaml": "defaults:\n  - model: small  # of two\n  - optim: sgd\n  - _self_\nepochs: 3\n",
        "conf/model/small.yaml": "hidden: 16\ndropout: 0.1\n",
        "conf/model/large.yaml": "hidden: 64\ndropout: 0.1\n",
        "conf/optim/sgd.yaml": "lr: 1e-2\n",
    }
    ws = make(tmp_path, script, files)
    assert version_files.read(ws, "v001").files.keys() == files.keys() - {"conf/model/large.yaml"}
    written = step(ws, "v001", "v002", "dropout", 0.2)
    assert written["conf/model/small_v002.yaml"] == "hidden: 16\ndropout: 0.2\n"
    assert "- model: small_v002  # of two\n  - optim: sgd\n" in written["conf/config_v002.yaml"]
    assert 'config_name="config_v002"' in written["02_train_v002.py"]
    third = step(ws, "v002", "v003", "lr", 0.03)
    assert "- model: small_v003  # of two\n  - optim: sgd_v003\n" in third["conf/config_v003.yaml"]
    assert "conf/model/small_v003.yaml" in third


@pytest.mark.parametrize(
    ("words", "own"),
    [
        (["--config-name", "small", "epochs=2"], ["--config-name", "small_v002", "epochs=2"]),
        (["--config-name=small.yaml"], ["--config-name=small_v002"]),
        (["-cn", "small"], ["-cn", "small_v002"]),
    ],
)
@pytest.mark.parametrize("setting", ["lr", "hidden"])
def test_a_primary_config_named_on_the_command_line_is_copied_and_started_with(
    tmp_path: Path, words: list[str], own: list[str], setting: str
) -> None:
    script = '@hydra.main(version_base=None, config_path="conf", config_name="config")\ndef main(cfg): ...\n'
    files = {
        "conf/small.yaml": "defaults:\n  - model: mlp\nlr: 0.1\n",
        "conf/config.yaml": "lr: 0.5\n",
        "conf/model/mlp.yaml": "hidden: 16\n",
    }
    ws = make(tmp_path, script, files, words)
    assert version_files.read(ws, "v001").files.keys() == files.keys() - {"conf/config.yaml"}
    assert version_files.arguments(ws, "v001", words) == words
    written = step(ws, "v001", "v002", setting, 0.2 if setting == "lr" else 32)
    assert "lr: 0.2" in written["conf/small_v002.yaml"] or "model: mlp_v002" in written["conf/small_v002.yaml"]
    assert 'config_name="config"' in written["02_train_v002.py"]
    assert version_files.arguments(ws, "v002", words) == own
    assert own_words(words, ws.script("v002")) == own
    assert own_words(words, ws.script("v001")) == words
    third = step(ws, "v002", "v003", "lr", 0.3)
    assert "lr: 0.3" in third["conf/small_v003.yaml"]


def test_where_the_folder_of_the_configs_is_given_too_nothing_is_sure(tmp_path: Path) -> None:
    script = '@hydra.main(version_base=None, config_path="conf", config_name="config")\ndef main(cfg): ...\n'
    words = ["--config-dir", "more", "--config-name", "config"]
    ws = make(tmp_path, script, {"conf/config.yaml": "lr: 0.1\n"}, words)
    assert not version_files.read(ws, "v001").files
    assert version_files.arguments(ws, "v001", words) == words


def test_a_primary_config_named_with_its_ending_leads_to_its_groups(tmp_path: Path) -> None:
    script = '@hydra.main(version_base=None, config_path="conf", config_name="config.yaml")\ndef main(cfg): ...\n'
    files = {"conf/config.yaml": "defaults:\n  - model: small\n", "conf/model/small.yaml": "hidden: 16\n"}
    ws = make(tmp_path, script, files)
    ws.saves("v001").parent.mkdir(parents=True)
    told = [json.dumps({"kind": "settings", "path": str(ws.root.resolve() / name)}) for name in files]
    ws.saves("v001").write_text("\n".join(told) + "\n")
    assert version_files.read(ws, "v001").files.keys() == files.keys()
    written = step(ws, "v001", "v002", "hidden", 32)
    assert written["conf/model/small_v002.yaml"] == "hidden: 32\n"
    assert 'config_name="config_v002.yaml"' in written["02_train_v002.py"]


def test_a_group_that_the_command_line_chooses_is_left_alone(tmp_path: Path) -> None:
    script = '@hydra.main(version_base=None, config_path="conf", config_name="config")\ndef main(cfg): ...\n'
    files = {
        "conf/config.yaml": "defaults:\n  - model: small\noptim:\n  lr: 0.1\nepochs: 3\n",
        "conf/model/small.yaml": "hidden: 16\n",
        "conf/model/large.yaml": "hidden: 64\n",
    }
    ws = make(tmp_path, script, files, ["model=large"])
    assert version_files.read(ws, "v001").files.keys() == {"conf/config.yaml"}


@pytest.mark.parametrize("word", ["a.yaml", "--config=a.yaml"])
def test_a_file_named_on_the_command_line_is_replaced_at_launch(tmp_path: Path, word: str) -> None:
    words = ["fit", "--config", word, "--trainer.max_epochs", "2"]
    ws = make(tmp_path, "run()\n", {"a.yaml": "trainer: {max_epochs: 9}\nmodel:\n  lr: 0.1\n"}, words)
    assert version_files.arguments(ws, "v001", words) == words
    assert list(step(ws, "v001", "v002", "lr", 0.2)) == ["a_v002.yaml", "02_train_v002.py"]
    own = word.replace("a.yaml", "a_v002.yaml")
    assert version_files.arguments(ws, "v002", words) == ["fit", "--config", own, "--trainer.max_epochs", "2"]
    assert version_files.arguments(ws, "v001", words) == words


MODULES = {
    "pkg/__init__.py": "",
    "pkg/model.py": "from .parts import DEPTH\n\n\nclass Net:\n    def __init__(self, hidden=32):\n        ...\n",
    "pkg/parts.py": "DEPTH = 2\n",
    "pkg/unused.py": "LR = 0.5\n",
    "settings.py": "LR = 0.1  # tuned\n",
}
IMPORTS = (
    '"""Trains."""\nfrom __future__ import annotations\n\nimport os\n\nfrom pkg.model import Net\nimport settings\n'
)


def test_a_module_is_changed_in_a_copy_of_what_the_script_imports(tmp_path: Path) -> None:
    ws = make(tmp_path, "", MODULES)
    ws.script("v001").write_text(f"{IMPORTS}{TOP}Net()\n")
    written = step(ws, "v001", "v002", "lr", 0.2)
    assert {name for name in written if name.startswith("02_train_v002_src")} == {
        f"02_train_v002_src/{name}" for name in MODULES
    }
    assert written["02_train_v002_src/settings.py"] == "LR = 0.2  # tuned\n"
    script = written["02_train_v002.py"]
    assert script.index("import os") < script.index("sys.path[:0]") < script.index("from pkg.model")
    third = step(ws, "v002", "v003", "hidden", 64)
    assert "hidden=64" in third["02_train_v003_src/pkg/model.py"]
    assert third["02_train_v003_src/settings.py"] == "LR = 0.2  # tuned\n"
    assert (tmp_path / "settings.py").read_text() == MODULES["settings.py"]


def test_modules_in_a_folder_that_the_script_puts_on_the_path(tmp_path: Path) -> None:
    script = 'import sys\nsys.path.insert(0, "src")\nfrom net import Net\n'
    ws = make(tmp_path, script, {"src/net.py": "LR = 0.1\n"})
    written = step(ws, "v001", "v002", "lr", 0.2)
    assert written["02_train_v002_src/src/net.py"] == "LR = 0.2\n"
    assert '_src/src", f"' in written["02_train_v002.py"]


def test_a_config_file_that_a_module_names(tmp_path: Path) -> None:
    ws = make(tmp_path, "import load\n", {"load.py": 'CFG = read("a.toml")\n', "a.toml": "lr = 0.1\n"})
    written = step(ws, "v001", "v002", "lr", 0.2)
    assert written["a_v002.toml"] == "lr = 0.2\n"
    assert written["02_train_v002_src/load.py"] == 'CFG = read("a_v002.toml")\n'


def test_a_module_that_looks_beside_itself_is_not_copied(tmp_path: Path) -> None:
    ws = make(tmp_path, "import load\n", {"load.py": "LR = 0.1\nHERE = __file__\n"})
    with pytest.raises(InputError, match=r"line 2: load\.py looks for files beside itself"):
        step(ws, "v001", "v002", "lr", 0.2)


def test_what_an_argument_passes_to_a_class_is_no_setting_of_the_class(tmp_path: Path) -> None:
    ws = make(tmp_path, "import m\nm.Net(hidden=8)\nm.Other(3)\nm.Third(**more)\n", {
        "m.py": "class Net:\n    def __init__(self, hidden=1, depth=2): ...\n"
        "class Other:\n    def __init__(self, lr=1, wd=0): ...\n"
        "class Third:\n    def __init__(self, dropout=0): ...\n"
    })  # fmt: skip
    assert [s.name for s in find_settings(version_files.read(ws, "v001")) if s.file] == ["Net.depth", "Other.wd"]


def test_what_an_alias_repeats_is_told(tmp_path: Path) -> None:
    ws = make(tmp_path, 'load("a.yaml")\n', {"a.yaml": "epochs: &n 3\nwarm: *n\n"})
    with pytest.raises(InputError, match="epochs cannot be set: an alias repeats it"):
        step(ws, "v001", "v002", "epochs", 5)


def test_the_record_of_the_training_tells_which_files_are_settings(tmp_path: Path) -> None:
    script = 'A = load("a.yaml")\nB = load("b.json")\nopen("c.json", "w")\n'
    ws = make(tmp_path, script, {"a.yaml": "lr: 0.1\n", "b.json": '{"n": 1}', "c.json": '{"n": 1}'})
    record_read(ws, "v001", "a.yaml", "c.json")
    record_read(ws, "v001", "c.json", kind="settings_written")
    assert list(version_files.read(ws, "v001").files) == ["a.yaml"]


def test_data_results_and_hidden_folders_hold_no_settings(tmp_path: Path) -> None:
    names = ["dataset/prepdata/x/stats.json", "Models/a.json", ".progtrain/a.json", "user_defined_rules.json"]
    script = "".join(f'load("{name}")\n' for name in [*names, "../outside.yaml"])
    ws = make(tmp_path / "ws", script, dict.fromkeys(names[:3], '{"lr": 1}'))
    (tmp_path / "outside.yaml").write_text("lr: 1\n")
    assert not version_files.read(ws, "v001").files


def test_two_files_with_a_setting_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    ws = make(tmp_path, 'load("a.yaml", "b.yaml")\n', {"a.yaml": "lr: 0.1\n", "b.yaml": "lr: 0.3\n"})
    with pytest.raises(InputError) as error:
        step(ws, "v001", "v002", "lr", 0.2)
    assert "lr = 0.1 (a.yaml, line 1) and lr = 0.3 (b.yaml, line 1)" in str(error.value)
    assert "name one of them: a.yaml:lr" in str(error.value)
    assert list(step(ws, "v001", "v002", "b.yaml: lr", 0.2)) == ["b_v002.yaml", "02_train_v002.py"]


def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    ws = make(tmp_path, 'load("a.yaml")\n', {"a.yaml": "lr: 0.1\n", "a_v002.yaml": "mine: 1\n"})
    with pytest.raises(InputError, match="it lies there already"):
        step(ws, "v001", "v002", "lr", 0.2)


def test_a_config_file_counts_more_than_defaults_in_code(tmp_path: Path) -> None:
    script = 'p.add_argument("--lr", default=0.5)\nload("a.yaml")\n'
    ws = make(tmp_path, script, {"a.yaml": "lr: 0.1\n"})
    assert "a_v002.yaml" in step(ws, "v001", "v002", "lr", 0.2)


def test_an_undone_change_of_a_file_is_verified(tmp_path: Path) -> None:
    from progtrain.engine.script.action.operations import Lineage

    ws = make(tmp_path, 'load("a.yaml")\nEPOCHS = 3\n', {"a.yaml": "lr: 0.1\nwd: 0.0\n"})
    entries = [Lineage("v001", version_files.read(ws, "v001"))]
    for base, version, setting, to in (("v001", "v002", "lr", 0.2), ("v002", "v003", "epochs", 5)):
        step(ws, base, version, setting, to)
        operation = parse_operation({"operation": "set", "setting": setting, "to": to})
        entries.append(Lineage(version, version_files.read(ws, version), operation, base))
    undo = parse_operation({"operation": "revert", "version": "v002"})
    old = version_files.read(ws, "v003")
    new = undo.apply(old, lineage=entries)
    undo.verify(old, new, lineage=entries)
    assert isinstance(new, Sources)
    assert new.files == {"a.yaml": "lr: 0.1\nwd: 0.0\n"}
    with pytest.raises(InputError, match="changed too"):
        undo.verify(old, Sources(new, {"a.yaml": "lr: 0.1\nwd: 0.1\n"}), lineage=entries)


def test_the_difference_of_two_versions_shows_all_files(tmp_path: Path) -> None:
    ws = make(tmp_path, 'load("a.yaml")\n', {"a.yaml": "lr: 0.1\n"})
    step(ws, "v001", "v002", "lr", 0.2)
    shown = version_files.diff(ws, "v001", "v002")
    assert '+load("a_v002.yaml")' in shown
    assert "--- a.yaml\n+++ a_v002.yaml\n@@ -1 +1 @@\n-lr: 0.1\n+lr: 0.2\n" in shown
