"""torch.export and TorchScript, on files that torch itself writes."""

import contextlib
import json
import os
import re
import zipfile
from pathlib import Path

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
    classifier = load_classifier("exported", {"torch_export": exported(batch), "classes": CLASSES, "trusted": True})
    for rows in (5, 1):
        leaf = images[:rows].clone().requires_grad_()
        logits = classifier(leaf)
        assert torch.allclose(logits, tiny()(images[:rows]), atol=1e-5)
        logits.sum().backward()
        assert (leaf.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_a_fixed_image_size_is_adapted_to(exported):
    path = exported(torch.export.Dim("batch"))
    classifier = load_classifier("exported", {"torch_export": path, "classes": CLASSES, "trusted": True})
    assert classifier.size == 16 and classifier(torch.rand(2, 1, 40, 32)).shape == (2, 3)


@pytest.mark.parametrize(("option", "asked", "fixed"), [("size", 32, 16), ("channels", 1, 3)])
def test_another_size_than_the_exported_one_is_said(option, asked, fixed, exported):
    path = exported(torch.export.Dim("batch"))
    with pytest.raises(UserError, match=f"{option} is {asked}, but the network was exported for {fixed} only"):
        load_classifier("exported", {"torch_export": path, "classes": CLASSES, "trusted": True, option: asked})


def test_an_image_size_that_is_not_square_is_said(exported):
    path = exported(2, size=(16, 20))
    with pytest.raises(UserError, match="takes images of 16 x 20 pixels only, expected square ones"):
        load_classifier("exported", {"torch_export": path, "classes": CLASSES, "trusted": True})


def test_evaluation_mode_and_frozen_weights_hold_for_exported_networks(exported):
    path = exported(torch.export.Dim("batch"))
    classifier = load_classifier("exported", {"torch_export": path, "classes": CLASSES, "trusted": True}).train().eval()
    assert not any(weight.requires_grad for weight in classifier.parameters())


def test_a_network_exported_in_training_mode_is_refused(exported, tiny):
    path = exported(4, network=tiny().train())
    with pytest.raises(UserError, match=r"was exported in training mode .*batch_norm.*again after `\.eval\(\)`"):
        load_classifier("exported", {"torch_export": path, "classes": CLASSES, "trusted": True})


def test_an_exported_network_can_be_perturbed(exported, images):
    plain = {"torch_export": exported(torch.export.Dim("batch")), "classes": CLASSES, "trusted": True}
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
        load_classifier("odd", {format: str(path), "classes": CLASSES, "trusted": True})


@pytest.mark.parametrize("format", ["torch_export", "torchscript"])
@pytest.mark.parametrize("trust", [{}, {"trusted": False}])
def test_a_program_is_loaded_only_where_it_is_trusted(format, trust):
    with pytest.raises(UserError, match=f"'mine': {format} is a program, and loading it runs.* add `trusted: true`"):
        load_classifier("mine", {format: "absent.pt", "classes": CLASSES, **trust})


def altered(good, bad, change):
    """A copy of an archive; change: from the name and content of a member to its new content, None for the old one."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            copy.writestr(name, change(name, content) or content)
    return {"torch_export": str(bad), "classes": CLASSES, "trusted": True}


class Malicious:
    """Its pickle makes the folder `owned` when it is read."""

    def __reduce__(self):
        return os.mkdir, ("owned",)


def test_an_exported_file_with_a_pickle_in_place_of_tensors_is_refused(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save((Malicious(),), "pickled")
    pickled = Path("pickled").read_bytes()
    batch = exported(torch.export.Dim("batch"))
    entry = altered(batch, "bad.pt2", lambda name, _: pickled if "/data/sample_inputs/" in name else None)
    with pytest.raises(UserError, match=r"bad\.pt2 cannot be read as an exported program"):
        load_classifier("bad", entry)
    assert not Path("owned").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


RUNS = "__import__('os').mkdir('owned')"
CODE = [
    (r'"expr_str": "[^"]*"', f'"expr_str": "{RUNS}"', r"code in place of arithmetic \(__import__\('os'\)"),
    (
        r'"expr_str": "([^"]*)"',
        r'"expr_str": "Max(().__class__, \1)"',
        r"code in place of arithmetic \(Max\(\(\)\.__cl",
    ),
    (r'"target": "[^"]*"', '"target": "torch.os.mkdir"', r"code in place of an operation \(torch\.os\.mkdir\)"),
    (
        r'"target": "[^"]*"',
        '"target": "torch.ops.aten.from_file.default"',
        r"code in place of an operation \(torch\.ops\.aten\.from_file",
    ),
    (r'"name": "linear"', f'"name": "linear, {RUNS}"', r"code in place of a name \(linear, __import__"),
    (r'"builtins\.tuple', '"collections.defaultdict', r"code in place of a name \(\[1, "),
]


def with_code(good, place, code):
    """A copy of an archive, bad.pt2, with code where its program matches a pattern."""
    return altered(
        good,
        "bad.pt2",
        lambda name, content: re.sub(place, code, content.decode()) if "/models/" in name else None,
    )


@pytest.mark.parametrize(
    ("place", "code", "said"), CODE, ids=["expression", "class", "function", "file", "name", "tree"]
)
def test_code_in_an_exported_graph_is_refused_before_torch_reads_it(place, code, said, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = with_code(exported(torch.export.Dim("batch")), place, code)
    with pytest.raises(UserError, match=rf"bad\.pt2 holds {said}.*so it was refused; give the network as safetensors"):
        load_classifier("bad", entry)
    assert not Path("owned").exists()


def test_torch_itself_would_run_the_code_of_an_expression(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place, code, _ = CODE[0]
    with_code(exported(torch.export.Dim("batch")), place, code)
    with contextlib.suppress(Exception):
        torch.export.load("bad.pt2")
    assert Path("owned").is_dir()


@pytest.mark.parametrize("kind", ["opaque_obj_0", "custom_obj_0"])
def test_an_exported_file_with_objects_is_refused_before_torch_reads_it(kind, exported, tmp_path):
    stored = json.dumps({"config": {"it": {"path_name": kind, "is_param": False, "use_pickle": True}}})
    batch = exported(torch.export.Dim("batch"))
    entry = altered(batch, tmp_path / "bad.pt2", lambda name, _: stored if "constants_config" in name else None)
    with pytest.raises(UserError, match=rf"bad\.pt2 holds a pickled object \({kind}\)"):
        load_classifier("bad", entry)


def test_an_exported_file_with_compiled_code_is_refused(exported, tmp_path):
    entry = altered(exported(torch.export.Dim("batch")), tmp_path / "compiled.pt2", lambda name, content: None)
    with zipfile.ZipFile(tmp_path / "compiled.pt2", "a") as archive:
        archive.writestr(f"{archive.namelist()[0].split('/')[0]}/data/aotinductor/model/network.so", b"")
    with pytest.raises(UserError, match=r"compiled\.pt2 holds compiled code \(data/aotinductor/model/network\.so\)"):
        load_classifier("compiled", entry)


def test_sizes_that_follow_from_the_image_may_be_any_arithmetic(tmp_path):
    class Resized(torch.nn.Module):
        def forward(self, images):
            height, width = images.shape[2:]
            images = torch.nn.functional.interpolate(images, size=(height // 2 + 1, max(width // 3, 7)))
            with torch.no_grad():
                shift = images.mean()
            return torch.nn.functional.pad(images, (0, width % 8, 0, 0)).mean((2, 3)) - shift

    sides = {2: torch.export.Dim("height", min=16, max=64), 3: torch.export.Dim("width", min=16, max=64)}
    images = torch.rand(2, 3, 24, 33)
    program = torch.export.export(Resized(), (images,), dynamic_shapes=({0: torch.export.Dim("batch"), **sides},))
    torch.export.save(program, tmp_path / "sizes.pt2")
    entry = {"torch_export": str(tmp_path / "sizes.pt2"), "classes": CLASSES, "trusted": True}
    assert torch.allclose(load_classifier("sizes", entry)(images), Resized()(images), atol=1e-6)


@pytest.fixture(params=["scripted", "traced", "frozen"])
def torchscript(request, tiny, tmp_path):
    """The tiny network in each way in which TorchScript keeps one."""
    network = (
        torch.jit.trace(tiny(), torch.rand(4, 3, 16, 16)) if request.param == "traced" else torch.jit.script(tiny())
    )
    network = torch.jit.freeze(network) if request.param == "frozen" else network
    torch.jit.save(network, tmp_path / "network.pt")
    return {"torchscript": str(tmp_path / "network.pt"), "classes": CLASSES, "trusted": True}


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
        load_classifier("training", {"torchscript": str(tmp_path / "training.pt"), "classes": CLASSES, "trusted": True})


def test_a_torchscript_network_at_the_wrong_size_is_said_at_the_first_forward(tmp_path):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 3)).eval()
    torch.jit.save(torch.jit.script(network), tmp_path / "flat.pt")
    entry = {"torchscript": str(tmp_path / "flat.pt"), "classes": CLASSES, "trusted": True}
    with pytest.raises(UserError, match=r"could not take images of 3.* 16 x 16 pixels.*set its `size`"):
        load_classifier("flat", entry)(torch.rand(2, 3, 16, 16))
    assert load_classifier("flat", {**entry, "size": 8})(torch.rand(2, 3, 16, 16)).shape == (2, 3)


class Writes(torch.nn.Module):
    """Writes a file when it is loaded."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return images.mean((2, 3)) + self.weight

    @torch.jit.export
    def __getstate__(self):
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        torch.save(state[0], "owned")
        self.weight = state[0]
        self.training = state[1]


def test_torchscript_that_writes_files_is_refused_before_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.jit.save(torch.jit.script(Writes()), "writes.pt")
    with pytest.raises(UserError, match=r"writes\.pt holds a file operation \(save in code/__torch__.*it was refused"):
        load_classifier("writes", {"torchscript": "writes.pt", "classes": CLASSES, "trusted": True})
    assert not Path("owned").exists()
    torch.jit.load("writes.pt")
    assert Path("owned").exists()


def test_torchscript_that_reads_files_is_refused(tmp_path):
    class Reads(torch.nn.Module):
        def forward(self, images):
            return images.mean((2, 3)) + torch.from_file("weights", False, 3)

    torch.jit.save(torch.jit.script(Reads()), tmp_path / "reads.pt")
    with pytest.raises(UserError, match=r"reads\.pt holds a file operation \(from_file in code/"):
        load_classifier("reads", {"torchscript": str(tmp_path / "reads.pt"), "classes": CLASSES, "trusted": True})
