import pytest
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.metrics.diversity import diversity
from pipeline.metrics.features import ClassifierFeatures, features_of
from pipeline.metrics.perceptual import layer_distance, perceptual_distance

SHIPPED = {"file": "data/classifiers/portraits-features.safetensors"}
IMAGES = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def distance(network, first, second):
    return perceptual_distance(network, first, second, batch_size=3)


@pytest.fixture(scope="module")
def network():
    return ClassifierFeatures(load_classifier("portraits-features", SHIPPED))


def layer(*places):
    """One layer (1, C, 1, P) from the channels of each of P places."""
    return torch.tensor(places).T[None, :, None]


def test_a_layer_by_hand():
    first = layer([3.0, 4.0], [1.0, 0.0])  # (0.6, 0.8) and (1, 0) at length 1
    second = layer([2.0, 0.0], [0.0, 5.0])  # (1, 0) and (0, 1)
    assert layer_distance([first], [second]).tolist() == pytest.approx([(0.16 + 0.64 + 2) / 2])
    weighted = layer_distance([first], [second], [torch.tensor([1.0, 0.5])])
    assert weighted.tolist() == pytest.approx([(0.16 + 0.32 + 1.5) / 2])


def test_layers_add_up_and_the_scale_of_features_does_not_matter():
    first, second = layer([3.0, 4.0]), layer([2.0, 0.0])
    one = float(layer_distance([first], [second]))
    assert float(layer_distance([first, 7 * first], [second, second])) == pytest.approx(2 * one)


def test_a_place_without_features_is_no_division_by_zero():
    assert layer_distance([layer([0.0, 0.0])], [layer([0.0, 0.0])]).tolist() == [0]


def test_distance_is_zero_to_itself_symmetric_and_grows_with_the_change(network):
    slight, strong = ((1 - share) * IMAGES + share * IMAGES.flip(3) for share in (0.1, 0.8))
    assert distance(network, IMAGES, IMAGES).tolist() == [0, 0, 0]
    near, far = distance(network, IMAGES, slight), distance(network, IMAGES, strong)
    assert (near > 0).all() and (far > near).all()
    assert torch.allclose(near, distance(network, slight, IMAGES))


def test_rows_do_not_depend_on_each_other(network):
    together = distance(network, IMAGES, IMAGES.flip(3))
    for row in range(3):
        one = IMAGES[row : row + 1]
        assert distance(network, one, one.flip(3))[0] == together[row]


def test_the_shipped_network_gives_its_five_stages_and_the_vector_before_its_heads(network):
    assert [tuple(each.shape[1:]) for each in network.layers(IMAGES)] == [
        (64, 32, 32),
        (24, 16, 16),
        (48, 8, 8),
        (80, 4, 4),
        (128, 2, 2),
    ]
    vectors = features_of(network, IMAGES, batch_size=3)
    heads = network.classifier.network.get_classifier()
    with torch.no_grad():
        logits = heads(torch.from_numpy(vectors).float()) / network.classifier.temperature
        assert torch.allclose(logits, network.classifier(IMAGES), atol=1e-4)


def test_a_network_without_layers_is_refused():
    plain = Classifier(torch.nn.Flatten(), name="plain", heads={"look": ("dark", "bright")})
    with pytest.raises(UserError, match="network 'plain' has no layers"):
        ClassifierFeatures(plain)


def test_diversity_is_the_mean_over_the_pairs_of_each_image(network):
    samples = torch.cat([IMAGES, IMAGES[:1], IMAGES[:1]])
    found = diversity(network, samples, ["a", "b", "a", "lonely", "b"])
    assert list(found) == ["a", "b"]
    assert found["a"] == pytest.approx(float(distance(network, IMAGES[:1], IMAGES[2:])))
    three = diversity(network, IMAGES, ["a", "a", "a"])["a"]
    pairs = distance(network, IMAGES[[0, 0, 1]], IMAGES[[1, 2, 2]])
    assert three == pytest.approx(float(pairs.mean()))


def test_copies_have_no_diversity(network):
    assert diversity(network, IMAGES[[0, 0, 0]], ["a", "a", "a"]) == {"a": 0}
