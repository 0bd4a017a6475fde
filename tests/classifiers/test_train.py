import torch
from torch import nn

from pipeline.classifiers.attack import attack_l2
from pipeline.classifiers.train import Recipe, calibrate, degrade, head_loss, measure, train_network

HEADS = {"bright": slice(0, 2), "side": slice(2, 4)}
MEAN, STD = torch.full((3,), 0.5), torch.full((3,), 0.25)


def striped_images(rows: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 3, 8, 8) whose brightness and brighter side are the two labels."""
    generator = torch.Generator().manual_seed(seed)
    bright, right = torch.randint(0, 2, (2, rows), generator=generator)
    images = torch.full((rows, 3, 8, 8), 60.0) + 80 * bright.view(-1, 1, 1, 1)
    images[..., 4:] += 60 * right.view(-1, 1, 1, 1)
    images[..., :4] += 60 * (1 - right).view(-1, 1, 1, 1)
    return images.to(torch.uint8), torch.stack([bright, right], 1)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4))


def trained(**changes) -> nn.Module:
    images, labels = striped_images(256)
    recipe = Recipe(**{"steps": 60, "batch_size": 32, "learning_rate": 1e-2, "average": 0.9, **changes})
    return train_network(small_network(), images, labels, HEADS, recipe, mean=MEAN, std=STD, seed=3)


def predict_with(network: nn.Module):
    return lambda images: network((images - 0.5) / 0.25)


def test_a_network_learns_both_of_its_tasks():
    images, labels = striped_images(200, seed=1)
    before = measure(predict_with(small_network().eval()), images, labels, HEADS)
    after = measure(predict_with(trained()), images, labels, HEADS)
    assert min(after.accuracy.values()) > 0.98
    assert min(before.accuracy.values()) < 0.9
    assert after.rows == 200 and set(after.calibration_error) == set(HEADS)


def test_training_twice_from_one_seed_gives_the_same_weights():
    for one, other in zip(trained().state_dict().values(), trained().state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_adversarial_training_defends_what_plain_training_does_not():
    images, labels = striped_images(128, seed=1)
    plain, robust = (
        measure(predict_with(trained(steps=120, **changes)), images, labels, HEADS, epsilon=1.0, attack_steps=5)
        for changes in ({"noise": 0.0, "blur": 0.0}, {"noise": 0.0, "blur": 0.0, "epsilon": 1.0})
    )
    assert robust.attacked_accuracy["side"] >= plain.attacked_accuracy["side"]
    assert robust.attacked_accuracy["side"] > 0.9
    assert all(plain.attacked_accuracy[task] <= plain.accuracy[task] for task in HEADS)


def test_the_attack_stays_in_its_ball_and_in_the_range_of_images_and_raises_the_loss():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 8, 8, generator=generator)
    weights = torch.randn(3, 8, 8, generator=generator)

    def loss(moved):
        return (moved * weights).sum((1, 2, 3))

    attacked = attack_l2(loss, images, epsilon=0.5, steps=10)
    assert ((attacked - images).flatten(1).norm(dim=1) <= 0.5 + 1e-5).all()
    assert attacked.min() >= 0 and attacked.max() <= 1
    assert (loss(attacked) > loss(images) + 0.3 * 0.5 * weights.norm()).all()


def test_one_image_of_an_attacked_batch_never_depends_on_the_others():
    network = small_network().eval()
    images, labels = striped_images(6)
    images = images.float() / 255

    def attacked(rows):
        def loss(moved):
            return head_loss(predict_with(network)(moved), labels[rows], HEADS)

        return attack_l2(loss, images[rows], epsilon=0.5, steps=3)

    assert torch.allclose(attacked(torch.arange(6))[:2], attacked(torch.arange(2)), atol=1e-6)


def test_calibration_finds_the_temperature_that_logits_were_multiplied_with():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4000, 3, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert abs(calibrate(4 * logits, labels) - 4) < 0.3


def test_calibration_does_not_take_a_faultless_network_to_be_certain():
    labels = torch.arange(300) % 2
    logits = torch.nn.functional.one_hot(labels).float() * 30
    confidence = (logits / calibrate(logits, labels)).softmax(1).max(1).values.mean()
    assert 1 - 2 / 300 < confidence < 1 - 0.5 / 300


def test_degrading_touches_about_the_stated_share_of_images_and_keeps_their_range():
    images, _ = striped_images(400)
    images = images.float() / 255
    changed = degrade(images, Recipe(noise=0.5, blur=0.0), torch.Generator().manual_seed(0))
    touched = (changed != images).flatten(1).any(1).float().mean()
    assert 0.4 < touched < 0.6
    assert changed.min() >= 0 and changed.max() <= 1
    untouched = degrade(images, Recipe(noise=0.0, blur=0.0), torch.Generator().manual_seed(0))
    assert torch.equal(untouched, images)
