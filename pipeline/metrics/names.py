"""METRICS: all that is known of each metric of rows, once. The stages, the report and the documentation read it.

A metric is a function of this package, and its entry here. One that follows from what all of its family are given names
its function, and is computed by it alone; others are computed together, by the stage. This module imports nothing that
takes time.
"""

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """What is known of a metric.

    family: what it is about. question: which question of the family it helps to answer, if there are several.
    summary: over rows the share of ones, or the mean; None where a value is of a set of images from the start.
    better: None where neither way is. values: between what they lie. label: its name for readers. meaning: what it
    says, in words that follow the label; of two definitions, the corrected one. paper: what the published one has
    otherwise, where both stand in the tables. details: whole sentences that the documentation has besides. name: what
    it is called over rows, if that is another. function: what computes it, as module:function; of counterfactuals from
    (counterfactuals, images), both (N, 3, H, W) in [0, 1], values (N,); of maps from (maps, positives), Scored.
    """

    family: Literal["classifiers", "saliency", "counterfactuals", "accusations", "directions"]
    question: Literal["valid", "close", "real", "truth", "concepts", "cost"] | None
    summary: Literal["share", "mean"] | None
    better: Literal["higher", "lower"] | None
    values: str
    label: str
    meaning: str
    details: str = ""
    paper: str = ""
    name: str | None = None
    function: str | None = None


