"""One name for each hyperparameter, however a script or a rule spells it.

Standard library only, so that it can be imported wherever a name is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def _spelled(**keys: str) -> dict[str, tuple[str, ...]]:
    return {key: tuple(spellings.split()) for key, spellings in keys.items()}


#: canonical key -> other spellings, lower snake case
ALIASES = _spelled(
    epochs="""epoch max_epochs max_epoch num_epochs num_train_epochs number_of_epochs n_epochs n_epoch nb_epochs
        nepochs train_epochs training_epochs total_epochs""",
    learning_rate="""lr base_lr init_lr initial_lr start_lr base_learning_rate init_learning_rate
        initial_learning_rate learn_rate learningrate optimizer_lr optim_lr""",
    min_learning_rate="min_lr eta_min lr_min final_lr end_lr",
    max_learning_rate="max_lr peak_lr lr_max",
    batch_size="""bs batch batchsize train_batch_size training_batch_size batch_size_train train_bs
        minibatch_size mini_batch_size per_device_train_batch_size""",
    val_batch_size="""valid_batch_size validation_batch_size eval_batch_size test_batch_size batch_size_val
        batch_size_eval per_device_eval_batch_size""",
    weight_decay="wd l2 l2_penalty weightdecay decay weight_decay_rate l2_reg l2_lambda",
    dropout="""p_drop p_dropout drop_p drop_prob dropout_prob dropout_p dropout_rate drop_rate drop
        dropout_probability hidden_dropout""",
    hidden_size="""hidden width hidden_dim hidden_dims dim_hidden hidden_sizes hidden_units hidden_width
        hidden_features hidden_channels n_hidden num_hidden nhid hid_dim""",
    layers="""n_layers num_layers nlayers n_layer layer_count depth n_blocks num_blocks hidden_layers
        n_hidden_layers num_hidden_layers""",
    gradient_clip="""gradient_clip_val grad_clip clip_grad clip_norm clip_grad_norm grad_clip_norm
        gradient_clip_norm gradient_clipping grad_clip_val max_grad_norm max_norm clip_value""",
    gradient_accumulation="""accumulate_grad_batches grad_accum grad_accumulation accumulate_batches
        accumulation_steps gradient_accumulation_steps grad_accum_steps accum_steps accumulate""",
    momentum="sgd_momentum optimizer_momentum",
    label_smoothing="smoothing label_smooth smooth label_smoothing_factor",
    warmup="""warm_up warmup_share warmup_fraction warmup_ratio warmup_steps warmup_epochs warm_up_steps
        warm_up_epochs num_warmup_steps n_warmup_steps lr_warmup lr_warmup_steps lr_warmup_epochs warmup_iters""",
    patience="early_stopping_patience early_stop_patience stop_patience es_patience earlystop_patience",
    plateau_patience="lr_patience scheduler_patience reduce_lr_patience",
    plateau_factor="lr_factor reduce_lr_factor",
    ema_decay="weight_averaging averaging_decay ema ema_rate",
    optimizer="optim optimiser optimizer_name opt",
    schedule="scheduler lr_scheduler lr_schedule learning_rate_schedule scheduler_name",
    loss="loss_fn loss_function criterion objective loss_name",
    seed="random_seed rng_seed seed_everything random_state manual_seed torch_seed",
    num_classes="n_classes nclasses nb_classes class_count number_of_classes",
    num_workers="workers n_workers dataloader_workers num_dataloader_workers",
    precision="amp mixed_precision trainer_precision",
    activation="act activation_fn activation_function nonlinearity",
    image_size="img_size input_size resolution",
    dataset_id="prepdata_version dataset dataset_name data_id",
    version="version_id script_version",
    max_steps="n_steps num_steps total_steps train_steps max_iters",
)

#: keys whose value is a whole number
WHOLE_NUMBERS = frozenset(
    {"epochs", "batch_size", "val_batch_size", "hidden_size", "layers", "gradient_accumulation", "patience"}
    | {"plateau_patience", "seed", "num_classes", "num_workers", "max_steps", "image_size"}
)

#: what no action changes, and why: the score would be another, the model no better. A setting of these is refused,
#: never offered, and locked whatever the rules say.
FIXED = {
    "version": "VERSION moves with the version",
    "dataset_id": "the data stays the same until the loop ends",
    "seed": "another seed is no improvement",
    "additions": "rows are added by `operation: data`, which makes and checks them",
}

#: canonical key -> the part of the script that a lock on this part protects. The learning rate is left out on
#: purpose: who says "keep the optimizer" names its kind.
PARTS = {
    key: part
    for part, keys in _spelled(
        optimizer="weight_decay momentum optimizer",
        schedule="warmup min_learning_rate max_learning_rate plateau_factor plateau_patience schedule",
        loss="label_smoothing huber_delta class_weight_strength loss",
        model="hidden_size layers dropout activation",
        data="batch_size val_batch_size num_workers image_size dataset_id additions",
        trainer="epochs max_steps gradient_clip gradient_accumulation patience ema_decay precision",
    ).items()
    for key in keys
}

_CANONICAL = {alias: key for key, aliases in ALIASES.items() for alias in (key, *aliases)}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BRACKET = re.compile(r"""\[\s*['"]([^'"\]]+)['"]\s*\]""")
_SEPARATORS = re.compile(r"[\s\-_]+")


def normalised(name: str) -> str:
    """Lower snake case of the last part of a dotted name: `cfg.nEpochs` -> `n_epochs`, `--batch-size` ->
    `batch_size`, `CONFIG['lr']` -> `lr`, `Trainer(max_epochs)` -> `max_epochs`."""
    dotted = _BRACKET.sub(r".\1", name.strip()).replace("/", ".").replace("(", ".").rstrip(").")
    last = dotted.rsplit(".", 1)[-1]
    return _SEPARATORS.sub("_", _CAMEL.sub("_", last)).strip("_").lower()


def canonical(name: str) -> str:
    """The one key for any spelling: `MAX_EPOCHS` -> `epochs`. Unknown names come back normalised."""
    plain = normalised(name)
    return _CANONICAL.get(plain, plain)


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Known names that a typing error could have meant, the closest first."""
    by_plain = {normalised(candidate): candidate for candidate in known}
    import difflib  # with its 5 ms `status` has nothing to do

    close = difflib.get_close_matches(normalised(name), list(by_plain), n=limit, cutoff=0.6)
    return [by_plain[plain] for plain in close]
