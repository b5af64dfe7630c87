"""The unit and the script that a bundle brings: what they run, permit and make."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgerecon import __version__
from edgerecon.deploy.bundle.acceptance import read_config
from edgerecon.deploy.bundle.bundle import BundleResult, bundle, stream_options
from edgerecon.deploy.bundle.packed_model import of_recipe
from edgerecon.hardware.device import DeviceProfile
from tests.deploy.bundle.bundled import CPU, ORIN, RECIPE, WHEEL, extract, only

pytestmark = pytest.mark.usefixtures("asked")


def test_the_unit_streams_as_strongly_and_where_it_was_asked(made: BundleResult, tmp_path: Path) -> None:
    config = read_config(extract(made.path, tmp_path))
    asked = config.model_copy(update={"strength": 0.7, "protect": "1,2,30,40", "crop": "0,0,60,50"})
    assert stream_options(asked).endswith("--deadline 20 --strength 0.7 --protect 1,2,30,40 --crop 0,0,60,50")
    assert stream_options(config).endswith("--deadline 20")


@pytest.mark.parametrize("device", [CPU, replace(ORIN, backends=("tensorrt",))], ids=lambda one: one.name)
def test_the_unit_and_the_script(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: DeviceProfile
) -> None:
    only(monkeypatch, "onnxruntime", "tensorrt")
    folder = extract(bundle(of_recipe(RECIPE, models), device, tmp_path / "b.tar.gz").path, tmp_path)
    subprocess.run(["sh", "-n", folder / "install.sh"], check=True, timeout=120)
    text = (folder / "edgerecon-stream.service").read_text()
    wanted = ("Type=notify\n", "WatchdogSec=", "LimitRTPRIO=10\n")
    wanted += (
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "DynamicUser=yes",
        "ProtectHome=yes",
        "CapabilityBoundingSet=\n",
        "SystemCallFilter=@system-service",
        "${EDGERECON_SOURCE}",
    )
    assert all(line in text for line in wanted)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: the unit was only read")
    assert "RestrictRealtime" not in text  # --priority realtime is offered
    unit = tmp_path / "unit" / "edgerecon-stream.service"
    unit.parent.mkdir()
    unit.write_text(text.replace("@EDGERECON@", shutil.which("true") or "").replace("@PREFIX@", "/opt/edgerecon"))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=300)
    assert verified.returncode == 0 and "edgerecon-stream" not in verified.stderr, verified.stderr
    exposure = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(unit)]
    review = subprocess.run(exposure, capture_output=True, text=True, timeout=300)
    if "unrecognized option" in review.stderr:
        pytest.skip("this systemd-analyze does not review files")
    assert review.returncode == 0, review.stdout[-200:] + review.stderr


def test_the_script_makes_an_environment_and_installs(made: BundleResult, tmp_path: Path) -> None:
    """With a Python that only tells what it was asked for."""
    folder = extract(made.path, tmp_path)
    fake, log = tmp_path / "bin" / "python3", tmp_path / "log"
    fake.parent.mkdir()
    place = f"{platform.machine()} {sys.version_info.major} {sys.version_info.minor}"
    fake.write_text(f"""#!/bin/sh
case $1$2 in
    -c*) echo "$SAYS" ;;
    -mvenv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/edgerecon"; echo "venv" >>{log} ;;
    *) for word; do printf "<%s>" "$word"; done >>{log}; echo >>{log} ;;
esac
""")
    fake.chmod(0o755)

    def run(*arguments: str, says: str = place) -> subprocess.CompletedProcess[str]:
        log.unlink(missing_ok=True)
        return subprocess.run(
            ["/bin/sh", str(folder / "install.sh"), *arguments],
            capture_output=True,
            text=True,
            env={"PATH": f"{fake.parent}:/usr/bin:/bin", "SAYS": says},
            timeout=300,
        )

    prefix = tmp_path / "a prefix"
    assert run("--prefix", str(prefix), "a b.tar.gz").returncode == 0
    made_by = log.read_text().splitlines()
    assert made_by[0] == "venv" and "<--require-hashes><-r>" in made_by[1] and "<--no-index>" not in made_by[1]
    assert made_by[2].endswith(f"<--no-index><--no-deps><{folder}/{WHEEL}>")
    assert made_by[3] == f"<install><a b.tar.gz><--prefix><{prefix}>"
    assert run("--prefix", str(prefix), "b.tar.gz").returncode == 0
    assert log.read_text() == f"<install><b.tar.gz><--prefix><{prefix}>\n", "the environment is there already"
    shutil.copy(folder / WHEEL, folder / "wheels" / "other-1-py3-none-any.whl")
    assert run("--prefix", str(tmp_path / "offline"), "b.tar.gz").returncode == 0
    assert f"<--no-index><--find-links><{folder}/wheels>" in log.read_text()
    for arguments in ((), ("--prefix",), ("--what", "b"), ("a", "b"), ("a", "--source", "v4l2:///dev/video0")):
        done = run(*arguments)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("install.sh: ")
    other = run("--prefix", str(tmp_path / "q"), "b.tar.gz", says="aarch64 3 8")
    assert other.returncode == 1 and "this bundle is for" in other.stderr and not list((tmp_path / "q").iterdir())


REALTIME = """
import os, resource, sys
from edgerecon.stream.process.scheduling import Scheduling
for limit, most in ((resource.RLIMIT_RTPRIO, int(sys.argv[1])), (resource.RLIMIT_NICE, 20 - int(sys.argv[2]))):
    try:
        resource.setrlimit(limit, (most, most))
    except ValueError:
        sys.exit("no limit may be raised here")
