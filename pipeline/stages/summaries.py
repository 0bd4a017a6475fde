"""What the scores of rows become over rows: a name, a way to summarise, and which way is better."""

from typing import Literal, NamedTuple


class Summary(NamedTuple):
    """metric: the name over rows. kind: share of ones, or mean. better: None where neither way is."""

    metric: str
    kind: Literal["share", "mean"]
    better: Literal["higher", "lower"] | None


SUMMARIES = {
    "correct": Summary("accuracy", "share", "higher"),
    "flips": Summary("intervention_flip_rate", "share", None),
    "effect": Summary("intervention_effect", "mean", None),
    "causal_effect": Summary("average_causal_effect", "mean", None),
    # Maps.
    "truth_mass": Summary("truth_mass", "mean", "higher"),
    "truth_auroc": Summary("truth_auroc", "mean", "higher"),
    "truth_auroc_fillable": Summary("truth_auroc_fillable", "mean", "higher"),
    "truth_average_precision": Summary("truth_average_precision", "mean", "higher"),
    "pointing_game": Summary("pointing_game", "mean", "higher"),
    "localisation_error": Summary("localisation_error", "share", "lower"),
    "localisation_error_tuned": Summary("localisation_error_tuned", "share", "lower"),
    "saliency_metric": Summary("saliency_metric", "mean", "lower"),
    "removal_auc": Summary("removal_auc", "mean", "lower"),
    "keeping_auc": Summary("keeping_auc", "mean", "higher"),
    "coverage_flipping": Summary("coverage_flipping", "mean", None),
    "coverage_not_flipping": Summary("coverage_not_flipping", "mean", None),
    "truth_fill_flips": Summary("truth_fill_flip_rate", "share", None),
    # Counterfactuals: what the classifier says.
    "target_accuracy": Summary("target_accuracy", "share", "higher"),
    "original_accuracy": Summary("original_accuracy", "share", "lower"),
    "left_class": Summary("left_class", "share", "higher"),
    "target_confidence": Summary("target_confidence", "mean", "higher"),
    "original_confidence": Summary("original_confidence", "mean", "lower"),
    "confidence_gap": Summary("confidence_gap", "mean", "lower"),
    "cout": Summary("cout", "mean", "higher"),
    # What others say that judge the same task.
    "oracle_score": Summary("oracle_score", "share", "higher"),
    "oracle_target_accuracy": Summary("oracle_target_accuracy", "share", "higher"),
    # How far from the source, and how real.
    "l1": Summary("l1", "mean", "lower"),
    "l1.5": Summary("l1.5", "mean", "lower"),
    "l2": Summary("l2", "mean", "lower"),
    "linf": Summary("linf", "mean", "lower"),
    "sparsity": Summary("sparsity", "mean", "lower"),
    "perceptual_distance": Summary("perceptual_distance", "mean", "lower"),
    "similarity": Summary("similarity", "mean", "higher"),
    "face_similarity": Summary("face_similarity", "mean", "higher"),
    "same_face": Summary("same_face", "share", "higher"),
    "diversity": Summary("diversity", "mean", "higher"),
    "frechet_distance": Summary("frechet_distance", "mean", "lower"),
    "split_frechet_distance": Summary("split_frechet_distance", "mean", "lower"),
    "kernel_distance": Summary("kernel_distance", "mean", "lower"),
    # What a reader of concepts sees change.
    "attributes_changed": Summary("attributes_changed", "mean", "lower"),
    "correlation_difference": Summary("correlation_difference", "mean", "lower"),
    "label_variation": Summary("label_variation", "mean", None),
    "truth_precision": Summary("truth_precision", "mean", "higher"),
    "truth_recall": Summary("truth_recall", "mean", "higher"),
    "side_effects": Summary("side_effects", "mean", "lower"),
    "changes_cause": Summary("changes_cause", "share", "higher"),
    "changes_beside_cause": Summary("changes_beside_cause", "share", "lower"),
    "changes_only_cause": Summary("changes_only_cause", "share", "higher"),
    "changes_beside_only_cause": Summary("changes_beside_only_cause", "share", "lower"),
    "network_evaluations": Summary("network_evaluations", "mean", "lower"),
}
