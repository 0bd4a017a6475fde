"""torch.export and TorchScript, on files that torch itself writes."""

import os
import zipfile

import pytest
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.errors import UserError

CLASSES = ["a", "b", "c"]

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::torch.jit.TracerWarning")


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    """A function from a batch dimension (a number or torch.export.Dim) to a .pt2 file of the tiny network at 16 px."""
    folder, files = tmp_path_factory.mktemp("exported"), {}

    def export(batch, network=None, size=(16, 16)):
        key = f"{batch}-{size}-{network is None}"
        if key not in files:
            rows = batch if isinstance(batch, int) else max(4, batch.min)
            shapes = None if isinstance(batch, int) else ({0: batch},)
            program = torch.export.export(network or tiny(), (torch.rand(rows, 3, *size),), dynamic_shapes=shapes)
            files[key] = str(folder / f"{len(files)}.pt2")
            torch.export.save(program, files[key])
        return files[key]

    return export


BATCHES = [torch.export.Dim("batch"), torch.export.Dim("batch", max=4), torch.export.Dim("batch", min=7), 2, 8, 1]


@pytest.mark.parametrize("batch", BATCHES, ids=["any", "at most 4", "at least 7", "two", "eight", "one"])
def test_an_exported_network_takes_any_number_of_images_whatever_it_was_exported_for(batch, exported, tiny, images):
    classifier = load_classifier("exported", {"torch_export": exported(batch), "classes": CLASSES})
    for rows in (5, 1):
        leaf = images[:rows].clone().requires_grad_()
        logits = classifier(leaf)
        assert torch.allclose(logits, tiny()(images[:rows]), atol=1e-5)
        logits.sum().backward()
        assert (leaf.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_a_fixed_image_size_is_adapted_to(exported):
    path = exported(torch.export.Dim("batch"))
    classifier = load_classifier("exported", {"torch_export": path, "classes": CLASSES})
    assert classifier.size == 16 and classifier(torch.rand(2, 1, 40, 32)).shape == (2, 3)


@pytest.mark.parametrize(("option", "asked", "fixed"), [("size", 32, 16), ("channels", 1, 3)])
def test_another_size_than_the_exported_one_is_said(option, asked, fixed, exported):
    path = exported(torch.export.Dim("batch"))
    with pytest.raises(UserError, match=f"{option} is {asked}, but the network was exported for {fixed} only"):
        load_classifier("exported", {"torch_export": path, "classes": CLASSES, option: asked})


def test_an_image_size_that_is_not_square_is_said(exported):
    path = exported(2, size=(16, 20))
    with pytest.raises(UserError, match="takes images of 16 x 20 pixels only, expected square ones"):
        load_classifier("exported", {"torch_export": path, "classes": CLASSES})


def test_evaluation_mode_and_frozen_weights_hold_for_exported_networks(exported):
    path = exported(torch.export.Dim("batch"))
    classifier = load_classifier("exported", {"torch_export": path, "classes": CLASSES}).train().eval()
    assert not any(weight.requires_grad for weight in classifier.parameters())


def test_a_network_exported_in_training_mode_is_refused(exported, tiny):
    path = exported(4, network=tiny().train())
    with pytest.raises(UserError, match=r"was exported in training mode .*batch_norm.*again after `\.eval\(\)`"):
        load_classifier("exported", {"torch_export": path, "classes": CLASSES})


def test_an_exported_network_can_be_perturbed(exported, images):
    plain = {"torch_export": exported(torch.export.Dim("batch")), "classes": CLASSES}
    moved = load_classifier("exported", {**plain, "classifier_perturbation": 0.5})(images)
    assert not torch.allclose(moved, load_classifier("exported", plain)(images))


@pytest.mark.parametrize("format", ["torch_export", "torchscript"])
@pytest.mark.parametrize("content", ["junk", "a zip", "a state dict"])
def test_a_file_of_another_kind_is_said(format, content, tmp_path):
    path = tmp_path / "odd.pt"
    if content == "junk":
        path.write_bytes(b"junk")
    elif content == "a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("odd/hello", "world")
    else:
        torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"'odd': .*odd\.pt (is not a TorchScript|cannot be read as an exported)"):
        load_classifier("odd", {format: str(path), "classes": CLASSES})


def test_an_exported_file_that_would_run_code_is_refused(exported, tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save((Malicious(),), tmp_path / "pickled")
    with (
        zipfile.ZipFile(exported(torch.export.Dim("batch"))) as good,
        zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad,
    ):
        for name in good.namelist():
            replaced = "/data/sample_inputs/" in name
            bad.writestr(name, (tmp_path / "pickled").read_bytes() if replaced else good.read(name))
    with pytest.raises(UserError, match=r"bad\.pt2 cannot be read as an exported program"):
        load_classifier("bad", {"torch_export": str(tmp_path / "bad.pt2"), "classes": CLASSES})
    assert not (tmp_path / "owned").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_an_exported_file_with_compiled_code_is_refused(exported, tmp_path):
    with (
        zipfile.ZipFile(exported(torch.export.Dim("batch"))) as good,
        zipfile.ZipFile(tmp_path / "compiled.pt2", "w") as bad,
    ):
        for name in good.namelist():
            bad.writestr(name, good.read(name))
        bad.writestr(f"{name.split('/')[0]}/data/aotinductor/model/network.so", b"")
    with pytest.raises(UserError, match="cannot be read as an exported program"):
        load_classifier("compiled", {"torch_export": str(tmp_path / "compiled.pt2"), "classes": CLASSES})


@pytest.fixture(params=["scripted", "traced", "frozen"])
def torchscript(request, tiny, tmp_path):
    """The tiny network in each way in which TorchScript keeps one."""
    network = (
        torch.jit.trace(tiny(), torch.rand(4, 3, 16, 16)) if request.param == "traced" else torch.jit.script(tiny())
    )
    network = torch.jit.freeze(network) if request.param == "frozen" else network
    torch.jit.save(network, tmp_path / "network.pt")
    return {"torchscript": str(tmp_path / "network.pt"), "classes": CLASSES}


def test_a_torchscript_network_answers_as_the_one_it_was_made_of(torchscript, tiny, images):
    classifier = load_classifier("script", {**torchscript, "mean": 0.5, "std": 0.5, "temperature": 2.0})
    leaf = images.clone().requires_grad_()
    logits = classifier(leaf)
    assert torch.allclose(logits, tiny()((images - 0.5) / 0.5) / 2, atol=1e-5)
    logits.sum().backward()
    assert leaf.grad.abs().sum() > 0


def test_a_network_traced_in_training_mode_is_refused(tiny, tmp_path):
    traced = torch.jit.trace(tiny().train(), torch.rand(4, 3, 16, 16), check_trace=False)
    torch.jit.save(traced, tmp_path / "training.pt")
    with pytest.raises(UserError, match=r"traced in training mode \(batch_norm\)"):
        load_classifier("training", {"torchscript": str(tmp_path / "training.pt"), "classes": CLASSES})


def test_a_torchscript_network_at_the_wrong_size_is_said_at_the_first_forward(tmp_path):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 3)).eval()
    torch.jit.save(torch.jit.script(network), tmp_path / "flat.pt")
    entry = {"torchscript": str(tmp_path / "flat.pt"), "classes": CLASSES}
    with pytest.raises(UserError, match=r"could not take images of 3.* 16 x 16 pixels.*set its `size`"):
        load_classifier("flat", entry)(torch.rand(2, 3, 16, 16))
    assert load_classifier("flat", {**entry, "size": 8})(torch.rand(2, 3, 16, 16)).shape == (2, 3)
