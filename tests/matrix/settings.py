"""Training scripts that keep their settings elsewhere: the same training, written in many ways."""

from __future__ import annotations

from tests.matrix.scripts import _NO_ARGUMENTS, BASE

_HEAD = "EPOCHS = 3\nRATE = 0.05\n"
_SCRIPT = BASE.replace(*_NO_ARGUMENTS).replace("max_epochs=EPOCHS", "max_epochs=int(CFG['trainer']['max_epochs'])")
_SCRIPT = _SCRIPT.replace("Net(width, RATE)", "Net(width, float(CFG['optim']['lr']))")
_YAML = "# by hand\ntrainer: {max_epochs: 3}\noptim:\n  lr: 1e-3   # small\n"

_HYDRA = (
    _SCRIPT.replace(
        "def main():", '@hydra.main(version_base=None, config_path="conf", config_name="config")\ndef main(CFG):'
    )
    .replace(_HEAD, "")
    .replace("import argparse", "import hydra")
    .replace("CFG['trainer']['max_epochs']", "CFG.trainer.max_epochs")
    .replace("CFG['optim']['lr']", "CFG.optim.lr")
)

_CLI = (
    BASE[: BASE.index("def main():")].replace(_HEAD, "").replace("width, rate", "width: int = 8, rate: float = 0.002")
)
_CLI = _CLI.replace("import argparse", "from lightning.pytorch.cli import LightningCLI").replace(
    "width: int = 8, rate: float = 0.002", "width: int = 8, learning_rate: float = 0.002"
).replace("self.rate = rate", "self.rate = learning_rate") + '''
class Data(L.LightningDataModule):
    def train_dataloader(self):
        return loader(1, 256, shuffle=True)

    def val_dataloader(self):
        return loader(2, 96)


if __name__ == "__main__":
    cli = LightningCLI(Net, Data, run=False, save_config_callback=None, trainer_defaults={
        "max_epochs": 3, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
        "callbacks": [ModelCheckpoint("outputs/run", "best", monitor="val/loss")]})
    cli.trainer.fit(cli.model, cli.datamodule)
'''  # fmt: skip


def _reading(code: str) -> str:
    return _SCRIPT.replace(_HEAD, code)


#: name -> (what it stands for, files by name, the one that the second version has a copy of, training_args)
SETTINGS: dict[str, tuple[str, dict[str, str], str, list[str]]] = {
    "yaml": (
        "settings in YAML, read with `yaml.safe_load`",
        {"train.py": _reading('import yaml\n\nwith open("config.yaml") as file:\n    CFG = yaml.safe_load(file)\n'),
         "config.yaml": _YAML},
        "config_v002.yaml",
        [],
    ),
    "toml": (
        "settings in TOML",
        {"train.py": _reading('import tomllib\n\nwith open("a.toml", "rb") as file:\n    CFG = tomllib.load(file)\n'),
         "a.toml": "[trainer]\nmax_epochs = 3\n[optim]\nlr = 1e-3 # small\n"},
        "a_v002.toml",
        [],
    ),
    "json": (
        "settings in JSON",
        {"train.py": _reading('import json\n\nCFG = json.load(open("a.json"))\n'),
         "a.json": '{\n\t"trainer": {"max_epochs": 3},\n\t"optim": {"lr": 0.001}\n}\n'},
        "a_v002.json",
        [],
    ),
    "omegaconf": (
        "OmegaConf, in a folder",
        {"train.py": _reading('import os\nfrom omegaconf import OmegaConf\n\n'
                              'CFG = OmegaConf.load(os.path.join(os.path.dirname(__file__), "conf", "a.yaml"))\n'),
         "conf/a.yaml": _YAML},
        "conf/a_v002.yaml",
        [],
    ),
    "hydra": (
        "Hydra with a config group",
        {"train.py": _HYDRA,
         "conf/config.yaml": "defaults:\n  - optim: sgd\n  - _self_\ntrainer:\n  max_epochs: 3\n",
         "conf/optim/sgd.yaml": "lr: 1e-3\n"},
        "conf/optim/sgd_v002.yaml",
        [],
    ),
    "named_in_arguments": (
        "a config file that is named on the command line",
        {"train.py": _reading('import yaml\n\nparser = argparse.ArgumentParser()\nparser.add_argument("--config")\n'
                              "CFG = yaml.safe_load(open(parser.parse_args().config))\n"),
         "a.yaml": _YAML},
        "a_v002.yaml",
        ["--config", "a.yaml"],
    ),
    "lightningcli": (
        "LightningCLI with a config file",
        {"train.py": _CLI, "a.yaml": "model:\n  learning_rate: 1e-3\ntrainer:\n  max_epochs: 3\n"},
        "a_v002.yaml",
        ["--config=a.yaml"],
    ),
    "lightningcli_defaults": (
        "LightningCLI without a config file: defaults of `__init__`",
        {"train.py": _CLI},
        "02_train_v002.py",
        [],
    ),
    "module": (
        "settings in a module beside the script",
        {"train.py": _reading("from settings import CFG\n"),
         "settings.py": 'CFG = {"trainer": {"max_epochs": 3}, "optim": {"lr": 1e-3}}\n'},
        "02_train_v002_src/settings.py",
        [],
    ),
    "package": (
        "settings and model in a package",
        {"train.py": _reading("from net.settings import CFG\n"), "net/__init__.py": "", "net/base.py": "WIDTH = 8\n",
         "net/settings.py": 'from .base import WIDTH\n\nCFG = {"trainer": {"max_epochs": 3}, "optim": {"lr": 1e-3}}\n'},
        "02_train_v002_src/net/settings.py",
        [],
    ),
}  # fmt: skip
