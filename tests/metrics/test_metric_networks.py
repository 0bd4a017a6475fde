"""Loaders of published networks, on files with the official names and random weights."""

import hashlib
import pickle

import pytest
import torch
import torchvision

from pipeline.errors import UserError
from pipeline.metrics.features import features_of
from pipeline.metrics.networks.celeba_oracle import load_celeba_oracle
from pipeline.metrics.networks.inception import BlockA, LastBlockE, build_network, load_inception
from pipeline.metrics.networks.load import load_measuring
from pipeline.metrics.networks.lpips import load_lpips
from pipeline.metrics.networks.simsiam import load_simsiam
from pipeline.metrics.networks.vggface2 import load_vggface2
from pipeline.metrics.perceptual import perceptual_distance

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))


class Surprise:
    """What a harmful checkpoint holds: an object that runs code when it is read."""

    def __reduce__(self):
        return print, ("code ran",)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("inception") / "pt_inception-2015-12-05-6726825d.pth"
    weights = build_network().state_dict()
    torch.save({key: value.half() for key, value in weights.items() if "num_batches_tracked" not in key}, path)
    return path


@pytest.fixture
def alexnet_file(tmp_path):
    torch.manual_seed(0)
    with torch.device("meta"):
        features = torchvision.models.alexnet().features
    state = {f"features.{key}": torch.randn(value.shape) / 10 for key, value in features.state_dict().items()}
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save({**state, "classifier.1.weight": torch.zeros(3, 4)}, path)
    return path


@pytest.fixture
def simsiam_file(tmp_path):
    """An encoder that torchvision builds, with the projector and predictor of the official checkpoint."""
    torch.manual_seed(0)
    path = tmp_path / "checkpoint_0099.pth.tar"
    encoder = simsiam_encoder()
    state = {f"module.encoder.{key}": value for key, value in encoder.state_dict().items()}
    state["module.predictor.0.weight"] = torch.zeros(4, 8)
    torch.save({"epoch": 100, "arch": "resnet50", "state_dict": state, "optimizer": {"state": {}}}, path)
    return path, encoder


def test_vggface2_is_the_caffe_network_on_blue_green_red(tmp_path):
    path, encoder = tmp_path / "resnet50_ft_weight.pkl", caffe_encoder()
    arrays = {key: value.numpy() for key, value in encoder.state_dict().items() if "num_batches" not in key}
    with open(path, "wb") as file:
        pickle.dump(arrays, file, protocol=2)
    faces = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(4))
    shown = 255 * faces[:, [2, 1, 0]] - torch.tensor([91.4953, 103.8827, 131.0912])[:, None, None]
    encoder.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = encoder(shown)
    found = torch.from_numpy(features_of(load_vggface2(path), faces, batch_size=2)).float()
    assert found.shape == (2, 2048) and torch.allclose(
        found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())
    )


def test_the_celeba_oracle_reads_forty_attributes_as_the_published_code_does(tmp_path):
    encoder = caffe_encoder()
    projection, attributes = torch.nn.Linear(2048, 16, bias=False), torch.nn.Linear(16, 40)
    state = {caffe_name(key): value for key, value in encoder.state_dict().items() if not key.startswith("fc.")}
    state["feat_extract.weight"] = projection.weight.detach()[:, :, None, None]
    torch.save({"feat_extract": state, "classifier": attributes.state_dict()}, tmp_path / "oracle.pth")
    encoder.fc = torch.nn.Sequential(projection, attributes)
    means = torch.tensor([131.0912, 103.8827, 91.4953])[:, None, None] / 255
    shown = torch.nn.functional.interpolate(IMAGES[:, [2, 1, 0]] - means, size=(224, 224), mode="bicubic")
    oracle = load_celeba_oracle(tmp_path / "oracle.pth")
    with torch.no_grad():
        expected = encoder(shown)
        assert torch.allclose(oracle.for_task("Smiling")(IMAGES).diff(dim=1)[:, 0], expected[:, 31], atol=1e-3)
        assert torch.allclose(oracle(IMAGES)[:, 1::2] * 2, expected, atol=1e-3)


def caffe_name(key):
    """The other way round than the loader, from a list of all names."""
    if key.startswith(("conv1.", "bn1.")):
        return key.replace("conv1.", "conv1_7x7_s2.").replace("bn1.", "conv1_7x7_s2_bn.")
    stage, block, module, *rest = key.split(".")
    if module == "downsample":
        module, *rest = f"downsample{rest[0]}", *rest[1:]
    parts = {"conv1": "1x1_reduce", "conv2": "3x3", "conv3": "1x1_increase", "downsample0": "1x1_proj"}
    parts |= {"bn1": "1x1_reduce_bn", "bn2": "3x3_bn", "bn3": "1x1_increase_bn", "downsample1": "1x1_proj_bn"}
    return ".".join([f"conv{int(stage[-1]) + 1}_{int(block) + 1}_{parts[module]}", *rest])


def caffe_encoder():
    """A torchvision network with the strides and the pooling of Caffe's."""
    encoder = random_resnet()
    for stage in (encoder.layer2, encoder.layer3, encoder.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    encoder.maxpool = torch.nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
    return encoder.eval()


def random_resnet():
    torch.manual_seed(0)
    encoder = torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 2, 1, 1], num_classes=5)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return encoder


def simsiam_encoder():
    from torch.nn import BatchNorm1d, Linear, ReLU

    encoder = random_resnet()
    projector = (
        Linear(2048, 16, bias=False),
        BatchNorm1d(16),
        ReLU(),
        Linear(16, 16, bias=False),
        BatchNorm1d(16),
        ReLU(),
    )
    encoder.fc = torch.nn.Sequential(*projector, Linear(16, 8), BatchNorm1d(8, affine=False))
    return encoder.eval()


