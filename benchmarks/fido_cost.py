"""What FIDO costs beyond its classifier: processor time over that of the bare forward and backward of as many rows.

    OMP_NUM_THREADS=1 python -m benchmarks.fido_cost

Measured on 2 CPU cores shared with other work, one thread, processor time, 64 px, grid 16, smile-cnn, 64 rows (the
median of 5 pairs; the target is at most 1.25):

    in-fill      masks   pixel, stratified   pixel, independent   cell, stratified
    blur             4                1.06                 1.03               1.02
    blur             8                1.04                 1.02               0.98
    random           4                1.19                 1.12               1.15
    random           8                1.19                 1.19               1.19
    local-mean       4                1.10                 1.16               1.02
    local-mean       8                1.15                 1.12               1.12

Pairs of one setting differ by up to 0.2 on that machine, so differences between its columns mean little.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.device import set_threads
from pipeline.explain.fido import PURPOSE, explain
from pipeline.infill import load_infill
from pipeline.noise import Noise

SIZE, GRID, BATCH = 64, 16, 64
WEIGHTS = "data/classifiers/smile-cnn.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=WEIGHTS)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    set_threads(1)
    classifier = load_classifier("smile-cnn", {"file": arguments.weights})
    print("in-fill     masks  noise at  draws         FIDO ms/step  bare ms/step  ratio (lowest .. highest pair)")
    for infill in ("blur", "random", "local-mean"):
        for masks in (4, 8):
            for noise_at, draws in (("pixel", "stratified"), ("pixel", "independent"), ("cell", "stratified")):
                options = {"masks": masks, "noise_at": noise_at, "draws": draws, "steps": arguments.steps}
                compare(classifier, infill, options, arguments.pairs)


def compare(classifier: Classifier, infill: str, options: dict, pairs: int) -> None:
    """Time FIDO and the bare classifier turn by turn and print the median of their ratios."""
    images = torch.rand(BATCH // options["masks"], 3, SIZE, SIZE)
    targets = torch.zeros(len(images), dtype=torch.int64)
    noise = Noise(0, [f"image-{row}" for row in range(len(images))], PURPOSE)
    rows, row_targets = torch.rand(BATCH, 3, SIZE, SIZE), torch.zeros(BATCH, dtype=torch.int64)

    def whole() -> None:
        explain(
            classifier, images, targets, noise=noise, infill=load_infill(infill), batch_size=BATCH, grid=GRID, **options
        )

    def bare() -> None:
        for _ in range(options["steps"]):
            leaf = rows.clone().requires_grad_()
            torch.autograd.grad(log_odds(classifier(leaf), row_targets).sum(), leaf)

    whole(), bare()
    times = [(seconds(whole), seconds(bare)) for _ in range(pairs)]
    ratios = [ours / theirs for ours, theirs in times]
    ours, theirs = (1e3 * statistics.median(column) / options["steps"] for column in zip(*times, strict=True))
    print(
        f"{infill:11} {options['masks']:5}  {options['noise_at']:8}  {options['draws']:12} {ours:13.1f} {theirs:13.1f}"
        f"  {statistics.median(ratios):.3f} ({min(ratios):.3f} .. {max(ratios):.3f})",
        flush=True,
    )


def seconds(work: Callable[[], None]) -> float:
    """Processor time of `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
