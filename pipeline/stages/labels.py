"""Where a dataset's label stands among a classifier's classes."""

from collections.abc import Sequence

from pipeline.errors import UserError


def class_index(
    network: str, task: str, classes: Sequence[str], label: int | None, names: Sequence[str] | None
) -> int | None:
    """The class of the network that a label means: the one of the same name, or of the same place if no name is shared.

    label: index into `names`, the dataset's class names of that task; None where the label or the task is not known.
    Raises UserError for a label that is none of the network's classes.
    """
    if label is None or names is None:
        return None
    if names[label] in classes:
        return list(classes).index(names[label])
    if len(names) == len(classes) and not set(names) & set(classes):
        return label
    shown = ", ".join(classes[:4]) + (", ..." if len(classes) > 4 else "")
    raise UserError(
        f"the label '{names[label]}' of the task {task} is none of the {len(classes)} classes of {network} ({shown});"
        " name the classes of both alike."
    )
