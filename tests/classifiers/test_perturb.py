"""The knob from a trained network to a random one."""

import pytest
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.perturb import perturb_weights, standard_deviation


def weights_of(network):
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def test_a_share_of_nothing_changes_nothing(tiny):
    network = tiny()
    before = weights_of(network)
    perturb_weights(network, 0.0, seed=1)
    assert all(torch.equal(weight, before[name]) for name, weight in network.named_parameters())


def test_the_noise_has_the_standard_deviation_of_all_weights_together_times_the_share():
    network = torch.nn.Sequential(torch.nn.Linear(100, 200), torch.nn.Linear(200, 100))
    torch.nn.init.normal_(network[0].weight, 1.0, 0.5)
    before = weights_of(network)
    deviation = torch.cat([weight.flatten() for weight in before.values()]).std()
    perturb_weights(network, 0.5, seed=1)
    noise = torch.cat([(weight.detach() - before[name]).flatten() for name, weight in network.named_parameters()])
    assert float(noise.std()) == pytest.approx(0.5 * float(deviation), rel=0.02)
    assert abs(float(noise.mean())) < 0.02 * float(deviation)


def test_the_deviation_is_that_of_the_concatenation():
    assert standard_deviation([torch.tensor([1.0, 2.0]), torch.tensor([[9.0]])]) == pytest.approx(
        float(torch.tensor([1.0, 2.0, 9.0]).std())
    )


def test_noise_depends_on_the_seed_and_the_name_of_a_weight_alone():
    def noise(seed, names):
        torch.manual_seed(0)
        network = torch.nn.ModuleDict({name: torch.nn.Linear(4, 4) for name in names})
        before = weights_of(network)
        perturb_weights(network, 1.0, seed)
        return (network["a"].weight - before["a.weight"]) / standard_deviation(before.values())

    alone = noise(1, ["a"])
    assert torch.equal(alone, noise(1, ["a"]))
    assert torch.allclose(alone, noise(1, ["a", "b"]), atol=1e-4)
    assert not torch.allclose(alone, noise(2, ["a"]), atol=1e-1)


def test_weights_of_one_shape_get_noise_of_their_own():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    before = weights_of(network)
    perturb_weights(network, 1.0, seed=1)
    first, second = (network[place].weight - before[f"{place}.weight"] for place in (0, 1))
    assert not torch.allclose(first, second)


def test_batch_statistics_stay(tiny):
    network = tiny()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    perturb_weights(network, 1.0, seed=1)
    assert before and all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())


def test_an_entry_is_perturbed_by_its_share_and_the_seed(our_file):
    def weight(seed=0, **options):
        entry = {"file": str(our_file), **options}
        return load_classifier("reader", entry, seed=seed).network.fc.weight

    assert torch.equal(weight(), weight(classifier_perturbation=0))
    assert torch.equal(weight(classifier_perturbation=0.3), weight(classifier_perturbation=0.3))
    assert not torch.equal(weight(classifier_perturbation=0.3), weight(classifier_perturbation=0.3, seed=1))
    assert not torch.equal(weight(), weight(classifier_perturbation=0.3))
