"""Recipes in the styles that scripts use, and the reasons why they do not apply."""

import textwrap
from pathlib import Path

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import get_recipe, recipes
from progtrain.engine.script.action.operations import RecipeOperation

STYLES = {p.stem: p.read_text() for p in sorted((Path(__file__).parent / "styles").glob("*.txt"))}
PLAIN = STYLES["plain"]


def script(
    optimizers: str = "return torch.optim.Adam(self.parameters(), lr=1e-3)",
    trainer: str = "L.Trainer(max_epochs=2)",
    loss: str = "F.cross_entropy(self(x), y)",
    net: str = "nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))",
    imports: str = "",
    before: str = "",
    step: str = "x, y = batch",
) -> str:
    """A Lightning script with one part in a style of its own."""
    return f"""import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
{imports}

class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = {net}

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        {step}
        return {loss}

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))

    def configure_optimizers(self):
{textwrap.indent(textwrap.dedent(optimizers), "        ")}


def main(checkpoint=None):
    {before}
    trainer = {trainer}
    trainer.fit(Net())
"""


def checkpoint(arguments: str) -> str:
    return script(trainer=f"L.Trainer(callbacks=[ModelCheckpoint({arguments})])")


def applied(recipe: str, source: str) -> str:
    """The new script, checked as the loop checks it."""
    operation = RecipeOperation(recipe=recipe, parameters=get_recipe(recipe).fitted(source))
    changed = get_recipe(recipe).apply(source, operation.parameters)
    operation.verify(source, changed)
    return changed


# schedules


ADAM = "torch.optim.Adam(self.parameters(), lr=1e-3)"
STEPS = "total_steps = self.trainer.estimated_stepping_batches\n        "
COSINE = "torch.optim.lr_scheduler.CosineAnnealingLR"
CONFIG = '{"scheduler": scheduler, "interval": "step"}'


@pytest.mark.parametrize(
    ("optimizers", "expected"),
    [
        (f"return {ADAM}", 'return {"optimizer": optimizer, "lr_scheduler": ' + CONFIG + "}"),
        (f"opt = {ADAM}\nreturn opt", 'return {"optimizer": opt, "lr_scheduler": ' + CONFIG + "}"),
        (f"return [{ADAM}]", 'return {"optimizer": optimizer, "lr_scheduler": ' + CONFIG + "}"),
        (f'return {{"optimizer": {ADAM}}}', 'return {"optimizer": optimizer, "lr_scheduler": ' + CONFIG + "}"),
        (
            f'opt = {ADAM}\nanswer = {{"optimizer": opt}}\nreturn answer',
            'answer = {"optimizer": opt, "lr_scheduler": ' + CONFIG + "}",
        ),
        (
            f"opt = {ADAM}\nwarm = torch.optim.lr_scheduler.LinearLR(opt)\nreturn [opt], [warm]",
            "return [opt], [warm, " + CONFIG + "]",
        ),
        (f"# the usual\nreturn {ADAM}  # default", "# the usual"),
    ],
)
def test_a_schedule_is_added_however_the_optimizer_is_returned(optimizers: str, expected: str) -> None:
    changed = applied("cosine_schedule", script(optimizers))
    assert expected in changed
    assert STEPS + "scheduler = " + COSINE in changed


def test_a_warm_up_joins_a_schedule_that_watches_a_metric() -> None:
    optimizers = f"""
        opt = {ADAM}
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt)
        return {{"optimizer": opt, "lr_scheduler": plateau, "monitor": "val_loss"}}
    """
    changed = applied("warmup", script(optimizers))
    assert (
        'return [opt], [{"scheduler": plateau, "monitor": "val_loss"}, {"scheduler": warmup, "interval": "step"}]'
        in changed
    )


def test_a_return_annotation_stays_true() -> None:
    source = script().replace(
        "def configure_optimizers(self):", "def configure_optimizers(self) -> torch.optim.Optimizer:"
    )
    assert "-> L.pytorch.utilities.types.OptimizerLRScheduler:" in applied("cosine_schedule", source)


