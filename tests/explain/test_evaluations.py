"""What a method spends on one image, foretold by a formula and reported by the explainer."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.infill import load_infill
from pipeline.noise import Noise
from tests.explain.declared import SALIENCY, made

HEIGHT, WIDTH = 16, 24
CHANGED = {
    "fido": [{"steps": 3, "masks": 5, "grid": 4}, {"steps": 2, "masks": 1}],
    "bbmp-fido": [{"objective": "sdr"}],
    "integrated-gradients": [{"steps": 7}],
    "lime": [{"samples": 11, "segments": 16}],
    "occlusion": [{"window": 0.3, "stride": 0.2}, {"window": 1.0, "stride": 1.0}],
}
CASES = [(method, options) for method in SALIENCY for options in [{}, *CHANGED.get(method, [])]]


class Counter(torch.nn.Module):
    """A small network that counts the images it looks at, and the backward passes that reach one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 2, 3, padding=1),
            torch.nn.AdaptiveAvgPool2d(4),
            torch.nn.Flatten(),
            torch.nn.Linear(32, 2),
        )
        self.seen = self.seen_backward = 0

    def forward(self, images):
        self.seen += len(images)
        logits = self.layers(images)
        if logits.requires_grad and torch.is_grad_enabled():
            logits.register_hook(self.count_backward)
        return logits

    def count_backward(self, gradient):
        self.seen_backward += len(gradient)


@pytest.mark.parametrize(("method", "changed"), CASES, ids=[f"{method} {options}" for method, options in CASES])
def test_the_formula_tells_what_the_explainer_reports_and_does(method, changed):
    """The options of a study; one image at a batch size that is filled, so that no row is computed for nothing."""
    declared = made(method, "saliency", changed)
    foretold = declared.spends(HEIGHT, WIDTH)
    counter = Counter()
    classifier = Classifier(counter.eval(), name="counter", heads={"kind": ["a", "b"]})
    infill = getattr(declared, "infill", None)
    maps = declared.function()(
        classifier,
        torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)),
        torch.tensor([1]),
        noise=Noise(3, ["image"], declared.purpose()),
        infill=load_infill(infill) if infill else None,
        batch_size=1,
        **declared.keywords(),
    )
    assert maps.network_evaluations.tolist() == [foretold.network_evaluations]
    if method != "grad-cam":  # it looks for its layer first, once for all images, and the layer decides the grid
        assert (counter.seen, counter.seen_backward) == (foretold.network_evaluations, foretold.with_backward)
        assert maps.map[0].numel() == foretold.map_cells