def test_inception_up_to_its_changed_blocks_is_torchvisions(inception_file):
    ours = load_inception(inception_file, features=192)
    theirs = torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    theirs.load_state_dict(torch.load(inception_file, weights_only=True), strict=False)
    theirs.eval()
    resized = torch.nn.functional.interpolate(IMAGES, size=(299, 299), mode="bilinear", align_corners=False)
    with torch.no_grad():
        first = theirs.maxpool1(theirs.Conv2d_2b_3x3(theirs.Conv2d_2a_3x3(theirs.Conv2d_1a_3x3(2 * resized - 1))))
        expected = theirs.maxpool2(theirs.Conv2d_4a_3x3(theirs.Conv2d_3b_1x1(first))).mean((2, 3))
    assert torch.allclose(torch.from_numpy(features_of(ours, IMAGES, batch_size=2)).float(), expected, atol=1e-5)
    pooled = features_of(load_inception(inception_file, features=64), IMAGES, batch_size=2)
    assert torch.allclose(torch.from_numpy(pooled).float(), first.mean((2, 3)), atol=1e-5)


def test_inception_gives_2048_features_and_says_so(inception_file):
    network = load_inception(inception_file)
    assert network.name == "inception-2048"
    assert features_of(network, IMAGES[:1], batch_size=1).shape == (1, 2048)


def test_the_pooling_branch_averages_inside_the_image_and_the_last_takes_the_maximum():
    features = torch.rand(1, 8, 5, 5)
    average, maximum = BlockA(8, pool_features=4).pooled(features), LastBlockE(8).pooled(features)
    assert torch.allclose(average[:, :, 0, 0], features[:, :, :2, :2].mean((2, 3)))
    assert torch.equal(maximum[:, :, 2, 2], features[:, :, 1:4, 1:4].amax((2, 3)))
    block = BlockA(8, pool_features=4).eval()
    assert torch.allclose(block(features)[:, -4:], block.branch_pool(average), atol=1e-6)


def test_inception_has_no_other_features(inception_file):
    with pytest.raises(UserError, match="use 64, 192, 768 or 2048"):
        load_inception(inception_file, features=100)


def test_lpips_takes_the_official_backbone_and_the_bundled_weights(alexnet_file):
    network = load_lpips(alexnet_file)
    assert network.name == "lpips-alex"
    assert [len(weight) for weight in network.weights] == [64, 192, 384, 256, 256]
    assert [len(layer[0]) for layer in network.layers(IMAGES)] == [64, 192, 384, 256, 256]
    assert (perceptual_distance(network, IMAGES, IMAGES.flip(3), batch_size=2) > 0).all()
    assert perceptual_distance(network, IMAGES, IMAGES, batch_size=2).tolist() == [0, 0]


def test_lpips_refuses_another_network_and_other_weights(alexnet_file):
    with pytest.raises(UserError, match="use alex or vgg"):
        load_lpips(alexnet_file, network="squeeze")
    with pytest.raises(UserError, match="do not fit"):
        load_lpips(alexnet_file, network="vgg")
    with pytest.raises(UserError, match="no LPIPS file"):
        load_lpips(alexnet_file, linear=alexnet_file)


def test_an_entry_says_which_network_measures(inception_file, alexnet_file):
    assert load_measuring("realism", {"inception": str(inception_file)}).name == "inception-2048"
    assert load_measuring("realism", {"inception": str(inception_file)}, as_published=True).name == "inception-64"
    assert load_measuring("perceptual", {"lpips": str(alexnet_file), "network": "alex"}).name == "lpips-alex"
    ours = load_measuring("ours", {"file": "data/classifiers/portraits-features.safetensors"})
    assert ours.name == "ours" and ours(IMAGES).ndim == 2


def test_simsiam_is_the_encoder_with_its_projector_on_normalised_images(simsiam_file):
    path, encoder = simsiam_file
    normalised = torchvision.transforms.functional.normalize(IMAGES, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        expected = encoder(normalised)
    found = torch.from_numpy(features_of(load_simsiam(path), IMAGES, batch_size=2)).float()
    assert found.shape == (2, 8) and torch.allclose(found, expected, atol=1e-4)


def test_simsiam_refuses_an_encoder_without_projector(simsiam_file):
    path, _ = simsiam_file
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {key: value for key, value in content["state_dict"].items() if ".fc." not in key}
    torch.save(content, path)
    with pytest.raises(UserError, match="not the one of the linear classifier"):
        load_simsiam(path)


@pytest.mark.parametrize(
    "load",
    [load_inception, load_simsiam, load_vggface2, load_celeba_oracle, load_lpips],
)
def test_every_loader_refuses_missing_altered_foreign_and_harmful_files(load, tmp_path, capsys):
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "none.pth")
    foreign = tmp_path / "foreign.pth"
    torch.save({"other.weight": torch.zeros(2)}, foreign)
    digest = hashlib.sha256(foreign.read_bytes()).hexdigest()
    with pytest.raises(UserError, match=r"foreign\.pth"):
        load(foreign, sha256=digest)
    with pytest.raises(UserError, match=f"sha256 {digest}, expected {'0' * 64}"):
        load(foreign, sha256="0" * 64)
    harmful = tmp_path / "harmful.pth"
    with open(harmful, "wb") as file:
        pickle.dump({"weight": Surprise()}, file, protocol=2)
    with pytest.raises(UserError):
        load(harmful)
    assert "code ran" not in capsys.readouterr().out
