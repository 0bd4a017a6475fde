"""What the measures of counterfactuals are called, which way is better, and what each says in one sentence."""

from pipeline.report.columns import Measure

MINIMAL = {
    "target_accuracy": Measure(
        "target accuracy", "higher", "the share of counterfactuals that the classifier decides for the target"
    ),
    "oracle_target_accuracy": Measure(
        "oracle target accuracy",
        "higher",
        "the share that another network of the same task, named in brackets, decides for the target",
    ),
    "perceptual_distance": Measure(
        "perceptual distance", "lower", "how far apart image and counterfactual are for the layers of a network"
    ),
    "frechet_distance": Measure(
        "Fréchet distance",
        "lower",
        "how far the counterfactuals, taken together, are from real images of their target class",
    ),
    "kernel_distance": Measure(
        "kernel distance",
        "lower",
        "how far the counterfactuals, taken together, are from real images of their target class; unbiased, so it may"
        " be a little below 0",
    ),
}
TRUTH = {
    "changes_cause": Measure(
        "change what flips",
        "higher",
        "the share of valid counterfactuals that change a concept whose change alone truly flips the decision",
    ),
    "changes_beside_cause": Measure(
        "change another", "lower", "the share that change a concept whose change alone does not flip it"
    ),
    "changes_only_cause": Measure(
        "change the one", "higher", "of the images where exactly one concept flips: the share that change it"
    ),
    "changes_beside_only_cause": Measure(
        "change another than the one", "lower", "of the same images: the share that change another"
    ),
    "truth_precision": Measure(
        "truth precision", "higher", "of the concepts that a counterfactual changes, the share whose change truly flips"
    ),
    "truth_recall": Measure(
        "truth recall",
        "higher",
        "of the concepts whose change truly flips, the share that it changes; one of them is enough",
    ),
    "side_effects": Measure(
        "side effects", "lower", "how many concepts it changes whose change alone does not flip the decision"
    ),
}
MORE = {
    "original_accuracy": Measure(
        "original accuracy", "lower", "the share still decided for the class that is explained"
    ),
    "left_class": Measure(
        "left its class", "higher", "the share decided otherwise than the image, whatever the target"
    ),
    "target_confidence": Measure("target confidence", "higher", "the probability of the target"),
    "original_confidence": Measure("original confidence", "lower", "the probability of the class that is explained"),
    "confidence_gap": Measure("confidence gap (BKL)", "lower", "1 minus the probability of the target"),
    "oracle_score": Measure("oracle score", "higher", "the share that another network decides as the classifier does"),
    "cout": Measure(
        "COUT",
        "higher",
        "how few of the changed pixels, most changed first, carry the decision from one class to the other; as"
        " published over the images that the classifier gets right",
    ),
    "l1": Measure(
        "l1", "lower", "the mean absolute change of a value; as published, summed over all images, in [-1, 1]"
    ),
    "l1.5": Measure("l1.5", "lower", "the same by the power 1.5"),
    "l2": Measure("l2", "lower", "the root mean square change of a value; as published, over all images together"),
    "linf": Measure("l-infinity", "lower", "the largest change of a value"),
    "sparsity": Measure("changed pixels", "lower", "the share of pixels that change by more than one step of 8 bits"),
    "perceptual_distance": MINIMAL["perceptual_distance"],
    "similarity": Measure(
        "similarity",
        "higher",
        "the cosine of the features of image and counterfactual; as published over the images that are decided right",
    ),
    "face_similarity": Measure("face similarity (FS)", "higher", "the same by a network of faces, of valid ones"),
    "same_face": Measure(
        "same face (FVA)", "higher", "the share of valid ones that a network of faces takes for the same"
    ),
    "diversity": Measure(
        "diversity", "higher", "the perceptual distance of counterfactuals of one image among each other"
    ),
    "frechet_distance": Measure(
        "Fréchet distance",
        "lower",
        "how far the counterfactuals together are from real images of their target class; as published, from their own"
        " images, where leaving them unchanged is best. Biased upwards below 2,048 images",
    ),
    "split_frechet_distance": Measure(
        "split Fréchet distance", "lower", "between one half of the images and the counterfactuals of the other"
    ),
    "kernel_distance": Measure(
        "kernel distance", "lower", "as the Fréchet distance, without its bias; it may be a little below 0"
    ),
    "attributes_changed": Measure("concepts changed (MNAC)", "lower", "how many concepts a reader decides otherwise"),
    "correlation_difference": Measure(
        "correlation difference (CD)", "lower", "how far concepts change together otherwise than the labels do"
    ),
    "network_evaluations": Measure("network evaluations", "lower", "passes through networks for one counterfactual"),
}
"""All else that is measured, in the order of the page."""
