"""Device profiles: complete, sourced, plausible; and faults in a file named by file and key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.hardware import device
from edgerecon.hardware import peak as host_peak
from edgerecon.hardware.device import DeviceProfile, device_names, device_table, load_device

NAMES = [name for name in device_names() if name != "host"]
WANTED = {
    "jetson-nano",
    "jetson-xavier-nx",
    "jetson-orin-nano",
    "jetson-orin-nano-super",
    "jetson-orin-nx",
    "jetson-agx-orin",
    "jetson-agx-thor",
    "rtx-3060-laptop",
    "rtx-4060-laptop",
    "rtx-4090",
    "rtx-5090",
    "h200",
    "x86-avx2",
    "x86-avx512",
    "x86-amx",
    "raspberry-pi-5",
    "pynq-z2",
    "zcu104",
    "kria-kv260",
    "ultra96",
    "ecp5-85",
}
MINIMAL = 'name = "board"\ntitle = "A board"\nkind = "cpu"\narchitecture = "x"\n'


@pytest.fixture(autouse=True)
def fresh_profiles():
    device._read.cache_clear()
    device._host.cache_clear()
    yield
    device._read.cache_clear()
    device._host.cache_clear()


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of devices with one file that a test fills."""
    monkeypatch.setattr(device, "resource_dir", lambda room: tmp_path)
    file = tmp_path / "board.toml"
    file.write_text(MINIMAL)
    return file


def test_every_wanted_device_is_there() -> None:
    assert set(NAMES) >= WANTED
    assert device_names()[0] == "host"


@pytest.mark.parametrize("name", NAMES)
def test_profile_loads_and_every_number_names_its_document(name: str) -> None:
    profile = load_device(name)
    facts = dict(profile.facts())
    assert facts, "a profile without one fact is no profile"
    for key in facts:
        assert len(profile.source(key)) >= 6, f"{key} has no source"
    assert json.loads(json.dumps(profile.to_json()))["name"] == name


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_plausible(name: str) -> None:
    profile = load_device(name)
    peak = profile.peak
    assert all(10 <= rate <= 5e6 for rate in peak.values()), "10⁹ operations a second"
    order = [peak[p] for p in ("fp32", "fp16", "int8") if p in peak]
    assert order == sorted(order), "a lower precision is never slower on paper"
    if profile.kind == "gpu" and profile.cores and profile.clock_mhz:
        assert peak["fp32"] == pytest.approx(profile.cores * 2 * profile.clock_mhz / 1e3, rel=0.01)
    if profile.kind == "gpu":
        assert profile.compute_capability and float(profile.compute_capability) >= 5
    else:
        assert profile.compute_capability is None
    assert (profile.fpga is not None) == (profile.kind == "fpga")
    assert set(profile.backends) <= {"tensorrt", "openvino", "onnxruntime", "torch", "litert", "native"}
    assert 0 < (profile.bandwidth_gbs or 1) < 10_000 and 0 < (profile.memory_gb or 1) < 1000


