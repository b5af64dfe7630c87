"""The public interface: quick to import, lazy, and the same as in the last version."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import edgerecon as er

SIGNATURES = {
    "open_engine": "(model, backend, precision, device, threads, tile)",
    "open_source": "(uri)",
    "open_sink": "(uri)",
    "evaluate": "(engine, data, regions, methods, limit, tune, fields, on_progress, spread)",
    "load_recipe": "(path)",
    "load_device": "(name)",
    "list_models": "()",
    "list_devices": "()",
}


@pytest.mark.parametrize(("name", "parameters"), SIGNATURES.items())
def test_a_public_function_keeps_its_parameters(name: str, parameters: str) -> None:
    found = inspect.signature(getattr(er, name)).parameters
    assert f"({', '.join(found)})" == parameters
    assert inspect.getdoc(getattr(er, name))


def test_stream_keeps_its_parameters_and_is_a_package_too() -> None:
    import edgerecon.stream.sources

    assert list(inspect.signature(er.stream).parameters) == [
        "source",
        "engine",
        "sinks",
        "options",
        "ladder",
        "reopen",
        "trace",
        "stop",
        "reset",
        "on_progress",
        "model_name",
        "controls",
        "changes",
    ]
    assert list(inspect.signature(er.StreamOptions).parameters) == [
        "policy",
        "late",
        "pace",
        "deadline_ms",
        "loop",
        "frames",
        "seconds",
        "hang_s",
        "scheduling",
        "crop",
    ]
    assert edgerecon.stream.sources.open_source is er.open_source


def test_every_public_name_exists() -> None:
    assert er.__all__[1:] == sorted(er.__all__[1:])
    for name in er.__all__:
        assert getattr(er, name) is not None
    assert set(er.__all__) <= set(dir(er))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        er.nothing


HEAVY = ("torch", "onnx", "onnxruntime", "openvino", "tensorrt", "ray", "h5py", "av", "pydicom", "scipy", "matplotlib")
STARTS = f"""
import sys
loaded = lambda *more: print(*[name for name in ({HEAVY} + more) if name in sys.modules] or ["nothing"])
import edgerecon
loaded("numpy", "cv2", "pydantic", "typer", "importlib.metadata")
from edgerecon.cli.main import app
app(["--help"], standalone_mode=False)
loaded("numpy", "cv2", "pydantic")
app(["models"], standalone_mode=False)
loaded("numpy", "cv2")
app(["stream", "--help"], standalone_mode=False)
loaded("starlette", "uvicorn", "zarr")
from edgerecon.engines import backends
list(backends())
loaded("starlette", "uvicorn", "zarr")
"""


def test_what_starts_loads_nothing_heavy() -> None:
    """The import, the help, the list of models, the lists of sources and sinks, and that of engines, in one process."""
    done = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True, check=True, timeout=300)
    assert [line for line in done.stdout.splitlines() if line in ("nothing", *HEAVY)] == ["nothing"] * 5, done.stdout


def test_the_versions_agree() -> None:
    from importlib.metadata import version
    from pathlib import Path

    root = Path(__file__).resolve().parents[1]
    assert 'path = "edgerecon/core/__init__.py"' in (root / "pyproject.toml").read_text()
    assert f"## {er.__version__}" in (root / "CHANGELOG.md").read_text()
    assert f"version: {er.__version__}" in (root / "CITATION.cff").read_text()
    assert version("edgerecon")
