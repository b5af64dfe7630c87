"""The host profile: real facts where they can be learnt, nothing worse than None elsewhere."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from edgerecon.hardware import device, host


@pytest.fixture(autouse=True)
def fresh_facts():
    host._facts.cache_clear()
    yield
    host._facts.cache_clear()


def test_profile_is_json_and_agrees_with_independent_sources() -> None:
    profile = device.host_profile()
    assert json.loads(json.dumps(profile)) == profile
    assert profile["python"] == platform.python_version()
    assert profile["packages"]["numpy"] == version("numpy")
    assert 1 <= profile["cores_physical"] <= profile["cores_logical"] <= (os.cpu_count() or 1)


def test_commit_is_that_of_the_checkout(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    assert host._commit(tmp_path) is None
    subprocess.run([*git[:3], "init", "-q"], check=True, timeout=120)
    assert host._commit(tmp_path) is None, "a checkout without a commit has none to state"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True, timeout=120)
    assert len(host._commit(tmp_path) or "") == 40
    (tmp_path / "site-packages").mkdir()
    assert host._commit(tmp_path / "site-packages") is None, "somebody else's repository is not ours"


def test_caller_cannot_spoil_the_cache() -> None:
    device.host_profile()["packages"].clear()
    assert device.host_profile()["packages"]


def test_bare_platform_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """No /proc, no affinity, no sysconf, no tools on the PATH: as on other systems."""
    monkeypatch.setattr(host, "_read", lambda path: "")
    monkeypatch.setattr(host.shutil, "which", lambda name: None)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sysconf", raising=False)
    profile = device.host_profile()
    assert profile["memory_gb"] is None and profile["gpus"] == [] and profile["cpu_features"] == []
    assert profile["commit"] is None and profile["cores_physical"] >= 1
    json.dumps(profile)


@pytest.mark.parametrize(
    ("cpuinfo", "model", "features"),
    [
        (
            "model name\t: Xeon X\nflags\t\t: fpu avx2 avx512f amx_tile\n",
            "Xeon X",
            ["avx2", "avx512f", "amx_tile"],
        ),
        ("Features\t: fp asimd asimddp\n", None, ["asimd", "asimddp"]),
    ],
)
def test_cpuinfo_of_intel_and_arm(cpuinfo: str, model: str | None, features: list[str]) -> None:
    assert host._cpu_features(cpuinfo) == features
    assert model is None or host._cpu_model(cpuinfo) == model


def test_command_that_fails_or_hangs_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host._output_of("false") == "" == host._output_of("no-such-command-here")

    def hang(*args, **kwargs):
        raise subprocess.TimeoutExpired("x", 5)

    monkeypatch.setattr(host.subprocess, "run", hang)
    assert host._output_of("true") == ""
