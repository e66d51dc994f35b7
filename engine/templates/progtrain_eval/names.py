"""Metrics by their names: which mean the same one, which way is better, and what the evaluation works out."""

from __future__ import annotations

import re
from functools import cache

HIGHER = """
accuracy top5 top5_accuracy balanced_accuracy exact_match precision recall sensitivity specificity f1 f1_macro
f1_micro f1_weighted binary_precision binary_recall binary_f1
fbeta auroc average_precision map50 map_50 map_75 mean_average_precision jaccard_index
mean_iou dice generalized_dice_score mcc cohen_kappa r2 explained_variance pearson spearman
kendall_rank_corrcoef concordance_corrcoef cosine_similarity ndcg retrieval_normalized_dcg mrr retrieval_mrr
retrieval_map retrieval_precision retrieval_recall hit_rate bleu sacre_bleu_score rouge rouge1 rouge2 rougel
chrf bert_score meteor squad psnr ssim ms_ssim inception_score clip_score log_likelihood snr si_sdr
signal_distortion_ratio scale_invariant_signal_noise_ratio stoi pesq mutual_info_score
normalized_mutual_info_score adjusted_rand_score rand_score log_auc ranking_average_precision
critical_success_index wip negative_predictive_value universal_image_quality_index answered
"""

LOWER = """
loss cross_entropy bce nll hinge hinge_loss error error_rate mae mse rmse msle mape smape wmape
weighted_mean_absolute_percentage_error rse relative_squared_error nrmse normalized_root_mean_squared_error
median_absolute_error max_error minkowski_distance log_cosh_error tweedie_deviance_score kl_divergence
jensen_shannon_divergence hamming_distance ranking_loss label_ranking_loss coverage_error calibration_error
brier perplexity wer cer mer wil edit_distance ter translation_edit_rate fid kid lpips total_variation
hausdorff_distance latency latency_ms crps continuous_ranked_probability_score kldivergence fairness
group_stat_rates
"""

#: what the evaluation works out from outputs and targets, where it fits the task; averages (`macro_`) and `top3_` too
MEASURED = """
loss cross_entropy bce nll perplexity accuracy balanced_accuracy f1 precision recall specificity
negative_predictive_value auroc average_precision jaccard_index mcc cohen_kappa calibration_error hamming_distance
exact_match ranking_loss coverage_error ranking_average_precision
mae mse rmse msle mape smape wmape r2 explained_variance pearson spearman kendall_rank_corrcoef concordance_corrcoef
cosine_similarity log_cosh_error tweedie_deviance_score rse nrmse
dice mean_iou generalized_dice_score mean_average_precision map_50 map_75
wer cer mer wil wip edit_distance ter bleu sacre_bleu_score rouge rouge1 rouge2 rougel chrf
psnr ssim ms_ssim universal_image_quality_index snr sdr si_sdr si_snr
"""

