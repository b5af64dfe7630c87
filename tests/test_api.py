"""The public interface: quick to import, lazy, and the same as in the last version."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import edgerecon as er

SIGNATURES = {
    "open_engine": "(model, backend, precision, device, threads)",
    "open_source": "(uri)",
    "open_sink": "(uri)",
    "evaluate": "(engine, data, regions, methods, limit, tune, on_progress, spread)",
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
    ]
    assert edgerecon.stream.sources.open_source is er.open_source


def test_every_public_name_exists() -> None:
    assert er.__all__[1:] == sorted(er.__all__[1:])
    for name in er.__all__:
        assert getattr(er, name) is not None
    assert set(er.__all__) <= set(dir(er))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        er.nothing


def test_the_import_loads_no_runtime() -> None:
    heavy = ("torch", "onnxruntime", "openvino", "cv2", "av", "pydantic", "typer", "numpy")
    code = f"import sys, edgerecon; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_versions_agree() -> None:
    from importlib.metadata import version
    from pathlib import Path

    root = Path(__file__).resolve().parents[1]
    assert f'version = "{er.__version__}"' in (root / "pyproject.toml").read_text()
    assert f"## {er.__version__}" in (root / "CHANGELOG.md").read_text()
    assert f"version: {er.__version__}" in (root / "CITATION.cff").read_text()
    assert version("edgerecon")
