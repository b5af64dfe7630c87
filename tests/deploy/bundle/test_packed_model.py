"""An adopted file is packed without a recipe, whatever kind of network it holds, and its self-test passes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import GateError, UsageError
from edgerecon.core.frame import to_uint8
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.inspect import OVERLAY, Asked
from edgerecon.deploy.adopt.ranges import UNIT
from edgerecon.deploy.bundle.acceptance import pack_frames, read_config, read_frames, self_test
from edgerecon.deploy.bundle.archive import BundleError
from edgerecon.deploy.bundle.bundle import bundle
from edgerecon.deploy.bundle.bundle_config import StreamSettings
from edgerecon.deploy.bundle.packed_model import of_file
from tests.deploy.bundle.bundled import CPU, extract
from tests.support import foreign_maps
from tests.support.foreign_networks import Foreign, build

KINDS = {
    "signed": build(Foreign("n", given="-1..1", axes="NHWC", clip=True)),
    "bytes": build(Foreign("n", given="0..255", dtype="uint8")),
    "half": build(Foreign("n", dtype="float16")),
    "residual": build(Foreign("n", way="noise")),
    "twice": build(Foreign("n", scale=2)),
    "tiled": build(Foreign("n", size=(96, 128), stiff=True)),
    "probability": foreign_maps.probability(),
    "classes": foreign_maps.classes(4),
    "scores": foreign_maps.scores(5),
}
SAID = Asked(given=UNIT)
ASKED = {"probability": Asked(given=UNIT, way=OVERLAY), "classes": SAID, "scores": SAID}


def adopted(kind: str, folder: Path, asked: Asked) -> Path:
    (folder / "foreign.onnx").write_bytes(KINDS[kind].SerializeToString())
    adopt(folder / "foreign.onnx", folder / f"{kind}.onnx", asked)
    return folder / f"{kind}.onnx"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("asked")
def test_an_adopted_file_passes_its_self_test(kind: str, tmp_path: Path) -> None:
    path = adopted(kind, tmp_path, ASKED.get(kind, Asked()))
    made = bundle(of_file(path), CPU, tmp_path / "b.tar.gz", backend="onnxruntime", settings=StreamSettings(threads=1))
    assert made.precision == ("fp16" if kind == "half" else "fp32") and made.max_error == 0
    result = self_test(extract(made.path, tmp_path))
    assert result.max_error <= 1e-6 and result.frames == (1 if kind == "tiled" else 2)


@pytest.mark.usefixtures("asked")
def test_the_verb_takes_an_adopted_file(tmp_path: Path) -> None:
    path, told = adopted("signed", tmp_path, Asked()), tmp_path / "told.json"
    words = ["bundle", path, "--device", CPU.name, "-o", tmp_path / "b.tar.gz", "--json", told]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, (result.output, result.exception)
    assert json.loads(told.read_text())["model"] == "signed.onnx"
    assert "adopted file `" in (extract(tmp_path / "b.tar.gz", tmp_path) / "README.md").read_text()


@pytest.mark.usefixtures("asked")
def test_self_test_counts_pixels_of_another_class(tmp_path: Path) -> None:
    path = adopted("classes", tmp_path, ASKED["classes"])
    made = bundle(of_file(path), CPU, tmp_path / "b.tar.gz", backend="onnxruntime", settings=StreamSettings(threads=1))
    folder = extract(made.path, tmp_path)
    packed = folder / read_config(folder).frames
    pairs = [(to_uint8(frame), expected) for frame, expected in read_frames(packed)]
    pairs[0][1][:2] = 3 / 255
    pack_frames(packed, pairs)
    with pytest.raises(GateError, match=r"differs from the reference by 0\.0.* allowed is 0\.002"):
        self_test(folder)


@pytest.mark.parametrize("name", ["Étude", "UPPER", "two words", "-o", "a" * 65, "a\n", "_a"])
def test_names_that_no_archive_has_are_refused_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a bundle cannot be named") as caught:
        bundle(of_file(tmp_path / f"{name}.onnx"), CPU, tmp_path / "b.tar.gz")  # before it is found missing
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("asked")
def test_an_engine_that_is_no_file_is_refused(tmp_path: Path) -> None:
    path = adopted("signed", tmp_path, Asked())
    os.mkfifo(tmp_path / "pipe.engine")
    with pytest.raises(BundleError, match="no plain file"):
        bundle(of_file(path), CPU, tmp_path / "b.tar.gz", backend="onnxruntime", engine=tmp_path / "pipe.engine")
    assert not (tmp_path / "b.tar.gz").exists()