#: other spellings of the same number -> how it is called here
SPELLINGS = {
    "accuracy": "acc binary_accuracy top1 top1_accuracy",
    "f1": "f1_score f1score",
    "fbeta": "fbeta_score",
    "auroc": "auc roc_auc",
    "average_precision": "ap",
    "mean_average_precision": "map",
    "map_50": "map50",
    "map_75": "map75",
    "ranking_loss": "label_ranking_loss",
    "ranking_average_precision": "label_ranking_average_precision",
    "hinge_loss": "hinge",
    "negative_predictive_value": "npv",
    "jaccard_index": "jaccard iou miou",
    "recall": "sensitivity",
    "dice": "dice_score",
    "mcc": "matthews_corrcoef matthews_corr_coef",
    "cohen_kappa": "kappa",
    "r2": "r2_score r2score",
    "pearson": "pearson_corrcoef pearson_corr_coef",
    "spearman": "spearman_corrcoef spearman_corr_coef",
    "concordance_corrcoef": "concordance_corr_coef",
    "cross_entropy": "cross_entropy_loss log_loss logloss",
    "mae": "mean_absolute_error l1",
    "mse": "mean_squared_error l2",
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
    "wil": "word_information_lost word_info_lost",
    "wip": "word_information_preserved word_info_preserved",
    "bleu": "bleu_score",
    "rouge": "rouge_score",
    "chrf": "chrf_score",
    "psnr": "peak_signal_noise_ratio",
    "ssim": "structural_similarity_index_measure",
    "snr": "signal_noise_ratio",
    "sdr": "signal_distortion_ratio",
    "si_sdr": "scale_invariant_signal_distortion_ratio",
    "si_snr": "scale_invariant_signal_noise_ratio",
    "ter": "translation_edit_rate",
    "wmape": "weighted_mean_absolute_percentage_error",
    "nrmse": "normalized_root_mean_squared_error",
    "rse": "relative_squared_error",
    "ms_ssim": "multi_scale_structural_similarity_index_measure",
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance",
    "lpips": "learned_perceptual_image_patch_similarity",
}
_USUAL = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings.split()}
#: a score is of the validation set, whether or not its name says so; one of the training or test set is another number
_OF_VALIDATION = re.compile(r"^(val|valid|validation|eval|dev)_")
_OF_ANOTHER_SET = re.compile(r"^(train|training|test)_")
_TASK = re.compile(r"^(binary|multiclass|multilabel)_")
#: of two classes, the number of class 1 alone rather than the mean of both
_ONE_CLASS = re.compile(r"^binary_(\w+)$|^(\w+)_binary$")
_OF_ONE_CLASS = ("f1", "precision", "recall")
_MEAN = re.compile(r"^(macro|micro|weighted)_|_(macro|micro|weighted)$")


@cache
def canonical(name: str) -> str:
    """`"val/acc"`, `"valAccuracy"`, `"MulticlassAccuracy"` -> `"accuracy"`; `"train_loss"` stays itself, and so does
    `"binary_f1"`, that of class 1 alone.
    """
    snake = _snake(name)
    one = _ONE_CLASS.search(_OF_VALIDATION.sub("", snake))
    if one is not None and (key := canonical(one[1] or one[2])) in _OF_ONE_CLASS:
        return f"binary_{key}"
    plain = _TASK.sub("", _OF_VALIDATION.sub("", snake)) or snake
    mean = _MEAN.search(plain)
    if mean is not None and plain not in _USUAL:  # over the classes: `"macro_f1"` -> `"f1_macro"`
        return f"{canonical(_MEAN.sub('', plain))}_{mean[1] or mean[2]}"
    return _USUAL.get(plain, plain)


def _snake(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^\w@]+", "_", spaced.casefold()).strip("_") or name


def taken_apart(name: str) -> tuple[str, str | None, int]:
    """The metric, its mean over the classes where the name says one, and how many guesses count: `"val_macro_f1"` ->
    `("f1", "macro", 1)`, `"top3_accuracy"` -> `("accuracy", None, 3)`, `"binary_f1"` -> `("f1", "binary", 1)`.
    """
    plain = canonical(name)
    if (one := _ONE_CLASS.search(plain)) is not None and one[1] in _OF_ONE_CLASS:
        return one[1], "binary", 1
    mean, key = _MEAN.search(plain), _MEAN.sub("", plain)
    top = re.search(r"top_?(\d+)", key)
    if top is not None or key == "balanced_accuracy":
        return "accuracy", None if top else "macro", int(top[1]) if top else 1
    return key, (mean[1] or mean[2]) if mean else None, 1


def measured(name: str) -> bool:
    """Whether the evaluation can work it out from outputs and targets, for some task."""
    return taken_apart(name)[0] in _all_measured()


def _of_any_set(name: str) -> str:
    return canonical(_OF_ANOTHER_SET.sub("", _snake(name)))


# worked out when first asked for: most who import this never ask


@cache
def _all_measured() -> frozenset[str]:
    return frozenset(map(canonical, MEASURED.split()))


@cache
def _directions() -> dict[str, bool]:
    known = ((HIGHER, True), (LOWER, False))
    return {_of_any_set(name): higher for names, higher in known for name in names.split()}


def higher_is_better(name: str) -> bool | None:
    """From the table of well-known names; None for a name that is not in it."""
    plain = _of_any_set(name)
    return _directions().get(plain, _directions().get(_MEAN.sub("", plain)))
