"""What a network must keep to, and the sentence that a person reads if it does not."""

from collections.abc import Iterable, Mapping, Sequence

import torch

from pipeline.errors import UserError, listed, nearest


def check_heads(name: str, heads: Mapping[str, Sequence[str]]) -> None:
    """Every task must have at least two classes, each with a name of its own."""
    if not heads:
        raise UserError(f"classifier '{name}' has no classes; give their names, such as `classes: [serious, smiling]`.")
    for task, classes in heads.items():
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise UserError(
                f"classifier '{name}': task '{task}' has the classes {listed(classes)}; give at least two, all with"
                " different names, such as `classes: [serious, smiling]`."
            )


def check_sigmoid(name: str, columns: Sequence[int] | None, heads: Mapping[str, Sequence[str]]) -> None:
    """A sigmoid output makes two classes, and each task has its own."""
    if columns is None:
        return
    if len(columns) != len(heads) or any(len(classes) != 2 for classes in heads.values()):
        raise UserError(
            f"classifier '{name}': `output: {{sigmoid: ...}}` names {len(columns)} column(s) for the classes"
            f" {listed(label for classes in heads.values() for label in classes)}; each column gives one task with two"
            " classes, such as `output: {sigmoid: 31}` with `classes: [serious, smiling]`."
        )


def choose_task(name: str, tasks: Iterable[str], task: str) -> str:
    """`task` if the classifier has it."""
    tasks = list(tasks)
    if task in tasks:
        return task
    guess = nearest(task, tasks)
    hint = f"did you mean '{guess}'?" if guess else "choose one of these."
    raise UserError(f"classifier '{name}' has no task '{task}'; it has {listed(tasks, most=20)}: {hint}")


def check_outputs(name: str, outputs: object, classes: Sequence[str], sigmoid: Sequence[int] | None) -> None:
    """Outputs must be a tensor (N, K) with one column for each class, or one for each sigmoid output named."""
    if not isinstance(outputs, torch.Tensor):
        raise UserError(
            f"classifier '{name}' returned a {type(outputs).__name__}, expected a tensor of logits (N, {len(classes)});"
            " load it by an entry_point that returns the logits alone."
        )
    if sigmoid is None and (outputs.ndim != 2 or outputs.shape[1] != len(classes)):
        raise UserError(
            f"classifier '{name}' returned outputs of shape {tuple(outputs.shape)}, expected (N, {len(classes)}) for"
            f" its classes {listed(classes)}; give one class name for each output, in the network's order, or for a"
            " multi-label network the column to read, such as `output: {sigmoid: 0}`."
        )
    if sigmoid is not None and (outputs.ndim != 2 or outputs.shape[1] <= max(sigmoid) or min(sigmoid) < 0):
        raise UserError(
            f"classifier '{name}' returned outputs of shape {tuple(outputs.shape)}, expected (N, M) with the column"
            f" {listed(map(str, sigmoid))} that `output: {{sigmoid: ...}}` names; count columns from 0."
        )


def check_logits(name: str, logits: torch.Tensor, classes: Sequence[str]) -> None:
    """Raise UserError unless logits are (N, K), K the number of classes, and finite."""
    if logits.ndim != 2 or logits.shape[1] != len(classes):
        raise UserError(
            f"classifier '{name}' gave logits of shape {tuple(logits.shape)}, expected (N, {len(classes)}) for its"
            f" classes {listed(classes)}."
        )
    broken = ~torch.isfinite(logits).all(dim=1)
    if broken.any():
        raise UserError(
            f"classifier '{name}' gave NaN or infinite logits for {int(broken.sum())} of {len(logits)} images (first:"
            f" row {int(broken.nonzero()[0])}), expected finite numbers; check its weights, mean, std and temperature."
        )


def check_gradients(name: str, images: torch.Tensor, logits: torch.Tensor, differentiable: bool) -> None:
    """Logits of a differentiable classifier must carry the gradient of the images if somebody wants it."""
    if differentiable and images.requires_grad and torch.is_grad_enabled() and not logits.requires_grad:
        raise UserError(
            f"classifier '{name}' gave logits without gradients, expected them to depend on the images; remove no_grad,"
            " detach or numpy from the network, or say `differentiable: false`."
        )


def out_of_memory(error: Exception) -> bool:
    """Whether torch says by this error that memory ran out, which is no fault of the network's."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def refusal(name: str, prepared: torch.Tensor, error: Exception) -> UserError:
    """The sentence for a network that cannot take images (N, C, H, W)."""
    channels, height, width = prepared.shape[1:]
    reason = str(error).strip().splitlines()[-1:]
    return UserError(
        f"classifier '{name}' could not take images of {channels} channel(s) and {height} x {width} pixels"
        f" ({''.join(reason) or type(error).__name__}); set its `size` and `channels` to what it was trained with, such"
        " as `size: 224` and `channels: 3`."
    )
