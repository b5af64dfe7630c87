"""Torch modules of somebody else's: exported by either exporter, or given as a Python file with weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import DataError, ModelError, UsageError
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.frames import trial_frames
from edgerecon.deploy.export.module_file import write_module
from edgerecon.engines import open_engine

SOURCE = """
import torch
from torch import nn

class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.smooth = nn.Conv2d(1, 4, 3, padding=1)
        self.join = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return torch.clamp(self.join(torch.relu(self.smooth(x))), 0, 1)

class Needs(nn.Module):
    def __init__(self, width):
        super().__init__()

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(5, 1, 1)

    def forward(self, x):
        return self.conv(x)

class Leaves(nn.Module):
    def __init__(self):
        raise SystemExit("usage: train.py DATA")

class LeavesLater(nn.Module):
    def forward(self, x):
        raise SystemExit(2)

answer = 42
"""
KERNEL = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("modules") / "networks.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return {
        "smooth.weight": KERNEL.repeat(4, 1, 1, 1),
        "smooth.bias": torch.tensor([0.0, -0.02, 0.01, -0.01]),
        "join.weight": torch.full((1, 4, 1, 1), 0.25),
        "join.bias": torch.tensor([0.005]),
    }


def reference(file: Path, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(compile(file.read_text(), str(file), "exec"), namespace)
    module = namespace["Denoiser"]()
    module.load_state_dict(weights)
    return module.eval()


def assert_alike(path: Path, module: torch.nn.Module) -> None:
    frame = trial_frames()[0]
    with torch.inference_mode():
        expected = module(torch.from_numpy(frame)[None, None])[0, 0].numpy()
    assert np.abs(open_engine(path, "onnxruntime").run(frame) - expected).max() < 1e-4


def test_python_file_with_weights_becomes_a_model(file: Path, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(weights, tmp_path / "w.safetensors")
    out = tmp_path / "mine.onnx"
    arguments = ["adopt", f"{file}:Denoiser", "--weights", str(tmp_path / "w.safetensors"), "-o", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert_alike(out, reference(file, weights))


def test_torchscript_exporter_is_taken(file: Path, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    module = reference(file, weights)
    axes = {name: {0: "batch", 2: "height", 3: "width"} for name in ("input", "output")}
    torch.onnx.export(
        module,
        (torch.zeros(1, 1, 64, 64),),
        tmp_path / "foreign.onnx",
        dynamo=False,
        opset_version=13,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes=axes,
    )
    adoption = adopt(tmp_path / "foreign.onnx", tmp_path / "mine.onnx")
    assert adoption.spec.scale == 1 and adoption.max_abs_error < 1e-4
    assert_alike(tmp_path / "mine.onnx", module)


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("Absent", UsageError, "no class Absent: choose one of Denoiser, Needs, Wide, Leaves"),
        ("answer", UsageError, "no class answer"),
        ("Needs", ModelError, "fails: TypeError"),
        ("Leaves", ModelError, "fails: SystemExit: usage"),
        ("LeavesLater", ModelError, "does not run on a picture of 1 or 3 channels"),
        ("Wide", ModelError, "does not run on a picture of 1 or 3 channels"),
        ("Denoiser", UsageError, "draws its weights at random: say with --weights"),
    ],
)
def test_classes_that_cannot_be_taken(file: Path, name: str, kind: type[Exception], says: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=says):
        write_module(f"{file}:{name}", None, tmp_path / "a.onnx")
    with pytest.raises(UsageError, match="no Python file"):
        write_module("absent.py:Net", None, tmp_path / "a.onnx")


def test_weights_that_run_code_are_not_read(file: Path, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "run"),)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(DataError, match="no weights that are tensors alone") as caught:
        write_module(f"{file}:Denoiser", tmp_path / "evil.pt", tmp_path / "a.onnx")
    assert "weights_only" not in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    torch.save({"other.weight": KERNEL}, tmp_path / "other.pt")
    with pytest.raises(DataError, match="weights of another network"):
        write_module(f"{file}:Denoiser", tmp_path / "other.pt", tmp_path / "a.onnx")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no file of safetensors"):
        write_module(f"{file}:Denoiser", tmp_path / "broken.safetensors", tmp_path / "a.onnx")
    with pytest.raises(DataError, match="cannot read the weights"):
        write_module(f"{file}:Denoiser", tmp_path / "absent.pt", tmp_path / "a.onnx")


def test_a_class_that_holds_its_weights_needs_no_file(tmp_path: Path) -> None:
    (tmp_path / "networks.py").write_text(f"{SOURCE}\ndef make():\n    torch.manual_seed(3)\n    return Denoiser()\n")
    write_module(f"{tmp_path}/networks.py:make", None, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").is_file()
