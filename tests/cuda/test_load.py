"""Loading and launching, on a stand-in for the driver."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerecon.core.errors import EngineError
from edgerecon.cuda import driver as cuda_driver
from edgerecon.cuda.driver import CudaError
from edgerecon.cuda.kernels.load import Module, code_for
from edgerecon.cuda.kernels.store import Stored
from tests.support import fake_gpu

STORED = Stored("blur", b"machine code", "13.0.88", Path("blur.kernels"))


def machine(patch: pytest.MonkeyPatch, capability: str = "9.0") -> fake_gpu.FakeGpu:
    fake = fake_gpu.FakeGpu(capability=capability)
    fake.kernels["twice"] = lambda grid, block, pointers, shared: None
    patch.setattr(cuda_driver, "_library", fake.library)
    return fake


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    made = machine(monkeypatch)
    with made.gpu.current():
        yield made
    assert not made.modules, "a module was not unloaded"


def test_a_kernel_gets_its_arguments_in_order_on_the_stream(fake: fake_gpu.FakeGpu) -> None:
    seen: list[object] = []

    def twice(grid: object, block: object, pointers: ctypes.Array[ctypes.c_void_p], shared: int) -> None:
        number = ctypes.cast(pointers[1], ctypes.POINTER(ctypes.c_int))[0]
        factor = ctypes.cast(pointers[2], ctypes.POINTER(ctypes.c_float))[0]
        seen.append((grid, block, ctypes.cast(pointers[0], ctypes.POINTER(ctypes.c_uint64))[0], number, factor, shared))

    fake.kernels["twice"] = twice
    module = Module(STORED)
    stream = fake.gpu.driver.Stream()
    arguments = [ctypes.c_void_p(1 << 40), ctypes.c_int(-7), ctypes.c_float(0.5)]
    stream.recorded = []
    module.function("twice").launch((2, 3, 1), (32, 4, 1), arguments, stream.handle, "a test")
    assert not seen, "the launch was not queued on its stream"
    stream.recorded[0]()
    assert seen == [((2, 3, 1), (32, 4, 1), 1 << 40, -7, 0.5, 0)]
    assert module.function("twice").blocks_per_multiprocessor(128) == 2 and module.multiprocessors == 4
    module.close()
    module.close()  # again is harmless


def test_shared_memory_beyond_the_gpu_is_refused(fake: fake_gpu.FakeGpu) -> None:
    module = Module(STORED)
    module.function("twice", 90_000).launch((1, 1, 1), (1, 1, 1), [], 0, "nothing")
    assert fake.dynamic_shared == {"twice": 90_000}
    with pytest.raises(EngineError, match="twice takes 300000 bytes of shared memory a block, this GPU has 101376"):
        module.function("twice", 300_000)
    module.close()


def test_errors_name_the_kernel_and_the_shapes(fake: fake_gpu.FakeGpu) -> None:
    module = Module(STORED)
    with pytest.raises(EngineError, match="blur.cu has no kernel 'thrice'"):
        module.function("thrice")
    twice = module.function("twice")
    for status, says in (
        (701, "too many resources"),
        (2, "memory is full: free some"),
        (700, "start the process again"),
    ):
        fake.failing["cuLaunchKernel"] = status
        with pytest.raises(EngineError, match=f"kernel twice on 4×5 float32: .*{says}"):
            twice.launch((1, 1, 1), (1, 1, 1), [], 0, "4×5 float32")
    fake.failing = {"cuStreamSynchronize": 700}
    with pytest.raises(EngineError, match="kernel twice on 4×5 float32: cuStreamSynchronize failed: an illegal memory"):
        module.wait()
    fake.failing.clear()
    module.wait()
    module.close()


@pytest.mark.parametrize("status", [200, 209, 218, 222])
def test_a_driver_older_than_the_toolkit_is_named_as_the_cause(fake: fake_gpu.FakeGpu, status: int) -> None:
    fake.failing["cuModuleLoadData"] = status
    fake.driver_version = 12040
    with pytest.raises(EngineError, match="driver knows CUDA 12.4 and kernel blur was built with 13.0.88: update"):
        Module(STORED)


def test_other_failures_to_load_are_told_as_they_are(fake: fake_gpu.FakeGpu) -> None:
    fake.failing["cuModuleLoadData"] = 209
    with pytest.raises(EngineError, match="loading kernel blur: cuModuleLoadData failed: no kernel image"):
        Module(STORED)
    fake.failing["cuModuleLoadData"] = 2
    with pytest.raises(EngineError, match="loading kernel blur: the GPU's memory is full"):
        Module(STORED)


def test_a_gpu_without_machine_code_gets_ptx_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for capability, ptx in (("13.0", "compute_120"), ("7.5", None)):
        caplog.clear()
        with machine(monkeypatch, capability).gpu.current(), caplog.at_level(logging.WARNING):
            module = Module(STORED)
            assert module.ptx is bool(ptx)
            module.close()
        said = f"no machine code for capability {capability}: the driver compiles it from PTX of {ptx}"
        assert (said in caplog.text) is bool(ptx)
    with machine(monkeypatch, "6.1").gpu.current(), pytest.raises(EngineError, match="6.1 is below 7.5"):
        Module(STORED)


def test_code_for_each_gpu() -> None:
    expected = {
        75: "sm_75",
        86: "sm_86",
        87: "sm_87",
        88: "sm_87",
        89: "sm_89",
        90: "sm_90",
        103: "sm_100",
        110: "sm_110",
        121: "sm_120",
        130: "compute_120",
        95: "sm_90",
        72: None,
    }
    assert {number: code_for(number) for number in expected} == expected


def test_no_driver_and_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = machine(monkeypatch)
    with pytest.raises(EngineError, match="no GPU is open: cuCtxGetDevice failed: invalid device context"):
        Module(STORED)
    assert not fake.modules

    def absent() -> None:
        raise CudaError("the driver's library cannot be loaded")

    monkeypatch.setattr(cuda_driver, "_library", absent)
    with pytest.raises(EngineError, match="no GPU is open: the driver's library"):
        Module(STORED)