METRICS = {
    "correct": Metric(
        *("classifiers", None, "share", "higher", "0 to 1"),
        "accuracy",
        "the share of the images as they are that the network gives their label",
        "A reader is asked for every `concept`.",
        name="accuracy",
    ),
    "flips": Metric(
        *("classifiers", None, "share", None, "0 to 1"),
        "flip rate",
        "the share of images on which some other value of a concept changes the decision",
        name="intervention_flip_rate",
    ),
    "effect": Metric(
        *("classifiers", None, "mean", None, "0 to 1"),
        "effect of an intervention",
        "the largest change of the probability of the class decided at first, over the other values of a concept",
        name="intervention_effect",
    ),
    "causal_effect": Metric(
        *("classifiers", None, "mean", None, "-1 to 1"),
        "average causal effect",
        "the change of the probability of a class when a concept appears that may be absent or present",
        "Column `target_class`.",
        name="average_causal_effect",
    ),
    "truth_mass": Metric(
        *("saliency", None, "mean", "higher", "0 to 1"),
        "share of mass",
        "how much of what the map marks, its values above 0 added up, lies on the pixels whose change flips the"
        " decision; a map of one value everywhere has the share of these pixels",
    ),
    "truth_average_precision": Metric(
        *("saliency", None, "mean", "higher", "0 to 1"),
        "average precision",
        "how pure the top of the map is: the share of pixels that matter, averaged from the highest pixel down;"
        " guessing gives the share of pixels that matter",
        function="pipeline.metrics.truth_maps:truth_average_precision",
    ),
    "pointing_game": Metric(
        *("saliency", None, "mean", "higher", "0 to 1"),
        "pointing game",
        "the share of images in which the highest pixel of the map is one that matters",
        "Zhang et al. 2018, without a tolerance; of several highest pixels, the share that matters.",
        function="pipeline.metrics.truth_maps:pointing_game",
    ),
    "removal_auc": Metric(
        *("saliency", None, "mean", "lower", "about 0 to 1"),
        "removal AUC",
        "how sure the classifier stays while the highest pixels are filled in first, by the in-fill named beside; a"
        " method that fills in the same itself is not judged by it",
        "Area under the log-odds, scaled from 1 (the image) to 0 (all of it filled in). Column `infill`.",
    ),
    "keeping_auc": Metric(
        *("saliency", None, "mean", "higher", "about 0 to 1"),
        "keeping AUC",
        "how sure the classifier stays while the lowest pixels are filled in first, by the in-fill named beside; a"
        " method that fills in the same itself is not judged by it",
        "The area as for `removal_auc`.",
    ),
    "truth_auroc": Metric(
        *("saliency", None, "mean", "higher", "0 to 1"),
        "truth AUROC",
        "the chance that a pixel whose change flips the decision stands higher in the map than one that does not;"
        " guessing gives 0.5. Most pixels lie far from those that matter, so that a map which leaves out the margins"
        " comes near 1",
    ),
    "truth_auroc_fillable": Metric(
        *("saliency", None, "mean", "higher", "0 to 1"),
        "truth AUROC, fillable",
        "the same over the images where filling in exactly the pixels that matter changes the decision: elsewhere a"
        " method that fills in cannot find them",
    ),
    "localisation_error": Metric(
        *("saliency", None, "share", "lower", "0 to 1"),
        "localisation error",
        "the share of images in which the box around the salient region overlaps no true box by more than half; the"
        " region is what lies above the mean of the map, far more than a small part, so maps that spread fail",
        "The map is brought to the image and then cut, which the published code does the other way round; the largest"
        " connected region counts (Fong & Vedaldi 2017; Zolna et al. 2020). True boxes are those of the"
        " pixels that matter, or of the images where the truth is not known.",
    ),
    "localisation_error_tuned": Metric(
        *("saliency", None, "share", "lower", "0 to 1"),
        "localisation error, tuned",
        "the same with the threshold that makes the fewest errors on the other half of the images",
    ),
    "saliency_metric": Metric(
        *("saliency", None, "mean", "lower", "-3 up"),
        "saliency metric",
        "how small a box around the salient region can be with the classifier still sure of the image cut to it",
        "log(area) - log(probability), the area at least 0.05 (Dabkowski & Gal 2017).",
    ),
    "coverage_flipping": Metric(
        *("saliency", None, "mean", None, "0 to 1"),
        "coverage, flipping",
        "how strongly the map, scaled to 0 to 1, marks the part of a concept on the images where changing it flips the"
        " decision",
    ),
    "coverage_not_flipping": Metric(
        *("saliency", None, "mean", None, "0 to 1"),
        "coverage, not flipping",
        "the same on the images where changing it does not flip the decision",
    ),
    "truth_fill_flips": Metric(
        *("saliency", None, "share", None, "0 to 1"),
        "flips by filling in the truth",
        "the share of images on which filling in exactly the pixels that matter changes the decision; elsewhere no"
        " method that fills in can find them",
        name="truth_fill_flip_rate",
    ),
    "target_accuracy": Metric(
        *("counterfactuals", "valid", "share", "higher", "0 to 1"),
        "target accuracy",
        "the share of counterfactuals that the classifier decides for the target",
        "The flip rate.",
    ),
    "oracle_target_accuracy": Metric(
        *("counterfactuals", "valid", "share", "higher", "0 to 1"),
        "oracle target accuracy",
        "the share that another network of the same task, named beside, decides for the target",
        "Column `judge`.",
    ),
    "original_accuracy": Metric(
        *("counterfactuals", "valid", "share", "lower", "0 to 1"),
        "original accuracy",
        "the share still decided for the class that is explained",
    ),
    "left_class": Metric(
        *("counterfactuals", "valid", "share", "higher", "0 to 1"),
        "left its class",
        "the share decided otherwise than the image, whatever the target",
    ),
    "target_confidence": Metric(
        *("counterfactuals", "valid", "mean", "higher", "0 to 1"),
        "target confidence",
        "the probability of the target",
    ),
    "original_confidence": Metric(
        *("counterfactuals", "valid", "mean", "lower", "0 to 1"),
        "original confidence",
        "the probability of the class that is explained",
    ),
    "confidence_gap": Metric(
        *("counterfactuals", "valid", "mean", "lower", "0 to 1"),
        "confidence gap (BKL)",
        "1 minus the probability of the target",
        "The BKL of Jeanneret et al. 2022.",
    ),
    "oracle_score": Metric(
        *("counterfactuals", "valid", "share", "higher", "0 to 1"),
        "oracle score",
        "the share that another network, named beside, decides as the classifier does",
        "Column `judge` (Hvilshoj et al. 2021).",
    ),
    "cout": Metric(
        *("counterfactuals", "valid", "mean", "higher", "-1 to 1"),
        "COUT",
        "how few of the changed pixels, most changed first, carry the decision from one class to the other",
        "The pixels of the image are replaced by those of the counterfactual: the area under the probability of the"
        " target, minus that of the source class (Khorram & Fuxin 2022).",
        paper="over the images that the classifier gets right, and with a slice of left-over pixels as a full one",
    ),
    "l1": Metric(
        *("counterfactuals", "close", "mean", "lower", "0 to 1"),
        "l1",
        "the mean absolute change of a value",
        paper="one norm over all images together, of pixels in [-1, 1], which grows with their number and size (Vaeth"
        " et al. 2023)",
    ),
    "l1.5": Metric(
        *("counterfactuals", "close", "mean", "lower", "0 to 1"),
        "l1.5",
        "the same by the power 1.5",
        paper="as l1",
    ),
    "l2": Metric(
        *("counterfactuals", "close", "mean", "lower", "0 to 1"),
        "l2",
        "the root mean square change of a value",
        paper="as l1",
    ),
    "linf": Metric(
        *("counterfactuals", "close", "mean", "lower", "0 to 1"), "l-infinity", "the largest change of a value"
    ),
    "sparsity": Metric(
        *("counterfactuals", "close", "mean", "lower", "0 to 1"),
        "changed pixels",
        "the share of pixels that change by more than one step of 8 bits",
        "On average over their channels.",
        function="pipeline.metrics.closeness:sparsity",
    ),
    "perceptual_distance": Metric(
        *("counterfactuals", "close", "mean", "lower", "0 up"),
        "perceptual distance",
        "how far apart image and counterfactual are for the layers of a network",
        "LPIPS's definition (Zhang et al. 2018) on the network `perceptual`.",
    ),
    "similarity": Metric(
        *("counterfactuals", "close", "mean", "higher", "-1 to 1"),
        "similarity",
        "the cosine of the features of image and counterfactual",
        "By the network `similarity`; S3 with SimSiam.",
        paper="over the images that the classifier gets right",
    ),
    "face_similarity": Metric(
        *("counterfactuals", "close", "mean", "higher", "-1 to 1"),
        "face similarity (FS)",
        "the cosine by a network of faces, of valid ones",
        "By the network `faces` (Jeanneret et al. 2022).",
    ),
    "same_face": Metric(
        *("counterfactuals", "close", "share", "higher", "0 to 1"),
        "same face (FVA)",
        "the share of valid ones that a network of faces takes for the same",
        "By the network `faces` (Jeanneret et al. 2022).",
    ),
    "diversity": Metric(
        *("counterfactuals", "close", "mean", "higher", "0 up"),
        "diversity",
        "the perceptual distance of counterfactuals of one image among each other",
        "Where there are several samples.",
    ),
    "frechet_distance": Metric(
        *("counterfactuals", "real", None, "lower", "0 up"),
        "Fréchet distance",
        "how far the counterfactuals, taken together, are from real images of their target class; biased"
        " upwards below 2,048 images",
        "The distance of the Gaussians of features, averaged over targets; FID with Inception.",
        paper="from their own images, where leaving them unchanged is best; with Inception by its 64 first features, of"
        " images whose dark pixels wrap around (Vaeth et al. 2023)",
    ),
    "split_frechet_distance": Metric(
        *("counterfactuals", "real", None, "lower", "0 up"),
        "split Fréchet distance",
        "the same distance between one half of the images and the counterfactuals of the other",
        "Both ways (the sFID of Jeanneret et al. 2023); the halves are drawn by the seed.",
    ),
    "kernel_distance": Metric(
        *("counterfactuals", "real", None, "lower", "about 0 up"),
        "kernel distance",
        "how far the counterfactuals, taken together, are from real images of their target class; unbiased, so it may"
        " be a little below 0",
        "The unbiased kernel estimate (KID of Binkowski et al. 2018, over all pairs), with the jackknife's interval.",
        paper="from their own images",
    ),
    "causal_share": Metric(
        *("counterfactuals", "truth", "share", "higher", "0 to 1"),
        "causal",
        "the share of flips, which are valid counterfactuals of images decided otherwise, that change a concept whose"
        " change alone flips the decision",
        "To any other class. With the next two it makes 1: each flip is one of the three.",
    ),
    "trivial_share": Metric(
        *("counterfactuals", "truth", "share", "lower", "0 to 1"),
        "trivial",
        "the share of flips that change no concept, as adversarial examples do",
    ),
    "collateral_share": Metric(
        *("counterfactuals", "truth", "share", "lower", "0 to 1"),
        "collateral",
        "the share of flips that change concepts, but none whose change alone flips the decision",
        "Also where no concept does so alone.",
    ),
    "changes_cause": Metric(
        *("counterfactuals", "truth", "share", "higher", "0 to 1"),
        "change what flips",
        "the share of valid counterfactuals that change a concept whose change alone truly flips the decision",
        "By `concept`: on the images where its change flips.",
    ),
    "changes_beside_cause": Metric(
        *("counterfactuals", "truth", "share", "lower", "0 to 1"),
        "change another",
        "the share that change a concept whose change alone does not flip it",
        "By `concept`: on the images where its change does not flip.",
    ),
    "changes_only_cause": Metric(
        *("counterfactuals", "truth", "share", "higher", "0 to 1"),
        "change the one",
        "of the images where exactly one concept flips: the share that change it",
    ),
    "changes_beside_only_cause": Metric(
        *("counterfactuals", "truth", "share", "lower", "0 to 1"),
        "change another than the one",
        "of the same images: the share that change another",
    ),
    "truth_precision": Metric(
        *("counterfactuals", "truth", "mean", "higher", "0 to 1"),
        "truth precision",
        "of the concepts that a counterfactual changes, the share whose change truly flips",
    ),
    "truth_recall": Metric(
        *("counterfactuals", "truth", "mean", "higher", "0 to 1"),
        "truth recall",
        "of the concepts whose change truly flips, the share that it changes; one of them is enough",
        "So a sparse counterfactual need not reach 1.",
    ),
    "side_effects": Metric(
        *("counterfactuals", "truth", "mean", "lower", "0 up"),
        "side effects",
        "how many concepts it changes whose change alone does not flip the decision",
    ),
    "attributes_changed": Metric(
        *("counterfactuals", "concepts", "mean", "lower", "0 up"),
        "concepts changed (MNAC)",
        "how many concepts a reader decides otherwise",
        "Jeanneret et al. 2022.",
    ),
    "label_variation": Metric(
        *("counterfactuals", "concepts", "mean", None, "0 to 1"),
        "label variation",
        "the Jensen-Shannon divergence of what a reader says of a concept before and after",
        "High is wanted of the one to change, low of the others (after Hvilshoj et al. 2021).",
    ),
    "correlation_difference": Metric(
        *("counterfactuals", "concepts", None, "lower", "0 up"),
        "correlation difference (CD)",
        "how far concepts change together otherwise than the labels do",
        "Of concepts with two values, against the labels of the study's images; only where the task is one of them"
        " (Jeanneret et al. 2022).",
    ),
    "network_evaluations": Metric(
        *("counterfactuals", "cost", "mean", "lower", "0 up"),
        "network evaluations",
        "passes through networks for one counterfactual",
    ),
    "accusation_auroc": Metric(
        *("accusations", None, None, "higher", "0 to 1"),
        "accusations (AUROC)",
        "the chance that a concept that flips the classifier on an image is accused more than one that does not",
        "Over images and concepts; 0.5 is chance.",
    ),
    "shortcut_found": Metric(
        *("accusations", None, None, "higher", "0 to 1"),
        "shortcut found",
        "the share of images on which the planted concept flips the classifier, and is accused",
        "Accused: above the threshold that separates best on every third image of both classifiers; the share is of the"
        " others.",
    ),
    "false_alarm": Metric(
        *("accusations", None, None, "lower", "0 to 1"),
        "false alarms",
        "the share of images on which that concept is accused of its clean twin, which it does not flip",
        "With the threshold of `shortcut_found`.",
    ),
    "concept_effect": Metric(
        *("directions", None, None, None, "any"),
        "effect on a concept",
        "how far a concept moves along the direction, to where it flips the classifier, in standard deviations of what"
        " a reader says of it",
        "By `concept`. Of two values, towards the second; of more, the value that moves furthest.",
    ),
    "effect_correlation": Metric(
        *("directions", None, None, "higher", "-1 to 1"),
        "agreement with the truth",
        "the correlation over concepts between how far each moves along the direction and how much changing it alone"
        " changes what the classifier says",
        "Pearson's; without the sign of a move.",
    ),
}
"""By the name in the scores of rows, in the order of the report."""


def functions(family: str) -> dict[str, str]:
    """The metrics of a family that have functions of their own, with these."""
    return {name: known.function for name, known in METRICS.items() if known.family == family and known.function}


def over_rows(metric: str) -> str:
    """What a metric of rows is called in the table of metrics."""
    return METRICS[metric].name or metric


def measures(family: str, *questions: str) -> dict[str, Metric]:
    """The metrics by which methods are compared, of a family or of some of its questions, by their names over rows."""
    return {
        over_rows(metric): known
        for metric, known in METRICS.items()
        if known.family == family and known.better is not None and (not questions or known.question in questions)
    }
