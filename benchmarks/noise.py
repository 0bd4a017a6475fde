"""What noise named by (seed, image, purpose, step) costs, beside a step of the work that needs it.

    OMP_NUM_THREADS=1 python -m benchmarks.noise

Measured on 2 CPU cores shared with other work, one thread, processor time, 32 images of 3 x 64 x 64 (median of 30):

                        ms    of a step of smile-cnn   of a forward of the U-Net   of a step of guided diffusion
    normal             5.6                     6.3 %                       2.0 %                           1.5 %
    uniform            2.0                     2.3 %                       0.7 %                           0.6 %

A step of smile-cnn is its forward and backward pass (89 ms); a step of guided diffusion is that and a forward pass of a
U-Net of 1.8 million parameters, which takes 280 ms and is not measured here. Only diffusion draws normal noise at every
step, so the target of 5 % of a step holds. One generator for the whole batch would take 1.2 ms, and every row would
depend on its neighbours.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import log_odds
from pipeline.device import set_threads
from pipeline.noise import Noise

SHAPE, BATCH = (3, 64, 64), 32
WEIGHTS = "data/classifiers/smile-cnn.safetensors"
U_NET = 0.28  # seconds per forward pass of the U-Net of 1.8 million parameters at this batch, measured apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    set_threads(1)
    noise = Noise(0, [f"portraits-test-{row:06d}" for row in range(BATCH)], "benchmark")
    classifier = load_classifier("smile-cnn", {"file": WEIGHTS})
    images, targets = torch.rand(BATCH, *SHAPE), torch.zeros(BATCH, dtype=torch.int64)
    together = torch.Generator().manual_seed(0)
    steps = iter(range(10**9))

    def gradient() -> None:
        leaf = images.clone().requires_grad_()
        torch.autograd.grad(log_odds(classifier(leaf), targets).sum(), leaf)

    step = median(gradient, repeats)
    print(f"smile-cnn, forward and backward of {BATCH} images: {step * 1e3:.1f} ms")
    print(f"U-Net of 1.8 million parameters, forward of {BATCH} images: {U_NET * 1e3:.0f} ms (not measured here)")
    draws = {
        "normal": lambda: noise.normal(next(steps), SHAPE),
        "uniform": lambda: noise.uniform(next(steps), SHAPE),
        "normal, one generator for the batch": lambda: torch.randn(BATCH, *SHAPE, generator=together),
        "uniform, one generator for the batch": lambda: torch.rand(BATCH, *SHAPE, generator=together),
    }
    for name, draw in draws.items():
        seconds = median(draw, repeats)
        print(
            f"{name:37} {seconds * 1e3:6.2f} ms for {BATCH} x {SHAPE}: {seconds / step:6.1%} of a step of smile-cnn,"
            f" {seconds / U_NET:6.1%} of a forward of the U-Net, {seconds / (step + U_NET):6.1%} of both"
        )


def median(work: Callable[[], object], repeats: int) -> float:
    """Processor time of `work`, the median over repeats."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
