"""What a step of DVCE costs, against the arithmetic of its released code, on the same networks in one process.

    OMP_NUM_THREADS=1 python -m benchmarks.dvce_step

The released code (Augustin et al. 2022) asks the denoiser twice at every step, once without and once with a graph, and
goes back through it three times: for the classifier, for the classifier again (or for the robust helper, with a cone)
and for the distance. Its attention is computed by two einsums, always recomputed on the way back, and with it the
gradients of the attention's weights, which nobody uses. Here it is one pass forward and two back (three with a cone).
Both are stated here; the U-Net is ours but for its attention in both, so that its convolutions cost the same.

Measured on 2 CPU cores under much other work, one thread, processor time, 1 image of 64 pixels, published over ours
(median of 3 pairs, lowest and highest; of 9 for a pass forward; the target is 2 without a cone and 1.5 with one):

    network                                without cone          with cone             a pass forward
    32 channels                            2.13 (1.76 .. 2.29)   1.45 (1.30 .. 1.60)   1.03 (0.82 .. 1.06)
    32 channels, attention from 32 pixels  3.23 (2.60 .. 3.69)   2.80 (2.32 .. 2.80)   1.53 (1.34 .. 1.53)

Another 7 pairs of the first gave 1.94 (1.68 .. 2.46). Counted in passes alone, with one back as long as one forward, it
would be 5 to 3, and 5 to 4 with a cone.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.device import set_threads
from pipeline.diffusion.blocks import AttentionBlock
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.schedule import full_schedule, respaced
from pipeline.diffusion.unet import UNet
from pipeline.explain.cone import norm, project, unit
from pipeline.explain.dvce import Options, direction
from pipeline.explain.guided import Batch, ancestral, detached
from pipeline.noise import Noise
from pipeline.unet_shape import Shape

STEP, ANGLE = 60, 30.0
SHAPES = {
    "32 channels": Shape(64, 32, (1, 2, 3, 4), blocks=1, attention=(16, 8), head_channels=32),
    "64 channels": Shape(64, 64, (1, 2, 3, 4), blocks=2, attention=(16, 8), head_channels=32),
    "32 channels, attention from 32 pixels": Shape(64, 32, (1, 2, 3, 4), attention=(32, 16, 8), head_channels=32),
}


class Recomputed(torch.autograd.Function):
    """An attention block that is computed again on the way back, with the gradients of its weights."""

    @staticmethod
    def forward(ctx, inputs: Tensor, block: AttentionBlock) -> Tensor:
        ctx.block = block
        ctx.save_for_backward(inputs)
        return published_attention(block, inputs)

    @staticmethod
    def backward(ctx, arrived: Tensor) -> tuple[Tensor, None]:
        (inputs,) = ctx.saved_tensors
        with torch.enable_grad():
            leaf = inputs.detach().requires_grad_()
            weights = [weight.requires_grad_() for weight in ctx.block.parameters()]
            to_inputs, *_ = torch.autograd.grad(published_attention(ctx.block, leaf), [leaf, *weights], arrived)
        return to_inputs, None


def published_attention(block: AttentionBlock, inputs: Tensor) -> Tensor:
    """A block of the layout "legacy" by products of (N * heads, C, L), the scale on both sides of the first."""
    flat = inputs.flatten(2)
    query, key, value = block.qkv(block.norm(flat)).unflatten(1, (block.heads, 3, -1)).flatten(0, 1).unbind(1)
    scale = query.shape[1] ** -0.25
    weights = torch.einsum("nct,ncs->nts", query * scale, key * scale).softmax(2)
    attended = torch.einsum("nts,ncs->nct", weights, value).reshape(flat.shape)
    return (flat + block.proj_out(attended)).view_as(inputs)


def published(network: UNet) -> UNet:
    """The same network with the attention of the released code."""
    network = copy.deepcopy(network)
    for block in network.modules():
        if isinstance(block, AttentionBlock):
            block.forward = lambda inputs, block=block: Recomputed.apply(inputs, block)
    return network


def published_step(denoiser: Denoiser, judges: list[Classifier], batch: Batch, noised: Tensor) -> Tensor:
    """One step of the released code."""
    with torch.no_grad():
        predicted = denoiser(noised, STEP)
    leaf = noised.detach().requires_grad_()
    clean = denoiser(leaf, STEP).clean
    evidence = [judge((clean + 1) / 2).log_softmax(1).gather(1, batch.targets[:, None]).mean() for judge in judges]
    target, other = (torch.autograd.grad(each, leaf, retain_graph=True)[0] for each in (evidence[0], evidence[-1]))
    (distance,) = torch.autograd.grad((clean - batch.originals).abs().flatten(1).mean(), leaf)
    leading = project(target, other, ANGLE) if len(judges) == 2 else other
    guidance = norm(predicted.noise) * (0.1 * unit(leading) - 0.15 * unit(distance))
    return ancestral(denoiser.schedule, noised, predicted, guidance, batch.noise, STEP)


def our_step(denoiser: Denoiser, judges: list[Classifier], batch: Batch, noised: Tensor) -> Tensor:
    """One step of ours, as `guided.walk_down` takes it."""
    leaf = noised.detach().requires_grad_()
    predicted = denoiser(leaf, STEP)
    guidance = direction(judges, batch, Options(angle=ANGLE), leaf, predicted, STEP)
    return ancestral(denoiser.schedule, noised, detached(predicted), guidance, batch.noise, STEP)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=4)
    arguments = parser.parse_args()
    set_threads(1)
    classifier, helper = (
        load_classifier(name, {"file": f"data/classifiers/{name}.safetensors"})
        for name in ("smile-cnn", "smile-robust")
    )
    print("network                                cone  published ms  ours ms  ratio (lowest .. highest pair)")
    for name, shape in SHAPES.items():
        ours, theirs = denoisers(shape)
        for judges in ([classifier], [classifier, helper]):
            compare(name, ours, theirs, judges, arguments.images, arguments.pairs)
        compare_forward(name, ours, theirs, arguments.images, arguments.pairs)


def denoisers(shape: Shape) -> tuple[Denoiser, Denoiser]:
    """The same network, with random weights, in our arithmetic and in that of the released code."""
    torch.manual_seed(0)
    network = UNet(shape).eval().requires_grad_(False)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.03)
    schedule = respaced(full_schedule(), 200)
    return Denoiser(network, schedule), Denoiser(published(network), schedule)


def compare(name: str, ours: Denoiser, theirs: Denoiser, judges: list[Classifier], images: int, pairs: int) -> None:
    """Take a step in both ways turn by turn and print the median of the ratios; both lead to the same images."""
    size = ours.network.shape.size
    noise = Noise(0, [f"image-{row}" for row in range(images)], "dvce")
    originals = noise.uniform(0, (3, size, size)) * 2 - 1
    batch = Batch(originals, torch.zeros(images, dtype=torch.int64), noise, None)
    noised = ours.schedule.noised(originals, noise.normal(1, originals.shape[1:]), STEP)
    arguments = (judges, batch, noised)
    torch.testing.assert_close(our_step(ours, *arguments), published_step(theirs, *arguments), atol=1e-3, rtol=1e-3)
    report(
        f"{name:37}  {'yes' if len(judges) == 2 else 'no':4}",
        lambda: published_step(theirs, *arguments),
        lambda: our_step(ours, *arguments),
        pairs,
    )


def compare_forward(name: str, ours: Denoiser, theirs: Denoiser, images: int, pairs: int) -> None:
    """The same of a pass forward alone."""
    size = ours.network.shape.size
    noised = torch.randn(images, 3, size, size)

    def forward(denoiser: Denoiser) -> None:
        with torch.no_grad():
            denoiser(noised, STEP)

    report(f"{name + ', a pass forward':43}", lambda: forward(theirs), lambda: forward(ours), pairs)


def report(name: str, theirs: Callable[[], object], ours: Callable[[], object], pairs: int) -> None:
    theirs(), ours()
    times = [(seconds(theirs), seconds(ours)) for _ in range(pairs)]
    ratios = [slow / fast for slow, fast in times]
    slow, fast = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"{name} {slow:12.0f} {fast:8.0f}  {statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})",
        flush=True,
    )


def seconds(work: Callable[[], object]) -> float:
    """Processor time of `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