# trainer and callbacks


@pytest.mark.parametrize(
    ("trainer", "before", "expected"),
    [
        ("L.Trainer()", "", "L.Trainer(callbacks=[NEW])"),
        ("L.Trainer(max_epochs=2)", "", "L.Trainer(max_epochs=2, callbacks=[NEW])"),
        ("L.Trainer(callbacks=[])", "", "L.Trainer(callbacks=[NEW])"),
        ("L.Trainer(callbacks=None)", "", "L.Trainer(callbacks=[NEW])"),
        ("L.Trainer(callbacks=make(1))", "", "L.Trainer(callbacks=[*make(1), NEW])"),
        ("L.Trainer(callbacks=[a] + more)", "", "L.Trainer(callbacks=[*([a] + more), NEW])"),
        ("L.Trainer(callbacks=L.Callback())", "", "L.Trainer(callbacks=[L.Callback(), NEW])"),
        ("L.Trainer(callbacks=listed)", "listed = [a, b]", "listed = [a, b, NEW]"),
        ("L.Trainer(callbacks=one)", "one = L.Callback()", "L.Trainer(callbacks=[one, NEW])"),
        ("L.Trainer(callbacks=made)", "made = make()", "L.Trainer(callbacks=[*made, NEW])"),
        (
            "L.Trainer(\n        callbacks=[\n            a,  # first\n        ],\n    )",
            "",
            "a,  # first\n            NEW,\n        ],",
        ),
    ],
)
def test_a_callback_is_added_however_there_are_others(trainer: str, before: str, expected: str) -> None:
    changed = applied("weight_averaging", script(trainer=trainer, before=before or "pass"))
    assert expected.replace("NEW", "L.pytorch.callbacks.EMAWeightAveraging(decay=EMA_DECAY)") in changed


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ("from lightning.pytorch.callbacks import ModelCheckpoint", "import EarlyStopping, ModelCheckpoint\n"),
        (
            "from lightning.pytorch.callbacks import (\n    Callback,  # mine\n)",
            "    Callback,  # mine\n    EarlyStopping,\n)",
        ),
        ("from lightning.pytorch import callbacks as cb", "[cb.EarlyStopping("),
    ],
)
def test_a_callback_is_named_as_the_script_names_others(imports: str, expected: str) -> None:
    assert expected in applied("early_stopping", script(imports=imports))


def with_decay(value: str) -> str:
    decayed = "return torch.optim.Adam(self.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)"
    return script(decayed).replace("import lightning", f"WEIGHT_DECAY = {value}\nimport lightning")


def test_adamw_with_no_decay_at_all_would_be_adam() -> None:
    source = with_decay("0.0")
    assert get_recipe("adamw").fitted(source) == {"weight_decay": 0.01}
    changed = applied("adamw", source)
    assert "WEIGHT_DECAY = 0.01\n" in changed
    assert "AdamW(self.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)" in changed


def test_adamw_leaves_the_decay_that_the_script_has_and_does_not_say_another() -> None:
    source = with_decay("0.003")
    assert get_recipe("adamw").fitted(source) == {}
    changed = applied("adamw", source)
    assert "WEIGHT_DECAY = 0.003\n" in changed
    assert "AdamW(" in changed
    assert "WEIGHT_DECAY = 0.05\n" in get_recipe("adamw").apply(source, {"weight_decay": 0.05})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            'dirpath=ARTIFACTS, filename="best"',
            'ModelCheckpoint(dirpath=ARTIFACTS, filename="best", monitor="val_loss")',
        ),
        ("monitor=None", 'ModelCheckpoint(monitor="val_loss")'),
        ('monitor="train_loss", mode="max"', 'ModelCheckpoint(monitor="val_loss", mode="min")'),
        ('"a", "last"), ModelCheckpoint("a", "best"', '        "best",\n        monitor="val_loss",\n'),
    ],
)
def test_the_best_epoch_is_kept_by_what_validation_logs(arguments: str, expected: str) -> None:
    assert expected in applied("best_epoch", checkpoint(arguments))


