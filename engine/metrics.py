"""Which way a metric is better."""

from __future__ import annotations

import math
import re

_HIGHER = """
accuracy acc top1 top5 top1_accuracy top5_accuracy balanced_accuracy binary_accuracy exact_match precision
recall sensitivity specificity f1 f1_score f1_macro f1_micro f1_weighted macro_f1 micro_f1 weighted_f1 fbeta
fbeta_score auc auroc roc_auc average_precision ap map map50 map_50 map_75 mean_average_precision jaccard
jaccard_index iou mean_iou miou dice dice_score generalized_dice_score mcc matthews_corrcoef
matthews_corr_coef cohen_kappa kappa r2 r2_score explained_variance pearson pearson_corrcoef pearson_corr_coef
spearman spearman_corrcoef spearman_corr_coef kendall_rank_corrcoef concordance_corrcoef concordance_corr_coef
cosine_similarity ndcg retrieval_normalized_dcg mrr retrieval_mrr retrieval_map retrieval_precision
retrieval_recall hit_rate bleu bleu_score sacre_bleu_score rouge rouge_score rouge1 rouge2 rougel chrf
chrf_score bert_score meteor squad psnr peak_signal_noise_ratio ssim structural_similarity_index_measure
ms_ssim inception_score clip_score log_likelihood snr signal_noise_ratio si_sdr signal_distortion_ratio
scale_invariant_signal_noise_ratio stoi pesq mutual_info_score normalized_mutual_info_score
adjusted_rand_score rand_score log_auc ranking_average_precision critical_success_index
"""

_LOWER = """
loss val_loss train_loss test_loss cross_entropy cross_entropy_loss bce nll log_loss hinge hinge_loss error
error_rate mae mean_absolute_error mse mean_squared_error rmse root_mean_squared_error msle
mean_squared_log_error mape mean_absolute_percentage_error smape symmetric_mean_absolute_percentage_error
wmape weighted_mean_absolute_percentage_error rse relative_squared_error nrmse
normalized_root_mean_squared_error median_absolute_error max_error minkowski_distance log_cosh_error
tweedie_deviance_score kl_divergence jensen_shannon_divergence hamming_distance ranking_loss
label_ranking_loss coverage_error calibration_error ece brier brier_score perplexity ppl wer word_error_rate
cer char_error_rate mer match_error_rate wil word_information_lost edit_distance ter translation_edit_rate fid
frechet_inception_distance kid kernel_inception_distance lpips learned_perceptual_image_patch_similarity
total_variation hausdorff_distance latency latency_ms crps
continuous_ranked_probability_score kldivergence fairness group_stat_rates
"""

_PREFIX = re.compile(r"^(val|valid|validation|eval|test|train)_")
_TASK = re.compile(r"^(binary|multiclass|multilabel)_")


def normalised(name: str) -> str:
    """`"MeanSquaredError"`, `"val/mean-squared-error"` -> `"mean_squared_error"`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    snake = re.sub(r"[^0-9a-z]+", "_", spaced.casefold()).strip("_")
    return _TASK.sub("", _PREFIX.sub("", snake)) or snake


_DIRECTION = {normalised(name): True for name in _HIGHER.split()} | {normalised(name): False for name in _LOWER.split()}


def finite(value: object) -> float | None:
    """None for what is not a number: it ranks nowhere and is compared with nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def higher_is_better(name: str) -> bool | None:
    """From the table of well-known names; None for a name that is not in it."""
    return _DIRECTION.get(normalised(name))
