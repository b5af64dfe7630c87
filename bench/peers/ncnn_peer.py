"""ncnn, of the graph that its own converter pnnx makes of the file."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import ncnn
import numpy as np
import pnnx
from peer import Run, serve


def open_model(path: str, threads: int) -> Run:
    folder = Path(tempfile.mkdtemp())
    converter = Path(pnnx.EXEC_PATH)
    (folder / "m.onnx").write_bytes(Path(path).read_bytes())
    subprocess.run(
        [converter, "m.onnx", "inputshape=[1,1,512,512]", "inputshape2=[1,1,256,256]", "fp16=0"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
    )
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = False
    net.load_param(str(folder / "m.ncnn.param"))
    net.load_model(str(folder / "m.ncnn.bin"))
    first, last = net.input_names()[0], net.output_names()[0]

    def run(frame: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input(first, ncnn.Mat(np.ascontiguousarray(frame[0])).clone())
        return np.array(extractor.extract(last)[1])

    return run


if __name__ == "__main__":
    serve("ncnn", open_model)