def test_a_metric_that_is_to_be_high_says_so() -> None:
    source = checkpoint("").replace('"val_loss"', '"val_acc"')
    assert 'ModelCheckpoint(monitor="val_acc", mode="max")' in applied("best_epoch", source)


def test_the_trainer_that_fits_gets_the_argument() -> None:
    source = script(before="L.Trainer(logger=False).test(Net())")
    assert "Trainer(max_epochs=2, gradient_clip_val=GRADIENT_CLIP)" in applied("gradient_clipping", source)


def test_a_long_call_is_broken_into_lines() -> None:
    source = script(
        trainer="L.Trainer(max_epochs=2, accelerator='cpu', enable_progress_bar=False, log_every_n_steps=10)"
    )
    assert "        log_every_n_steps=10,\n        gradient_clip_val=GRADIENT_CLIP,\n    )" in applied(
        "gradient_clipping", source
    )


def test_arguments_hidden_in_a_dict_that_can_be_read() -> None:
    source = script(trainer="L.Trainer(**options)", before="options = {'max_epochs': 2}")
    assert "L.Trainer(**options, gradient_clip_val=GRADIENT_CLIP)" in applied("gradient_clipping", source)


# layers


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (
            "nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))",
            "nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(8, 2)",
        ),
        (
            "nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 2))",
            "nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(8, 2)",
        ),
        (
            "nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))",
            "nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(8, 2)",
        ),
        (
            "nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.SiLU()) for _ in range(2)], nn.Linear(4, 2))",
            None,
        ),
    ],
)
def test_dropout_goes_after_hidden_activations(net: str, expected: str | None) -> None:
    source = script(net=net)
    if expected is None:
        assert get_recipe("dropout").precondition(source)
    else:
        assert expected in applied("dropout", source)


def test_layers_added_one_by_one() -> None:
    source = script(net="build()") + textwrap.dedent(
        """
        def build():
            layers = []
            width = 4
            for size in (8, 8):
                layers.append(nn.Linear(width, size))
                layers.append(nn.ReLU())
                width = size
            layers.append(nn.Linear(width, 2))
            return nn.Sequential(*layers)
        """
    )
    assert "layers.append(nn.ReLU())\n        layers.append(nn.Dropout(DROPOUT))\n        width" in applied(
        "dropout", source
    )
    assert "layers.append(nn.Linear(width, size))\n        layers.append(nn.BatchNorm1d(size))" in applied(
        "batch_norm", source
    )


# losses, inputs, classes


def test_only_the_training_loss_is_smoothed() -> None:
    changed = applied("label_smoothing", script())
    assert changed.count("label_smoothing=LABEL_SMOOTHING") == 1
    assert 'self.log("val_loss", F.cross_entropy(self(x), y))' in changed


def test_a_helper_that_works_out_the_loss_is_followed() -> None:
    source = script(loss="criterion(self(x), y)") + "\ndef criterion(a, b):\n    return F.mse_loss(a, b)\n"
    assert "return F.huber_loss(a, b, delta=HUBER_DELTA)" in applied("huber_loss", source)


def test_inputs_reshaped_on_the_way_are_measured_reshaped() -> None:
    source = script(loss="F.cross_entropy(self(x.view(x.size(0), -1)), y)")
    assert "fit(batch[0].view(batch[0].size(0), -1) for batch in" in applied("input_standardisation", source)


def test_labels_in_a_dict_are_counted() -> None:
    source = script(step="x, y = batch['image'], batch['label']", loss="F.cross_entropy(self(x), batch['label'])")
    assert "batch['label'].flatten().long().cpu() for batch in" in applied("class_weights", source)


# optimizers


def test_an_imported_optimizer_changes_its_import() -> None:
    changed = applied(
        "adamw", script("return Adam(self.parameters(), lr=1e-3)", imports="from torch.optim import Adam")
    )
    assert "from torch.optim import AdamW" in changed
    assert "AdamW(self.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)" in changed


