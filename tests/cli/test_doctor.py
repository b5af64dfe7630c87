"""Doctor: right about what is there, and a command for everything that is missing."""

from __future__ import annotations

import hashlib
import sys
import types
from importlib.metadata import version
from pathlib import Path

import pytest

from edgerecon.cli import doctor
from edgerecon.engines import backends


def named(name: str) -> doctor.Check:
    return next(check for check in doctor.diagnose() if check.name == name)


def test_every_missing_package_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    doctor.diagnose()  # imports what it needs: a module that is imported below would keep this find_spec for good
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    missing = [check for check in doctor.diagnose() if "absent" in check.detail or "not installed" in check.detail]
    runtimes = {one.title for one in backends().values() if one.packages and one.name != "onnxruntime"}
    assert {check.name for check in missing} == runtimes | {"video files", "live viewer", "training"}
    assert all(not check.ok and check.remedy.startswith("pip install ") for check in missing)
    assert not any(check.required for check in missing)


def test_onnxruntime_is_reported_with_its_providers() -> None:
    check = doctor.check_onnxruntime()
    assert check.ok and check.detail.startswith(version("onnxruntime")) and "CPU" in check.detail


def test_broken_onnxruntime_is_reported_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> types.ModuleType:
        raise OSError("libonnxruntime.so: cannot open shared object file\nsecond line")

    monkeypatch.setattr(doctor, "import_module", broken)
    check = doctor.check_onnxruntime()
    assert not check.ok and check.required and "\n" not in check.detail and check.remedy


def test_doctor_imports_no_heavy_package() -> None:
    before = set(sys.modules)
    doctor.diagnose()
    assert not {"torch", "openvino", "tensorrt", "av"} & (set(sys.modules) - before)


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(doctor, "resource_dir", lambda room: tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"model")
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'model').hexdigest()}  a.onnx\n")
    return tmp_path


def test_intact_models_pass(export: Path) -> None:
    check = doctor.check_models()
    assert check.ok and "a" in check.detail and check.remedy == ""


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "a.onnx").write_bytes(b"tampered"), "a.onnx is missing or changed"),
        (lambda folder: (folder / "a.onnx").unlink(), "a.onnx is missing or changed"),
        (lambda folder: (folder / "b.onnx").write_bytes(b"x"), "b.onnx has no checksum"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "is missing"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "a.onnx has no checksum"),
        (lambda folder: (folder / "SHA256SUMS").write_text("0" * 64 + "  ../../etc/passwd\n"), "no checksum"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\xfe\x00"), "makes no sense"),
    ],
)
def test_harmed_models_are_named(export: Path, harm, said: str) -> None:
    harm(export)
    check = doctor.check_models()
    assert not check.ok and said in check.detail and check.remedy


def test_no_export_folder_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(room: str) -> Path:
        raise FileNotFoundError("the shipped folder 'export/' is missing: reinstall edgerecon")

    monkeypatch.setattr(doctor, "resource_dir", absent)
    assert not doctor.check_models().ok


def test_driver_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "host_profile", lambda: {"gpus": []})
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert "finds no GPU" in doctor.check_gpu().detail
    monkeypatch.setattr(doctor, "host_profile", lambda: {"gpus": ["NVIDIA H200"]})
    assert doctor.check_gpu().ok
