"""Grad-CAM by hand on one layer, and the layer that it finds in real architectures."""

import pytest
import timm
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.explain.grad_cam import Layout, explain, feature_maps, find_layer, layout_of
from pipeline.noise import Noise

NOISE = Noise(1, [f"image-{index}" for index in range(5)], "grad-cam")


def classifier_of(network, **options):
    return Classifier(network, name="tiny", heads={"look": ("no", "yes")}, **options)


class OneLayer(torch.nn.Module):
    """Feature maps of a convolution, in one of three layouts, averaged and mixed to logits 0 and `mix` . means."""

    def __init__(self, kind):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.kind = kind
        self.convolution = torch.nn.Conv2d(3, 4, 4, stride=4)
        self.convolution.weight.data = torch.randn(4, 3, 4, 4, generator=generator)
        self.laid_out = torch.nn.Identity()
        self.mix = torch.tensor([1.0, -2.0, 0.5, 3.0])

    def forward(self, images):
        maps = self.convolution(images)
        if self.kind == "channels-first":
            means = self.laid_out(maps).mean((2, 3))
        elif self.kind == "channels-last":
            means = self.laid_out(maps.permute(0, 2, 3, 1)).mean((1, 2))
        else:
            tokens = maps.flatten(2).transpose(1, 2)
            first = torch.full_like(tokens[:, :1], 100.0)
            means = self.laid_out(torch.cat([first, tokens], dim=1))[:, 1:].mean(1)
        score = means @ self.mix
        return torch.stack([score * 0, score], dim=1)


def residual_network(size=32):
    torch.manual_seed(0)
    return classifier_of(timm.create_model("test_resnet", num_classes=2), size=size)


def transformer(**options):
    torch.manual_seed(0)
    return classifier_of(timm.create_model("test_vit", img_size=32, patch_size=8, num_classes=2, **options), size=32)


@pytest.fixture
def images():
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 1, 0, 1])


@pytest.mark.parametrize("kind", ["channels-first", "channels-last", "tokens"])
def test_the_map_is_the_feature_maps_weighted_by_their_gradient_in_every_layout(images, targets, kind):
    network = OneLayer(kind)
    by_hand = torch.einsum("k,nkhw->nhw", network.mix / 64, network.convolution(images).detach())  # 64 places
    sign = torch.where(targets == 1, 1.0, -1.0)[:, None, None]  # log-odds of class 0 are those of class 1 negated
    signed = explain(classifier_of(network), images, targets, noise=NOISE, layer="laid_out", positive=False)
    assert torch.allclose(signed.map, sign * by_hand, atol=1e-5)
    published = explain(classifier_of(network), images, targets, noise=NOISE, layer="laid_out")
    assert torch.allclose(published.map, (sign * by_hand).clamp_min(0), atol=1e-5)


def test_the_last_feature_maps_of_a_residual_network_are_found():
    found = find_layer(residual_network(128), (128, 128))
    assert found.name == "layer4"
    assert found.layout == Layout("channels-first", 4, 4)


def test_of_a_small_image_the_last_layer_is_taken_that_still_says_where():
    assert find_layer(residual_network(), (32, 32)).name == "layer2"  # 4 x 4; layer3 has 2 x 2, layer4 none
    assert find_layer(residual_network(), (32, 32), smallest_grid=1).name == "layer3"
    assert find_layer(residual_network(), (32, 32), smallest_grid=99).name == "layer3"


def test_after_the_last_attention_a_transformer_with_a_class_token_forgets_its_patches():
    found = find_layer(transformer(global_pool="token", class_token=True), (32, 32))
    assert found.name == "blocks.5.norm1"
    assert found.layout == Layout("tokens", 4, 4, prefix=1)


def test_a_transformer_that_averages_its_patches_is_read_at_its_end():
    found = find_layer(transformer(global_pool="avg", class_token=False), (32, 32))
    assert found.name == "norm"
    assert found.layout == Layout("tokens", 4, 4, prefix=0)


def test_register_tokens_have_no_place_in_the_map(images, targets):
    classifier = transformer(global_pool="token", class_token=True, reg_tokens=3)
    assert find_layer(classifier, (32, 32)).layout.prefix == 4
    assert explain(classifier, images, targets, noise=NOISE).map.shape == (5, 4, 4)


def test_projections_within_a_block_are_not_taken_for_its_tokens():
    class Attention(torch.nn.Module):
        """One class token that attends to 16 patches, by separate projections of the width of the tokens."""

        def __init__(self):
            super().__init__()
            self.patches = torch.nn.Conv2d(3, 8, 8, stride=8)
            self.norm, self.head = torch.nn.LayerNorm(8), torch.nn.Linear(8, 2)
            self.query, self.key, self.value, self.out = (torch.nn.Linear(8, 8) for _ in range(4))

        def forward(self, images):
            patches = self.patches(images).flatten(2).transpose(1, 2)
            tokens = self.norm(torch.cat([patches.mean(1, keepdim=True), patches], dim=1))
            share = (self.query(tokens) @ self.key(tokens).transpose(1, 2)).softmax(2)
            return self.head(self.out(share @ self.value(tokens))[:, 0])

    torch.manual_seed(0)
    assert find_layer(classifier_of(Attention()), (32, 32)).name == "norm"


