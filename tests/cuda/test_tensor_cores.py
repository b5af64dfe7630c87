"""The kernels for halves and bytes multiply on tensor cores."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edgerecon.cuda.kernels.compile import FLAGS, Compiler, source_folder

KERNELS = {"compact_fused": 8, "conv_relu": 9}


@pytest.mark.parametrize("source", KERNELS)
def test_products_are_those_of_tensor_cores(compiler: Compiler, source: str, tmp_path: Path) -> None:
    ptx = tmp_path / "out.ptx"
    command = [
        str(compiler.path),
        *FLAGS,
        "--ptx",
        "-arch=compute_80",
        "-o",
        str(ptx),
        f"{source_folder() / source}.cu",
    ]
    subprocess.run(command, check=True, timeout=600)
    kernels = {part.split("(")[0]: part for part in ptx.read_text().split(".visible .entry ")[1:]}
    assert len(kernels) == KERNELS[source]
    kernels.pop("conv_relu_fp32", None)  # floats multiply on the ordinary cores
    for name, code in kernels.items():
        found = set(re.findall(r"mma\.sync\.aligned\.(m16n8k\d+)\.row\.col\.(\w+)\.", code))
        expected = {("m16n8k16", "f32")} if re.search("fp16|fp32", name) else {("m16n8k32", "s32")}
        assert found >= expected and not (re.search("fp16", name) and found - expected), name
