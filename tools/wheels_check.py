"""Check the wheels of a folder as a stranger meets them: strict metadata, then a stream in an empty environment.

    python tools/wheels_check.py dist

What the wheel needs is put into a folder first; the environment then installs from that folder and has no network.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

SECONDS = 1200


def main(folder: Path) -> None:
    wheels = sorted(folder.glob("edgerecon-*.whl"))
    archives = [str(path) for path in sorted(folder.glob("edgerecon-*"))]
    run(sys.executable, "-m", "twine", "check", "--strict", *archives)
    run(sys.executable, "-m", "check_wheel_contents", *map(str, wheels))
    with tempfile.TemporaryDirectory() as place:
        house = Path(place) / "house"
        run(sys.executable, "-m", "pip", "download", "-qq", "--only-binary=:all:", "--dest", str(house), str(wheels[0]))
        for name in ("none-any", f"manylinux2014_{platform.machine()}"):
            for wheel in folder.glob(f"*-{name}.whl"):
                stream_from(wheel, house, Path(place) / name)


def stream_from(wheel: Path, house: Path, place: Path) -> None:
    """Install one wheel into an empty environment without a network, and stream the sample with it."""
    venv.create(place, with_pip=True)
    python, report = place / "bin" / "python", place / "report.json"
    run(python, "-m", "pip", "install", "-qq", "--no-index", "--find-links", str(house), str(wheel))
    backend = "onnxruntime" if "none-any" in wheel.name else "native"
    command = ["-m", "edgerecon", "stream", "sample", "compact-despeckle", "--backend", backend, "--frames", "5"]
    command += ["--policy", "every", "--no-pace", "--json", str(report)]  # a busy machine drops none
    run(python, "-I", *command, cwd=place, env={"XDG_CACHE_HOME": str(place), "PATH": ""})
    presented = json.loads(report.read_text(encoding="utf-8"))["presented"]
    assert presented == 5, f"{wheel.name} presented {presented} of 5 frames"
    sys.stdout.write(f"{wheel.name}: installed without a network, 5 frames streamed by {backend}\n")


def run(*command: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=SECONDS, cwd=cwd, env=env)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
