"""Whether the methods of a study fit its classifiers, as far as that is known before anything runs.

What is only known once a network is loaded is refused then, by the method itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.decode import read_mask
from pipeline.diffusion.roles import check_kind, check_same_size, check_unconditional
from pipeline.diffusion.strides import whole_stride
from pipeline.errors import UserError, alternatives, listed, nearest
from pipeline.explain.pairs import class_number, targets_by_class
from pipeline.methods.base import CounterfactualMethod, DirectionMethod, Method
from pipeline.study import EXPLAINING
from pipeline.study.targets import BY_TABLE, near_and_far, pairs_of
from pipeline.workflow.heads import classes_of, description_of
from pipeline.workflow.plan import Plan
from pipeline.worlds import load_world

KINDS = {"generator": "unet", "guide": "noisy-classifier"}
SEARCHED = "search"  # the split that directions are found on
MARKED = "object"  # the part that the masks of a folder are of
LIMIT = "or say by `classifiers` which classifiers the method explains"


def check_methods(plan: Plan) -> None:
    """Raise UserError for a method that cannot explain a classifier, or be run with what it names."""
    for section in EXPLAINING:
        for name, method in getattr(plan.study, section).items():
            for classifier in filter(method.explains, plan.study.classifiers):
                check_gradients(plan, f"{section}.{name}", method, classifier)
    for name, method in plan.study.directions.items():
        check_direction(plan, f"directions.{name}", method)
    for name, method in plan.study.attributions.items():
        followed, where = plan.study.directions[method.direction], f"attributions.{name}.direction"
        check_same_classifiers(plan, where, method, followed, f"'{method.direction}' is no direction")
    for name, planted in plan.study.evaluation.planted.items():
        check_parts(plan, f"evaluation.planted.{name}.concept", [planted.concept])
    for name, method in plan.study.counterfactuals.items():
        check_generators(plan, f"counterfactuals.{name}", method)
        check_region(plan, f"counterfactuals.{name}", method)
        for classifier in filter(method.explains, plan.study.classifiers):
            check_classes(plan, name, method, classifier)


def check_direction(plan: Plan, where: str, method: DirectionMethod) -> None:
    """Whether the autoencoder is one and can be walked in so many steps, and whether there is such a class."""
    if plan.study.dataset.split == SEARCHED:
        raise UserError(
            f"{where}: directions are found on the split {SEARCHED}, and dataset.split is {SEARCHED} too, so that they"
            " would be scored on the images that they were found on; set it to test."
        )
    if described := description_of(plan, method.autoencoder):
        check_kind(f"{where}.autoencoder: generator '{method.autoencoder}'", described.kind, "autoencoder")
        for key in ("encode_steps", "decode_steps"):
            try:
                whole_stride(described.schedule["steps"], getattr(method, key))
            except UserError as error:
                raise UserError(f"{where}.{key}: {error}.") from None
    for classifier in filter(method.explains, plan.study.classifiers):
        for classes in classes_of(plan, classifier).values():
            if classes is not None and method.target is not None:
                class_number(method.target, classes, f"{where}.target: {classifier}")


def check_gradients(plan: Plan, where: str, method: Method, classifier: str) -> None:
    entry = plan.entry(classifier)
    if method.needs_gradients and ("onnx" in entry or entry.get("differentiable") is False):
        raise UserError(
            f"{where}: {method.method} needs gradients and classifier '{classifier}' gives none (it is a black box);"
            f" load the network in another format, {LIMIT}."
        )


def check_generators(plan: Plan, where: str, method: CounterfactualMethod) -> None:
    named = {role: name for role in KINDS if (name := getattr(method, role, None))}
    owners = {role: f"{where}.{role}: generator '{name}'" for role, name in named.items()}
    known = {role: description for role, name in named.items() if (description := description_of(plan, name))}
    for role, description in known.items():
        check_kind(owners[role], description.kind, KINDS[role])
    if walked := known.get("generator"):
        check_unconditional(owners["generator"], walked.shape)
        if method.steps > walked.schedule["steps"]:
            raise UserError(
                f"{where}.steps is {method.steps}, and generator '{method.generator}' was trained on"
                f" {walked.schedule['steps']} steps; use 1 to {walked.schedule['steps']}."
            )
        if "guide" in known:
            check_same_size(owners["guide"], known["guide"].shape, walked.shape)


def check_classes(plan: Plan, name: str, method: CounterfactualMethod, classifier: str) -> None:
    """What depends on the classes of a classifier, where they are known."""
    where, heads = f"counterfactuals.{name}", classes_of(plan, classifier)
    if len(heads) != 1:
        return
    ((task, classes),) = heads.items()
    check_target(where, name, method, classifier, task, classes)
    if classes is None:
        return
    cone = getattr(method, "cone", None)
    if cone is not None:
        check_helper(plan, where, cone.helper, classifier, task, classes)
    if getattr(method, "guide", None):
        check_guide(plan, where, method.guide, classifier, classes)


def check_target(
    where: str, name: str, method: CounterfactualMethod, classifier: str, task: str, classes: Sequence[str] | None
) -> None:
    pairs = pairs_of(name, method)
    if pairs in BY_TABLE:
        tables = near_and_far([method])
        if task not in tables:
            raise UserError(
                f"{where}.target: {pairs} classes are known of the tasks {listed(tables)}, and {classifier} judges"
                f" {task}; name a table of your own, such as {{table: targets.csv}}, {LIMIT}."
            )
        pairs = tables[task][pairs]
    if isinstance(pairs, dict) and classes is not None:
        targets_by_class(pairs, classes, f"{where}.target: {classifier}")


def check_helper(plan: Plan, where: str, helper: str, classifier: str, task: str, classes: Sequence[str]) -> None:
    heads = classes_of(plan, helper)
    if not heads or None in heads.values():
        return
    if len(heads) > 1 or list(*heads.values()) != list(classes):
        raise UserError(
            f"{where}.cone.helper: '{helper}' judges {alternatives(heads)} with the classes"
            f" {listed(next(iter(heads.values())))}, and classifier '{classifier}' judges {task} with"
            f" {listed(classes)}; name a robust classifier with the same classes in the same order, {LIMIT}."
        )


def check_guide(plan: Plan, where: str, guide: str, classifier: str, classes: Sequence[str]) -> None:
    described = description_of(plan, guide)
    told = described and described.classes
    if told is not None and list(told) != list(classes):
        raise UserError(
            f"{where}.guide: '{guide}' tells {listed(told)} apart, and classifier '{classifier}' has the classes"
            f" {listed(classes)}; name a guide that was trained with the same classes, {LIMIT}."
        )


def check_region(plan: Plan, where: str, method: CounterfactualMethod) -> None:
    """Whether all that a method is confined by is there."""
    region = getattr(method, "region", None)
    check_parts(plan, f"{where}.immutable", getattr(method, "immutable", []))
    if region is None:
        return
    check_parts(plan, f"{where}.region.parts", region.parts or [])
    if region.drawn is not None:
        read_mask(f"{where}.region.drawn", Path(region.drawn))
    if region.saliency is not None:
        maps = plan.study.making_maps[region.saliency]
        check_same_classifiers(plan, f"{where}.region.saliency", method, maps, f"'{region.saliency}' makes no maps")


def check_same_classifiers(plan: Plan, where: str, method: Method, named: Method, lacks: str) -> None:
    """Whether what a method names explains all classifiers that the method does. lacks: what it is not, otherwise."""
    for classifier in filter(method.explains, plan.study.classifiers):
        if not named.explains(classifier):
            raise UserError(f"{where}: {lacks} of classifier '{classifier}'; name another entry, {LIMIT}.")


def check_parts(plan: Plan, where: str, parts: Sequence[str]) -> None:
    """Where the parts of images are known: all concepts of a world, and the object that the masks of a folder mark."""
    if not parts:
        return
    if plan.has_truth:
        known = [concept.name for concept in load_world(plan.study.dataset.world).concepts]
    elif getattr(plan.study.dataset, "masks", None):
        known = [MARKED]
    else:
        raise UserError(
            f"{where}: nothing is known of the parts of these images; leave it out, or use a world, or a folder with"
            " `masks`."
        )
    for part in parts:
        if part not in known:
            close = nearest(part, known)
            hint = f"did you mean '{close}'?" if close else f"there are {', '.join(known)}."
            raise UserError(f"{where}: the images have no part '{part}'; {hint}")
