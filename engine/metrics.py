"""Metrics by their names: when two names mean the same one, which way it is better, and what ranks first by it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TypeVar

T = TypeVar("T")

_HIGHER = """
accuracy top5 top5_accuracy balanced_accuracy exact_match precision recall sensitivity specificity f1 f1_macro
f1_micro f1_weighted fbeta auroc average_precision map50 map_50 map_75 mean_average_precision jaccard_index
mean_iou dice generalized_dice_score mcc cohen_kappa r2 explained_variance pearson spearman
kendall_rank_corrcoef concordance_corrcoef cosine_similarity ndcg retrieval_normalized_dcg mrr retrieval_mrr
retrieval_map retrieval_precision retrieval_recall hit_rate bleu sacre_bleu_score rouge rouge1 rouge2 rougel
chrf bert_score meteor squad psnr ssim ms_ssim inception_score clip_score log_likelihood snr si_sdr
signal_distortion_ratio scale_invariant_signal_noise_ratio stoi pesq mutual_info_score
normalized_mutual_info_score adjusted_rand_score rand_score log_auc ranking_average_precision
critical_success_index
"""

_LOWER = """
loss cross_entropy bce nll hinge hinge_loss error error_rate mae mse rmse msle mape smape wmape
weighted_mean_absolute_percentage_error rse relative_squared_error nrmse normalized_root_mean_squared_error
median_absolute_error max_error minkowski_distance log_cosh_error tweedie_deviance_score kl_divergence
jensen_shannon_divergence hamming_distance ranking_loss label_ranking_loss coverage_error calibration_error
brier perplexity wer cer mer wil edit_distance ter translation_edit_rate fid kid lpips total_variation
hausdorff_distance latency latency_ms crps continuous_ranked_probability_score kldivergence fairness
group_stat_rates
"""

#: other spellings of the same number -> how it is called here
_SPELLINGS = {
    "accuracy": "acc binary_accuracy top1 top1_accuracy",
    "f1": "f1_score",
    "f1_macro": "macro_f1",
    "f1_micro": "micro_f1",
    "f1_weighted": "weighted_f1",
    "fbeta": "fbeta_score",
    "auroc": "auc roc_auc",
    "average_precision": "ap",
    "mean_average_precision": "map",
    "jaccard_index": "jaccard iou",
    "mean_iou": "miou",
    "dice": "dice_score",
    "mcc": "matthews_corrcoef matthews_corr_coef",
    "cohen_kappa": "kappa",
    "r2": "r2_score",
    "pearson": "pearson_corrcoef pearson_corr_coef",
    "spearman": "spearman_corrcoef spearman_corr_coef",
    "concordance_corrcoef": "concordance_corr_coef",
    "cross_entropy": "cross_entropy_loss log_loss logloss",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "msle": "mean_squared_log_error",
    "mape": "mean_absolute_percentage_error",
    "smape": "symmetric_mean_absolute_percentage_error",
    "calibration_error": "ece",
    "brier": "brier_score",
    "perplexity": "ppl",
    "wer": "word_error_rate",
    "cer": "char_error_rate",
    "mer": "match_error_rate",
    "wil": "word_information_lost",
    "bleu": "bleu_score",
    "rouge": "rouge_score",
    "chrf": "chrf_score",
    "psnr": "peak_signal_noise_ratio",
    "ssim": "structural_similarity_index_measure",
    "snr": "signal_noise_ratio",
    "sdr": "signal_distortion_ratio",
    "si_sdr": "scale_invariant_signal_distortion_ratio",
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance",
    "lpips": "learned_perceptual_image_patch_similarity",
}
_USUAL = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}
#: a score is of the validation set, whether or not its name says so; one of the training or test set is another number
_OF_VALIDATION = re.compile(r"^(val|valid|validation|eval|dev)_")
_OF_ANOTHER_SET = re.compile(r"^(train|training|test)_")
_TASK = re.compile(r"^(binary|multiclass|multilabel)_")


@cache
def canonical(name: str) -> str:
    """`"val/acc"`, `"valAccuracy"`, `"MulticlassAccuracy"` -> `"accuracy"`; `"train_loss"` stays itself."""
    snake = _snake(name)
    plain = _TASK.sub("", _OF_VALIDATION.sub("", snake)) or snake
    return _USUAL.get(plain, plain)


def _snake(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^\w@]+", "_", spaced.casefold()).strip("_") or name


def same(one: str, other: str) -> bool:
    """Whether two names mean one metric of the validation set."""
    return canonical(one) == canonical(other)


def find(wanted: str, names: Iterable[str]) -> str | None:
    """The name that means `wanted`: the very same one, else the first that is another spelling of it."""
    alike = [name for name in names if same(name, wanted)]
    return wanted if wanted in alike else next(iter(alike), None)


def value_of(wanted: str, values: Mapping[str, T]) -> T | None:
    """What stands under any spelling of a metric's name; None where there is none."""
    name = find(wanted, values)
    return None if name is None else values[name]


def _of_any_set(name: str) -> str:
    return canonical(_OF_ANOTHER_SET.sub("", _snake(name)))


_DIRECTION = {_of_any_set(name): True for name in _HIGHER.split()} | {
    _of_any_set(name): False for name in _LOWER.split()
}


_OF_PROBABILITIES = frozenset({"loss", "cross_entropy", "nll", "brier", "calibration_error"})


def judges_probabilities(name: str) -> bool:
    """Whether it counts how sure a model is, not only which answers are right."""
    return canonical(name) in _OF_PROBABILITIES


def finite(value: object) -> float | None:
    """None for what is not a number: it ranks nowhere and is compared with nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def count(value: object) -> int | None:
    """How many; None for what is no number of things."""
    found = finite(value)
    return int(found) if found is not None and found >= 0 else None


def higher_is_better(name: str) -> bool | None:
    """From the table of well-known names; None for a name that is not in it."""
    return _DIRECTION.get(_of_any_set(name))


def turned_mode(name: str, mode: object) -> str | None:
    """What a `mode` of "min" or "max" beside a monitored metric should be, where it is the wrong one of the two."""
    higher = higher_is_better(name)
    right = None if higher is None else "max" if higher else "min"
    return right if mode in ("min", "max") and mode != right else None


def ranked(rows: Iterable[T], value: Callable[[T], float | None], higher_is_better: bool) -> list[T]:
    """Best first; ties stay as they come; without a number last."""
    sign = -1 if higher_is_better else 1
    return sorted(rows, key=lambda row: (value(row) is None, sign * (value(row) or 0.0)))


def best(rows: Iterable[T], value: Callable[[T], float | None], higher_is_better: bool) -> T | None:
    """The first of those with the best value; None where none has a number."""
    return next((row for row in ranked(rows, value, higher_is_better) if value(row) is not None), None)
