"""How many passes a method takes to make one counterfactual: known from its options before anything runs.

By what a network is to the method: "classifier" (the one that is explained), "helper", "guide" and "generator", as in a
study. Counted as `Counterfactuals` counts them; here passes that end in a backward pass are told apart, since they cost
more. Imports nothing heavy. A test holds every formula against what the explainers report, and do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Count:
    """Passes of one counterfactual through one network.

    forward: alone. with_backward: forward with a backward pass. again: further backward passes over a forward pass that
    was counted, for gradients of several quantities; they are no evaluations.
    """

    forward: int = 0
    with_backward: int = 0
    again: int = 0

    @property
    def network_evaluations(self) -> int:
        return self.forward + self.with_backward


Counts = dict[str, Count]


def passes_per_counterfactual(method: str, options: Mapping[str, Any]) -> Counts:
    """What `method` takes for one image, target and sample; at most, where it stops early (DiME).

    options: all of its section in a study.
    """
    if method not in PASSES:
        raise ValueError(f"there is no formula for the passes of {method!r}; add it to {__name__}.PASSES")
    return PASSES[method](options)


def dvce(options: Mapping[str, Any]) -> Counts:
    """The step that yields the denoised image needs no guidance."""
    sends_distance = options["distance_through_denoiser"] and options["distance_weight"] > 0
    return steered(options, options["output"] == "clean", sends_distance)


def vaeth(options: Mapping[str, Any]) -> Counts:
    return steered(options, False, False)


def steered(options: Mapping[str, Any], ends_clean: bool, sends_distance: bool) -> Counts:
    judges = ["classifier", *(["helper"] if options["cone"] else [])]
    walked = options["steps"] - options["skip"]
    guided = walked - ends_clean
    backward = options["through_denoiser"] * len(judges) + sends_distance
    seen = Count(with_backward=guided * options["augmentations"])
    return {**dict.fromkeys(judges, seen), "generator": guided_walk(walked, guided, backward)}


def blended(options: Mapping[str, Any]) -> Counts:
    walked = options["steps"] - options["skip"]
    return {"classifier": Count(with_backward=walked - 1), "generator": guided_walk(walked, walked - 1, 1)}


def classifier_guidance(options: Mapping[str, Any]) -> Counts:
    walked = options["steps"] - options["skip"]
    return {"guide": Count(with_backward=walked), "generator": Count(forward=walked)}


def guided_walk(walked: int, guided: int, backward: int) -> Count:
    """The generator's passes of a walk. backward: passes back through it in each guided step."""
    if not backward:
        return Count(forward=walked)
    return Count(walked - guided, guided, guided * (backward - 1))


def dime(options: Mapping[str, Any]) -> Counts:
    """At most: an image that a scale has flipped is not tried with the next one."""
    start, tried = options["start"], len(options["scales"])
    inner = (start - 1) * (start - 2) // 2 if options["inner"] == "full" else 0
    return {
        "classifier": Count(tried - 1, tried * start),
        "generator": Count(forward=tried * (start + inner)),
    }


def ace(options: Mapping[str, Any]) -> Counts:
    attacked = options["iterations"] * options["start"]
    again = attacked if options["recompute"] == "steps" else 0
    return {
        "classifier": Count(with_backward=options["iterations"]),
        "generator": Count(options["start"] + again, attacked),
    }


def svce(options: Mapping[str, Any]) -> Counts:
    """The last step is only looked at."""
    return {"classifier": Count(1, options["iterations"])}


def pgd(options: Mapping[str, Any]) -> Counts:
    return {"classifier": Count(with_backward=options["iterations"])}


PASSES: dict[str, Callable[[Mapping[str, Any]], Counts]] = {
    "classifier-guidance": classifier_guidance,
    "blended": blended,
    "dvce": dvce,
    "vaeth": vaeth,
    "dime": dime,
    "ace": ace,
    "svce": svce,
    "pgd": pgd,
}
"""One for each method of `pipeline.explain.COUNTERFACTUALS`."""
