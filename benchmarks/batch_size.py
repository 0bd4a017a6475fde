"""How far an explanation moves when only the batch size changes: every method, at 1, 3 and 8 rows against 96.

    OMP_NUM_THREADS=1 python -m benchmarks.batch_size [--default --rows 4]

Measured on 2 CPU cores, one thread, 16 portraits of 64 px, few steps (see FEW): the largest change of a pixel, as a
share of the range of its map, over the three batch sizes. Every map kept its highest pixel, every network its decision,
and in another order at 96 rows no bit changed.

                            smile-cnn    smile-vit
    logits                    2.0e-07      2.7e-07
    fido                            0            0
    bbmp                      1.9e-03      3.2e-05
    bbmp-fido                 1.1e-06            0
    gradient                  1.9e-07            0
    integrated-gradients      3.8e-07      2.3e-07
    grad-cam                  2.8e-07      2.1e-07
    lime                      5.2e-07      1.1e-05
    occlusion                 3.4e-06      1.2e-05
    random                          0            0

With the default steps, on 4 portraits and smile-cnn: fido 0 (against 96 rows); bbmp 8.8e-02 (against 8 rows; rank
correlation 0.9985, highest pixel unmoved) and bbmp-fido 1.4e-03. Adam divides by the size of the gradient, so that
where this is almost nothing, rounding can decide which way a cell goes.

At 8 rows, and at 8 alone of those tried (4, 8, 16, 24, 32, 48, 96), the last linear layer of both networks rounds a row
by its place in the batch. `predict` and `saliency` compute at 64 and 96 rows unless a card runs out of memory.
"""

import argparse
import time
from dataclasses import dataclass
from itertools import islice

import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.datasets import open_dataset
from pipeline.device import in_batches, set_threads
from pipeline.images import to_tensor
from pipeline.infill import load_infill
from pipeline.methods import load_explainer, methods
from pipeline.noise import Noise

USUAL, OTHERS = 96, (1, 3, 8)  # rows of the classifier at once
FEW = {
    "fido": {"steps": 12, "masks": 4, "warm_up": 3, "grid": 16},
    "bbmp": {"steps": 12},
    "bbmp-fido": {"steps": 12},
    "integrated-gradients": {"steps": 8},
    "lime": {"samples": 64},
    "occlusion": {"window": 0.25, "stride": 0.25},
}
IN_FILL = {"lime": "blur", "occlusion": "blur"}


@dataclass(frozen=True)
class Apart:
    """How far two sets of maps (N, h, w) lie apart.

    maps: largest difference of a pixel, as a share of the range of its map. rows: how many of the maps differ at all.
    tops: how many have their largest value elsewhere. margin: how far the first of such a map's two largest values
    stands above the second at most, as a share of its range. rank: lowest rank correlation of the pixels of a map.
    """

    maps: float
    rows: int
    tops: int
    margin: float
    rank: float

    @classmethod
    def measure(cls, usual: torch.Tensor, other: torch.Tensor) -> "Apart":
        usual, other = usual.flatten(1), other.flatten(1)
        spread = (usual.amax(1) - usual.amin(1)).clamp_min(1e-30)
        tops = usual.argmax(1), other.argmax(1)
        margin = (usual.amax(1) - usual.gather(1, tops[1][:, None])[:, 0]) / spread
        return cls(
            float(((usual - other).abs().amax(1) / spread).max()),
            int((usual != other).any(1).sum()),
            int((tops[0] != tops[1]).sum()),
            float(margin.max()),
            min(rank_correlation(*pair) for pair in zip(usual, other, strict=True)),
        )


def rank_correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(first.numpy(), second.numpy()).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["smile-cnn", "smile-vit"])
    parser.add_argument("--methods", nargs="+", default=[*methods("saliency")], choices=methods("saliency"))
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--default", action="store_true", help="the default steps of every method instead of few")
    parser.add_argument("--usual", type=int, default=USUAL, help="the batch size that the others are compared with")
    arguments = parser.parse_args()
    set_threads(1)
    source = open_dataset({"world": "portraits", "size": 64}, "test", seed=2026)
    image_ids = list(islice(source.ids, arguments.rows))
    images = to_tensor([source.read(image_id).image for image_id in image_ids])
    print("network    method                rows  differ  largest difference  tops moved (margin)  lowest rank    s")
    for network in arguments.networks:
        classifier = load_classifier(network, {"file": f"data/classifiers/{network}.safetensors"})
        targets = decide(classifier, images, arguments.usual)
        for method in arguments.methods:
            options = {} if arguments.default else FEW.get(method, {})
            compare(classifier, method, images, targets, image_ids, options, arguments.usual)


def decide(classifier: Classifier, images: torch.Tensor, usual_rows: int) -> torch.Tensor:
    """The class (N,) decided for each image, and a line for each batch size of how far its logits lie apart."""

    def logits(rows: int) -> torch.Tensor:
        with torch.inference_mode():
            return in_batches(classifier, images, batch_size=rows)

    usual = logits(usual_rows)
    for rows in OTHERS:
        other = logits(rows)
        report(classifier.name, "logits", rows, Apart.measure(usual, other), 0.0)
        assert torch.equal(usual.argmax(1), other.argmax(1)), "a decision changes with the batch size"
    return usual.argmax(1)


def compare(
    classifier: Classifier,
    method: str,
    images: torch.Tensor,
    targets: torch.Tensor,
    image_ids: list[str],
    options: dict,
    usual_rows: int,
) -> None:
    """Explain the images at every batch size, and print how far the maps lie from those at the usual one."""
    infill = load_infill(IN_FILL[method]) if method in IN_FILL else None

    def maps(order: torch.Tensor, rows: int) -> torch.Tensor:
        noise = Noise(2026, [image_ids[index] for index in order], method)
        explain = load_explainer(method)
        found = explain(
            classifier, images[order], targets[order], noise=noise, infill=infill, batch_size=rows, **options
        )
        return found.map[order.argsort()]

    everyone = torch.arange(len(images))
    usual = maps(everyone, usual_rows)
    report(classifier.name, method, "turned", Apart.measure(usual, maps(everyone.flip(0), usual_rows)), 0.0)
    for rows in [rows for rows in OTHERS if rows != usual_rows]:
        start = time.process_time()
        report(classifier.name, method, rows, Apart.measure(usual, maps(everyone, rows)), time.process_time() - start)


def report(network: str, method: str, rows: int | str, apart: Apart, seconds: float) -> None:
    print(
        f"{network:10} {method:20} {rows:>6} {apart.rows:7} {apart.maps:19.1e} {apart.tops:11} ({apart.margin:.0e})"
        f" {apart.rank:12.6f} {seconds:5.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
