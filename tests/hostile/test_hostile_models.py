"""What is no model is never read without end, and no runtime sees bytes that were not checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgerecon.core.config import read_json, read_toml
from edgerecon.core.errors import DataError, EngineError, ModelError
from edgerecon.core.files import read
from edgerecon.core.shipped import resource_dir
from edgerecon.engines import open_engine
from edgerecon.modelfile.file import read_model
from edgerecon.workshop.train.checkpoint import load_checkpoint
from tests.support.hostile_inputs import DIGITS, two_formats

SHIPPED = resource_dir("export") / "compact-despeckle.onnx"


@pytest.mark.parametrize("identifier", [b"ORTM", b"TFL3"])
def test_a_file_of_two_formats_is_refused(tmp_path: Path, identifier: bytes) -> None:
    path = tmp_path / "two.onnx"
    path.write_bytes(
        two_formats(
            SHIPPED.read_bytes(),
            b"....",
        )
    )
    assert read_model(path).spec.name == "compact-despeckle", "without the identifier it is a model like any other"
    path.write_bytes(two_formats(SHIPPED.read_bytes(), identifier))
    for backend in ("auto", "onnxruntime"):
        with pytest.raises(ModelError, match="reads as .* as well"):
            open_engine(path, backend)


def test_onnx_runtime_would_read_it_as_its_own_format(tmp_path: Path) -> None:
    """Else the refusal would protect from nothing."""
    import onnxruntime as ort

    with pytest.raises(Exception, match="(?i)ort|flatbuffer|verif"):
        ort.InferenceSession(two_formats(SHIPPED.read_bytes(), b"ORTM"), providers=["CPUExecutionProvider"])


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.onnx")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    (tmp_path / "link.onnx").symlink_to(SHIPPED)
    for name in ("fifo.onnx", "zero.onnx"):
        with pytest.raises(ModelError, match="no plain file"):
            read_model(tmp_path / name)
        with pytest.raises(DataError, match="no plain file"):
            load_checkpoint(tmp_path / name)
        with pytest.raises(DataError, match="no plain file"):
            read_json(tmp_path / name, DataError, "it")
    assert read_model(tmp_path / "link.onnx").content == SHIPPED.read_bytes()
    with pytest.raises(ModelError, match="embedded null"):
        read_model("a\0b.onnx")


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    assert read(path, 100) == bytes(100)
    with pytest.raises(OSError, match="limit"):
        read(path, 99)
    with path.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(OSError, match="1048576 MB"):
        read(path, 1 << 20)


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 50 + "[" * 100_000, DIGITS, f"[{DIGITS}]", "\ud800", "NaN,"])
def test_texts_that_python_refuses_are_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(EngineError, match="cannot read|no JSON") as caught:
        read_json(path, EngineError, "the file")
    assert "\n" not in str(caught.value)
    path.write_bytes(b"a = " + text.encode("utf-8", "surrogatepass"))
    with pytest.raises(EngineError, match="cannot read|not valid TOML") as caught:
        read_toml(path, EngineError, "the file")
    assert "\n" not in str(caught.value)