def test_arguments_that_the_other_optimizer_does_not_know_go() -> None:
    source = script("return torch.optim.Adam(self.parameters(), lr=1e-3, betas=(0.8, 0.9), weight_decay=0.1)")
    assert "torch.optim.SGD(self.parameters(), lr=0.01, weight_decay=0.1, momentum=MOMENTUM)" in applied(
        "sgd_momentum", source
    )


def test_an_optimizer_that_is_told_everything_by_name_is_exchanged() -> None:
    source = script("return torch.optim.Adam(params=self.parameters(), lr=1e-3)")
    assert "torch.optim.AdamW(params=self.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)" in applied("adamw", source)
    sgd = applied("sgd_momentum", source)
    assert "torch.optim.SGD(params=self.parameters(), lr=0.01, momentum=MOMENTUM)" in sgd


def test_the_learning_rate_stays_where_it_is_asked_to() -> None:
    changed = get_recipe("sgd_momentum").apply(script(), {"learning_rate": None})
    assert "torch.optim.SGD(self.parameters(), lr=1e-3, momentum=MOMENTUM)" in changed


# refusals

TWO = f"a = {ADAM}\nb = {ADAM}\nreturn [a, b]"


@pytest.mark.parametrize(
    ("recipe", "source", "reason"),
    [
        ("gradient_clipping", "x = 1\n", "does not define exactly one LightningModule"),
        ("gradient_clipping", script(trainer="L.Trainer(gradient_clip_val=2.0)"), "already has gradient_clip"),
        ("gradient_clipping", script(trainer="L.Trainer(**options)"), "may hold gradient_clip_val already"),
        ("gradient_clipping", script(before="L.Trainer().fit(1)"), "fits with several Trainers"),
        (
            "gradient_clipping",
            script(net="1\n        self.automatic_optimization = False"),
            "optimises by hand",
        ),
        ("cosine_schedule", script(TWO), "makes 2 optimizers"),
        ("cosine_schedule", script("return make_optimizer(self)"), "makes no optimizer of torch.optim by name"),
        ("cosine_schedule", script(f"if x:\n    return {ADAM}\nreturn {ADAM}"), "makes 2 optimizers"),
        (
            "cosine_schedule",
            script(f"opt = {ADAM}\nif x:\n    return opt\nreturn [opt]"),
            "does not return in exactly one place",
        ),
        ("cosine_schedule", script(trainer="L.Trainer(max_epochs=-1)"), "training has no end"),
        (
            "cosine_schedule",
            script(f"opt = {ADAM}\nreturn [opt], [torch.optim.lr_scheduler.StepLR(opt, 1)]"),
            "follows a schedule already (StepLR)",
        ),
        (
            "warmup",
            script(f"opt = {ADAM}\nreturn [opt], [torch.optim.lr_scheduler.OneCycleLR(opt, 1)]"),
            "follows a schedule already (OneCycleLR)",
        ),
        ("weight_decay", script("return torch.optim.Adam(self.parameters(), weight_decay=0.1)"), "already"),
        ("adamw", script("return torch.optim.AdamW(self.parameters(), lr=1e-3)"), "AdamW already"),
        (
            "adamw",
            script("return torch.optim.Adam(self.parameters(), lr=1e-3, weight_decay=decay())"),
            "not a setting of the script (weight_decay=decay())",
        ),
        ("adamw", script("return bnb.optim.Adam(self.parameters(), lr=1e-3)"), "not from torch.optim"),
        ("label_smoothing", script(loss="F.mse_loss(self(x), y)"), "no cross_entropy"),
        ("label_smoothing", script(loss="F.cross_entropy(x, y) + F.cross_entropy(y, x)"), "2 losses"),
        ("class_weights", script(step="x, y = batch; y = y + 1"), "worked out on the way"),
        ("class_weights", script(trainer="L.Trainer(devices=4)"), "several devices"),
        ("input_standardisation", script(step="x, y = batch; x = x * 2"), "worked out on the way"),
        ("input_standardisation", script(net="nn.Embedding(3, 4)"), "tokens"),
        ("input_standardisation", script(before="StandardScaler()"), "scale its inputs already (StandardScaler)"),
        ("dropout", script(net="nn.Linear(4, 2)"), "no hidden linear layer"),
        (
            "dropout",
            script(net="nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1), nn.Linear(4, 2))"),
            "already has dropout",
        ),
        ("batch_norm", script(net="nn.Linear(4, 2)"), "no layer followed by an activation"),
        (
            "dropout",
            script(net="torchvision.models.resnet18()", imports="import torchvision"),
            "comes from elsewhere (torchvision.models.resnet18)",
        ),
        (
            "dropout",
            script(loss="F.cross_entropy(self.net[2](self.net[0](x)), y)"),
            "counts on the places of layers",
        ),
        ("huber_loss", script(), "no mse_loss"),
        ("early_stopping", script().replace('self.log("val_loss", ', "print("), "validation logs no metric"),
        ("weight_averaging", script(trainer="L.Trainer(callbacks=[StochasticWeightAveraging(1)])"), "already"),
        ("best_epoch", script(), "no ModelCheckpoint"),
        ("best_epoch", checkpoint('monitor="val_loss"'), "the best val_loss is kept already"),
        ("best_epoch", checkpoint("monitor=args.monitor"), "cannot be told"),
        ("best_epoch", checkpoint("save_top_k=-1"), "keeps save_top_k=-1 files"),
        ("best_epoch", checkpoint("every_n_train_steps=5"), "between validations"),
        ("best_epoch", checkpoint("), ModelCheckpoint("), "which ModelCheckpoint"),
        ("best_epoch", checkpoint("").replace('self.log("val_loss", ', "print("), "validation logs no metric"),
    ],
)
def test_a_recipe_that_cannot_be_applied_says_why(recipe: str, source: str, reason: str) -> None:
    why = get_recipe(recipe).precondition(source)
    assert why is not None
    assert reason in why
    with pytest.raises(InputError, match=f"{recipe} cannot be applied: "):
        get_recipe(recipe).apply(source)


