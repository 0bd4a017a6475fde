"""Which networks judge the counterfactuals of a classifier: all others that answer its question, and the readers."""

from collections.abc import Mapping, Sequence

Tasks = Mapping[str, Mapping[str, Sequence[str]]]  # the tasks of every network, each with its class names


def task_of(network: str, tasks: Tasks) -> str:
    """The task of a classifier: its only one, or its first."""
    return next(iter(tasks[network]))


def oracles_of(classifier: str, tasks: Tasks, roles: Mapping[str, Sequence[str]]) -> list[str]:
    """The oracles and the other classifiers with the same classes, in any order, of the task of `classifier`."""
    task = task_of(classifier, tasks)
    others = dict.fromkeys([*roles["oracles"], *roles["classifiers"]])
    classes = set(tasks[classifier][task])
    return [name for name in others if name != classifier and set(tasks[name].get(task, ())) == classes]


def judges_of(classifier: str, tasks: Tasks, roles: Mapping[str, Sequence[str]]) -> list[str]:
    """Oracles and readers of a classifier, each once; a classifier is never asked about its own counterfactuals again.

    A reader may be an oracle too. One that is the classifier itself is left out.
    """
    judges = dict.fromkeys([*oracles_of(classifier, tasks, roles), *roles["readers"]])
    return [name for name in judges if name != classifier]
