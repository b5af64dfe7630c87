"""TensorRT on the GPU that is here; bench/gpu.sh runs these where there is one."""

from __future__ import annotations

import shutil
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.cuda.memory import Gpu, open_gpu
from edgerecon.engines import open_engine
from edgerecon.engines.tensorrt import build
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.file import read_model
from tests.support import hand_made

SHIPPED = [name for name in shipped_models() if read_model(model_path(name)).spec.form != "unsigned"]
LIMITS = {"fp32": 1e-5, "fp16": 4e-3}


@pytest.fixture(scope="module")
def gpu() -> Gpu:
    try:
        found = open_gpu()
        build.host_targets(found)
    except EdgereconError as error:
        pytest.skip(str(error))
    return found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", [*SHIPPED, "fp16"])
def test_the_gpu_computes_what_onnxruntime_does(gpu: Gpu, name: str, tmp_path: Path) -> None:
    path = hand_made.fp16(tmp_path / "a.onnx") if name == "fp16" else model_path(name)
    rng = np.random.default_rng(1)
    with closing(open_engine(path, "tensorrt")) as engine, closing(open_engine(path, "onnxruntime")) as reference:
        limit = LIMITS.get(engine.spec.precision, 0.05)  # int8: neighbouring steps where sums round apart
        for shape in ((1, 1), (7, 5), (240, 320), (512, 512), (240, 320)):
            for _ in range(3):
                frame = rng.random(shape, dtype=np.float32)
                assert np.abs(engine.run(frame) - reference.run(frame)).max() <= limit


def test_a_graph_is_replayed(gpu: Gpu, tmp_path: Path) -> None:
    engine: Any = open_engine(hand_made.fp32(tmp_path / "a.onnx"), "tensorrt")
    engine.run(np.full((64, 64), 0.5, np.float32))
    assert engine._graphs[0] is not None
    assert all(value >= 0 for value in engine.stage_times().values())
    engine.close()


def test_threads_and_memory(gpu: Gpu, tmp_path: Path) -> None:
    """Frames of changing size from changing threads leave no memory behind."""
    engine = open_engine(hand_made.fp32(tmp_path / "a.onnx"), "tensorrt")
    free: list[int] = []

    def work(side: int) -> None:
        engine.run(np.full((side, side), 0.5, np.float32))
        with gpu.current():
            free.append(gpu.driver.mem_get_info()[0])

    for side in [512, 1024] * 10:
        thread = threading.Thread(target=work, args=(side,))
        thread.start()
        thread.join(60)
    assert len(free) == 20 and free[-1] >= free[3] - 4 * 1024**2
    engine.close()


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU here")
def test_the_script_says_that_there_is_no_gpu() -> None:
    script = Path(__file__).resolve().parents[2] / "bench" / "gpu.sh"
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "bench/gpu.sh: there is no NVIDIA GPU with a driver on this machine, nothing was run\n"