def test_backend_the_system_cannot_run_is_not_offered() -> None:
    """The tensorrt backend needs TensorRT 10."""
    with_versions = [load_device(name) for name in NAMES if "tensorrt" in load_device(name).versions]
    assert len(with_versions) >= 5
    for profile in with_versions:
        assert ("tensorrt" in profile.backends) == (int(profile.versions["tensorrt"].split(".")[0]) >= 10)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no device 'jetson': choose one of host, .*h200, .*x86-avx2"):
        load_device("jetson")
    with pytest.raises(UsageError):
        load_device("../devices/h200")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "speed = 3\n", r"board\.toml: speed: there is no such key: remove it\. Known: name, title, kind"),
        (MINIMAL.replace('"cpu"', '"tpu"'), r"board\.toml: kind: "),
        (MINIMAL.replace('title = "A board"\n', ""), r"board\.toml: title: "),
        (MINIMAL + "memory_gb = 8\n", r"board\.toml: memory_gb: name the document"),
        (MINIMAL + "memory_gb = -8\n[sources]\nmemory_gb = 'paper'\n", r"board\.toml: memory_gb: give a positive"),
        (MINIMAL + "cores = 'four'\n", r"board\.toml: cores: "),
        (MINIMAL + "cores = '4'\n[sources]\ncores = 'paper'\n", r"board\.toml: cores: it should be a whole number"),
        (MINIMAL + "[peak]\nint8 = true\n[sources]\npeak = 'a'\n", r"board\.toml: peak\.int8: it should be a number"),
        (MINIMAL + "[peak]\nfp12 = 5\n", r"board\.toml: peak\.fp12"),
        (MINIMAL + "[peak]\nint8 = 5\n[sources]\n'peak.fp32' = 'paper'\n", r"board\.toml: peak\.int8: name the doc"),
        (MINIMAL + "[peak]\nint8 = inf\n[sources]\npeak = 'paper'\n", r"board\.toml: peak\.int8: give a positive"),
        (MINIMAL + "[peak]\nint8 = nan\n[sources]\npeak = 'paper'\n", r"board\.toml: peak\.int8: give a positive"),
        (MINIMAL + "[sources]\ncores = 'paper'\n", r"board\.toml: sources\.cores: there is no such number"),
        (MINIMAL + "power_modes = [{ name = 'MAXN', watts = 10 }]\n", r"board\.toml: power_modes\.MAXN: name the"),
        (
            MINIMAL + "power_modes = [{ name = 'MAXN', amps = 10 }]\n",
            r"board\.toml: power_modes\.0\.amps: there is no such key: remove it\. Known: name, watts$",
        ),
        (MINIMAL + "[fpga]\nlut = 3\n", r"board\.toml: fpga\.lut: name the document"),
        (
            MINIMAL + "cores = 99999999999999999999\n[sources]\ncores = 'paper'\n",
            r"board\.toml: cores: give a positive",
        ),
        (MINIMAL + "bandwidth_gbs = 1e300\n[sources]\nbandwidth_gbs = 'paper'\n", r"at most 1e\+15, not 1e\+300"),
        (
            MINIMAL + "compute_capability = 'abc'\n[sources]\ncompute_capability = 'paper'\n",
            r"board\.toml: compute_capability: it is written like 8\.7, not 'abc'",
        ),
        (
            MINIMAL + "versions = { python = 'new' }\n[sources]\nversions = 'paper'\n",
            r"board\.toml: versions\.python: it is written like 3\.10, not 'new'",
        ),
        (MINIMAL.replace('"board"', '"bread"'), r"board\.toml: name: it is 'bread'"),
        ("name = ", r"board\.toml is not valid TOML"),
    ],
)
def test_fault_in_a_file_names_file_and_key(board: Path, text: str, message: str) -> None:
    board.write_text(text)
    with pytest.raises(EdgereconError, match=message) as caught:
        load_device("board")
    assert "\n" not in str(caught.value)


def test_unreadable_file_is_one_line(board: Path) -> None:
    board.write_bytes(b"\xff\xfe")
    with pytest.raises(EdgereconError, match=r"cannot read .*board\.toml"):
        load_device("board")


def test_source_of_a_table_covers_its_keys_nearest_first(board: Path) -> None:
    board.write_text(MINIMAL + "[peak]\nfp32 = 1\nint8 = 2\n[sources]\npeak = 'a'\n'peak.int8' = 'b'\n")
    profile = load_device("board")
    assert (profile.source("peak.fp32"), profile.source("peak.int8"), profile.source("cores")) == ("a", "b", "")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_only_positive_numbers_that_a_device_can_have(value: float) -> None:
    def make() -> DeviceProfile:
        return DeviceProfile("a", "A", "cpu", "x", bandwidth_gbs=value, sources={"bandwidth_gbs": "paper"})

    if 0 < value <= 1e15:
        assert make().bandwidth_gbs == value
    else:
        with pytest.raises(ValueError, match="bandwidth_gbs"):
            make()


def test_table_of_all_and_of_one() -> None:
    rows = device_table()
    assert json.loads(json.dumps(rows)) == rows
    assert [row["name"] for row in rows] == NAMES
    orin = next(row for row in rows if row["name"] == "jetson-orin-nano-super")
    assert orin["power_w"] == 25 and orin["backends"][0] == "tensorrt" and orin["peak"]["int8"] == 33500
    facts = {row["key"]: row for row in device_table("rtx-4090")}
    assert facts["peak.int8"]["value"] == 660600 and "hmc-tech" in facts["peak.int8"]["source"]
    assert facts["compute_capability"]["value"] == "8.9"


def test_host_is_measured_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = host_peak.HostPeak({"fp32": 80.0, "int8": 110.0}, 11.0, 2)
    monkeypatch.setattr(host_peak, "measure_host", lambda: figures)
    profile = load_device("host")
    assert (profile.peak, profile.bandwidth_gbs) == (figures.peak, 11.0)
    assert "measured here" in profile.source("peak.int8") and profile.cores and profile.cores >= 1
    assert {row["key"] for row in device_table("host")} >= {"peak.fp32", "bandwidth_gbs", "cores"}


def test_importing_profiles_loads_no_pydantic_and_no_runtime() -> None:
    code = (
        "import sys, edgerecon.hardware.device; print({'pydantic', 'onnxruntime', 'torch', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "set()"


def test_no_machine_path_or_tool_in_the_files() -> None:
    for path in resource_dir("devices").rglob("*"):
        if path.is_file():
            assert "/work/" not in path.read_text(encoding="utf-8")
