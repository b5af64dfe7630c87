"""CUDA graphs and the opening of a GPU, on stand-ins for the driver and PyCUDA."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgerecon.core.errors import DependencyError, EngineError, UsageError
from edgerecon.cuda import driver as cuda_driver
from edgerecon.cuda import memory as cuda_memory
from edgerecon.cuda.graph import CudaError, Graph
from edgerecon.cuda.memory import open_gpu
from tests.support import fake_gpu


def test_graphs_release_what_they_hold_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fake_gpu.FakeGpu()
    monkeypatch.setattr(cuda_driver, "_library", fake.library)
    with fake.gpu.current():
        stream = fake.gpu.driver.Stream()

        def fail() -> None:
            raise ValueError("of the work itself")

        with pytest.raises(ValueError, match="of the work itself"):
            Graph(stream.handle, fail)
        assert stream.recorded is None  # the stream records no longer
        fake.graphs.clear()
        done: list[int] = []
        graph = Graph(stream.handle, lambda: stream.submit("work", lambda: done.append(1)))
        assert done == []
        for _ in range(2):
            graph.launch()
        assert done == [1, 1] and len(fake.graphs) == 1
        graph.close()
    assert fake.graphs == {}
    with pytest.raises(CudaError, match="cuGraphLaunch failed: invalid device context"):
        graph.launch()


def test_devices_are_spelt_cuda() -> None:
    for device in ("cpu", "gpu", "cuda:", "cuda:-1", "0", "cuda:0 "):
        with pytest.raises(UsageError, match="^an NVIDIA GPU is device 'cuda' or 'cuda:N', not"):
            open_gpu(device)


def test_gpus_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Device:
        def __init__(self, index: int) -> None:
            self.name = lambda: f"GPU {index}"
            self.compute_capability = lambda: (8, 9)
            self.retain_primary_context = lambda: SimpleNamespace(detach=lambda: None)

        @staticmethod
        def count() -> int:
            return found

    def fail() -> None:
        raise fake_gpu.DriverError("cuInit failed: no CUDA-capable device is detected")

    found = 2
    driver = SimpleNamespace(init=lambda: None, Device=Device, Error=fake_gpu.DriverError)
    monkeypatch.setattr(cuda_memory, "_driver", lambda: driver)
    monkeypatch.setattr(cuda_memory, "_open", cuda_memory._open.__wrapped__)
    assert open_gpu("cuda:1").name == "GPU 1" and open_gpu("cuda").name == open_gpu().name == "GPU 0"
    assert open_gpu().compute_capability == "8.9"
    with pytest.raises(UsageError, match="no device 'cuda:2': the last one is cuda:1"):
        open_gpu("cuda:2")
    found = 0
    with pytest.raises(EngineError, match="no NVIDIA GPU"):
        open_gpu()
    driver.init = fail
    with pytest.raises(EngineError, match="no NVIDIA GPU .*cuInit failed: no CUDA-capable"):
        open_gpu()


def test_without_a_driver_the_message_says_so() -> None:
    try:
        open_gpu()
    except DependencyError as error:  # a driver, but no PyCUDA
        assert "edgerecon[nvidia]" in str(error)
    except EngineError as error:
        assert "no NVIDIA GPU with a driver" in str(error) and "\n" not in str(error)
    else:
        pytest.skip("there is a GPU here")