@pytest.mark.parametrize("build", [residual_network, transformer])
def test_leading_feature_maps_past_captum_changes_no_logit(images, build):
    classifier = build()
    found = find_layer(classifier, (32, 32))
    before = classifier(images)
    with feature_maps(classifier.network.get_submodule(found.name), found.layout) as passage:
        seen = []
        passage.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
        assert torch.equal(classifier(images), before)
    assert seen == [(5, *seen[0][1:2], found.layout.height, found.layout.width)]


@pytest.mark.parametrize(("tokens", "before"), [(49, 0), (50, 1), (53, 4)])
def test_of_unknown_tokens_as_few_are_dropped_as_leave_a_square(tokens, before):
    assert layout_of(torch.Size((2, tokens, 8)), (32, 32), None) == Layout("tokens", 7, 7, before)


def test_tokens_of_a_wide_image_lie_on_a_wide_grid():
    assert layout_of(torch.Size((2, 33, 8)), (32, 64), None) == Layout("tokens", 4, 8, 1)
    assert layout_of(torch.Size((2, 32, 8)), (32, 64), 0) == Layout("tokens", 4, 8, 0)


@pytest.mark.parametrize("shape", [(2, 10), (2, 64, 1, 1), (2, 1, 64), (17, 2, 64), (32, 16, 64)])
def test_vectors_and_outputs_without_a_batch_have_no_grid(shape):
    assert layout_of(torch.Size(shape), (32, 32), None) is None


def test_the_class_of_the_only_bright_corner_lights_that_corner(targets):
    class Corner(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = torch.nn.AvgPool2d(8)

        def forward(self, images):
            score = self.pool(images).relu().sum((1, 2, 3))
            return torch.stack([score * 0, score], dim=1)

    images = torch.zeros(5, 3, 32, 32)
    images[:, :, :8, 24:] = 1
    maps = explain(classifier_of(Corner()), images, torch.ones_like(targets), noise=NOISE).map
    assert (maps.flatten(1).argmax(1) == 3).all()
    assert torch.count_nonzero(maps[0]) == 1


def test_the_layer_never_depends_on_the_images(targets):
    black = explain(residual_network(), torch.zeros(5, 3, 32, 32), targets, noise=NOISE)
    assert black.map.shape == (5, 4, 4)


def test_another_layer_can_be_named(images, targets):
    assert explain(residual_network(), images, targets, noise=NOISE, layer="layer3").map.shape == (5, 2, 2)


def test_a_layer_that_there_is_not_is_answered_with_the_nearest(images, targets):
    with pytest.raises(UserError, match=r"no layer 'layr2'; did you mean 'layer2'\?"):
        explain(residual_network(), images, targets, noise=NOISE, layer="layr2")


def test_a_layer_without_a_grid_is_answered_with_one_that_has_it(images, targets):
    with pytest.raises(UserError, match=r"layer 'fc' of classifier 'tiny' keeps no grid of positions; use 'layer2'"):
        explain(residual_network(), images, targets, noise=NOISE, layer="fc")


@pytest.mark.parametrize("compiled", ["traced", "linear"])
def test_a_network_without_visible_feature_maps_is_refused_in_one_sentence(images, targets, compiled):
    if compiled == "traced":
        network = torch.jit.trace(OneLayer("channels-first"), images)
    else:
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
    with pytest.raises(UserError, match="finds no layer with a map in classifier 'tiny'") as refused:
        explain(classifier_of(network), images, targets, noise=NOISE)
    assert "\n" not in str(refused.value)


def hooks_of(classifier):
    return [hook for module in classifier.modules() for hook in (*module._forward_hooks, *module._backward_hooks)]


def test_hooks_are_removed_afterwards_even_if_the_network_fails(images, targets):
    class FailsLater(OneLayer):
        calls = 0

        def forward(self, images):
            self.calls += 1
            if self.calls == 2:
                raise ZeroDivisionError
            return super().forward(images)

    classifier = residual_network()
    explain(classifier, images, targets, noise=NOISE)
    assert not hooks_of(classifier)
    failing = classifier_of(FailsLater("channels-first"))
    with pytest.raises(ZeroDivisionError):
        explain(failing, images, targets, noise=NOISE)
    assert failing.network.calls == 2 and not hooks_of(failing)


def test_one_evaluation_for_each_image_and_a_probe_of_two_for_each_network(targets):
    rows, classifier = [], residual_network()
    handle = classifier.network.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    maps = explain(classifier, torch.rand(4, 3, 32, 32), targets[:4], noise=NOISE.select([0, 1, 2, 3]), batch_size=2)
    handle.remove()
    assert maps.network_evaluations.tolist() == [1, 1, 1, 1]
    assert rows == [2, 2, 2]


def test_the_global_generator_is_left_alone(images, targets):
    classifier = residual_network()
    before = torch.random.get_rng_state()
    explain(classifier, images, targets, noise=NOISE)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_black_box_is_refused(images, targets):
    with pytest.raises(UserError, match="needs gradients"):
        explain(classifier_of(OneLayer("tokens"), differentiable=False), images, targets, noise=NOISE)
