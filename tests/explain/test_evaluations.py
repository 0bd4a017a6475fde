"""What a method spends on one image, foretold by a formula and reported by the explainer."""

from importlib import import_module

import pytest
import torch
from pydantic import TypeAdapter

from pipeline.classifiers.wrap import Classifier
from pipeline.explain import SALIENCY, load_explainer
from pipeline.explain.evaluations import SPENT, spent_per_image
from pipeline.infill import load_infill
from pipeline.noise import Noise
from pipeline.study.saliency import SaliencyMethod

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


@pytest.mark.parametrize("method", SALIENCY)
def test_every_method_has_a_formula(method):
    assert method in SPENT, f"give {method} a formula in pipeline/explain/evaluations.py, beside those of {[*SPENT]}"


def test_a_method_without_a_formula_is_named():
    with pytest.raises(ValueError, match="there is no formula for the network evaluations of 'unheard-of'"):
        spent_per_image("unheard-of", {}, 8, 8)


@pytest.mark.parametrize(("method", "changed"), CASES, ids=[f"{method} {options}" for method, options in CASES])
def test_the_formula_tells_what_the_explainer_reports_and_does(method, changed):
    """The options of a study; one image at a batch size that is filled, so that no row is computed for nothing."""
    section = TypeAdapter(SaliencyMethod).validate_python({"method": method, **changed})
    options = section.model_dump(exclude={"method", "vary", "classifiers", "infill"})
    foretold = spent_per_image(method, options, HEIGHT, WIDTH)
    counter = Counter()
    classifier = Classifier(counter.eval(), name="counter", heads={"kind": ["a", "b"]})
    infill = getattr(section, "infill", None)
    maps = load_explainer(method)(
        classifier,
        torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)),
        torch.tensor([1]),
        noise=Noise(3, ["image"], import_module(SALIENCY[method].split(":")[0]).PURPOSE),
        infill=load_infill(infill) if infill else None,
        batch_size=1,
        **options,
    )
    assert maps.network_evaluations.tolist() == [foretold.network_evaluations]
    if method != "grad-cam":  # it looks for its layer first, once for all images, and the layer decides the grid
        assert (counter.seen, counter.seen_backward) == (foretold.network_evaluations, foretold.with_backward)
        assert maps.map[0].numel() == foretold.map_cells