@pytest.mark.parametrize(
    ("devices", "several"),
    [("1", False), ('"auto"', False), ("[3]", False), ("2", True), ("-1", True), ("[0, 1]", True)],
)
def test_devices_are_counted_also_where_a_constant_names_them(devices: str, several: bool) -> None:
    source = f"NUM_GPUS = {devices}\n" + script(trainer="L.Trainer(devices=NUM_GPUS)")
    why = get_recipe("class_weights").precondition(source) or ""
    assert ("several devices" in why) is several, why


APPLICABLE = [(r.id, style) for r in recipes() for style in STYLES if r.precondition(STYLES[style]) is None]


def test_each_recipe_applies_to_some_style() -> None:
    assert {recipe for recipe, _ in APPLICABLE} == {recipe.id for recipe in recipes()}


@pytest.mark.parametrize(("recipe", "style"), APPLICABLE)
def test_no_recipe_is_applied_twice(recipe: str, style: str) -> None:
    assert get_recipe(recipe).precondition(get_recipe(recipe).apply(STYLES[style]))


@pytest.mark.parametrize(("recipe", "style"), APPLICABLE)
def test_comments_and_other_lines_survive(recipe: str, style: str) -> None:
    source = STYLES[style]
    changed = get_recipe(recipe).apply(source).splitlines()
    lost = [line for line in source.splitlines() if line not in changed]
    assert len(lost) <= 3
    comments = [line.split("  #")[1] for line in source.splitlines() if "  #" in line]
    assert all(any(comment in line for line in changed) for comment in comments)
    assert all(len(line) <= 130 for line in changed)


def test_every_recipe_tells_why_and_at_what_risk() -> None:
    assert len(recipes()) >= 12
    for recipe in recipes():
        assert recipe.title
        assert len(recipe.why) > 20
        assert recipe.risk in ("low", "medium", "high")
        assert set(recipe.keys) == set(recipe.parameters)