os.setuid(65534)
Scheduling(-20).apply()
Scheduling("realtime").apply()
print(os.sched_getscheduler(0) == os.SCHED_FIFO)
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="limits are raised by root, on Linux")
def test_realtime_is_permitted_within_the_limits_of_the_unit(made: BundleResult, tmp_path: Path) -> None:
    """By a user without capabilities, as the service's is."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        pytest.skip("this container permits no real-time priority to anyone")
    unit = (extract(made.path, tmp_path) / "edgerecon-stream.service").read_text()
    limits = [re.search(rf"^{name}=(\S+)$", unit, re.MULTILINE) for name in ("LimitRTPRIO", "LimitNICE")]
    words = [limit[1] for limit in limits if limit]
    done = subprocess.run([sys.executable, "-c", REALTIME, *words], capture_output=True, text=True, timeout=120)
    if "no limit may be raised here" in done.stderr:
        pytest.skip("this container lets nobody raise a limit")
    assert done.stdout == "True\n", done.stderr


def test_a_service_may_open_only_the_camera_of_its_source(made: BundleResult, tmp_path: Path) -> None:
    """With a systemctl that does nothing, an id that says root, and a folder that stands for /."""
    folder, root, tools = extract(made.path, tmp_path), tmp_path / "root", tmp_path / "bin"
    tools.mkdir()
    place = f"{platform.machine()} {sys.version_info.major} {sys.version_info.minor}"
    unpacks = f'p="$4"; mkdir -p "$p/current"; cp {folder}/edgerecon-stream.service "$p/current/"'
    for name, script in (
        ("id", "echo 0"),
        ("systemctl", "true"),
        ("edgerecon", unpacks),
        (
            "python3",
            f'case $1$2 in -c*) echo "{place}" ;; -mvenv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; '
            f'cp {tools}/edgerecon "$3/bin/" ;; esac',
        ),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)

    def install(*source: str) -> subprocess.CompletedProcess[str]:
        command = ["/bin/sh", folder / "install.sh", "b.tar.gz", "--prefix", tmp_path / "p", "--service", *source]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            env={"PATH": f"{tools}:/usr/bin:/bin", "DESTDIR": str(root)},
        )

    assert (done := install("--source", "v4l2:///dev/video2?fps=30")).returncode == 0, done.stderr
    units = root / "etc" / "systemd" / "system"
    unit = (units / "edgerecon-stream.service").read_text()
    assert "PrivateDevices=yes" in unit and f"ExecStart={tmp_path}/p/edgerecon-{__version__}" in unit
    camera = (units / "edgerecon-stream.service.d" / "camera.conf").read_text().splitlines()
    assert camera == [
        "[Service]",
        "PrivateDevices=no",
        "DevicePolicy=closed",
        "DeviceAllow=/dev/video2 rw",
        "SupplementaryGroups=video",
    ]
    assert (root / "etc/edgerecon/stream.env").read_text() == "EDGERECON_SOURCE=v4l2:///dev/video2?fps=30\n"
    assert install("--source", "igtl://scanner").returncode == 0
    assert not (units / "edgerecon-stream.service.d" / "camera.conf").exists(), "it has no camera any more"
    assert (root / "etc/edgerecon/stream.env").read_text() == "EDGERECON_SOURCE=igtl://scanner\n"
    for source in ("v4l2:///dev/mem", "v4l2:///dev/video0/../mem", "v4l2:///dev/video0 rwm", "v4l2:///dev/video"):
        assert "v4l2:///dev/videoN" in install("--source", source).stderr
