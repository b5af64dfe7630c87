#!/bin/sh
# Everything there is to run on an NVIDIA GPU, in under 10 minutes: the tests that need one, the kernels under
# compute-sanitizer where that is installed, each bench/gpu_*.py, and `edgerecon bench`; the figures go to
# bench/results/gpu-<suite>-<gpu>.json. Exits 1 when there is no GPU, or when anything failed.
#
#   bench/gpu.sh                    with .venv/bin/python, or python3 where there is none
#   PYTHON=python3.12 bench/gpu.sh
#
# Wants numpy, onnx, onnxruntime, pydicom, pytest and, for the engines, PyCUDA with TensorRT 10 or later, or with
# TensorRT-RTX where that knows the GPU:  pip install 'edgerecon[nvidia,dev]'; for the kernels nvcc, from the toolkit or the
# package index (kernels/README.md). What is missing is said in the results.
set -u
cd "$(dirname "$0")/.." || exit 1

if ! nvidia-smi -L >/dev/null 2>&1 && ! [ -e /dev/nvhost-gpu ]; then  # the latter is a Jetson's
    echo "bench/gpu.sh: there is no NVIDIA GPU with a driver on this machine, nothing was run" >&2
    exit 1
fi
if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-')

status=0
"$PYTHON" -m pytest -q -rs tests/engines/test_tensorrt_gpu.py tests/engines/test_cuda_gpu.py tests/engines/test_build.py \
    || status=1
"$PYTHON" -m edgerecon kernels build || status=1
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck; do
        echo "compute-sanitizer --tool $tool"
        compute-sanitizer --tool $tool --error-exitcode 1 "$PYTHON" bench/gpu_kernels.py --check || status=1
    done
else
    echo 'compute-sanitizer is not installed: memory and races are not checked'
fi
for suite in bench/gpu_*.py; do
    name=$(basename "$suite" .py)
    "$PYTHON" "$suite" --json "bench/results/gpu-${name#gpu_}-${gpu:-jetson}.json" || status=1
done
# Speed, copies apart, energy and image quality of both engines of ours in one table; CPU runtimes beside them.
"$PYTHON" -m edgerecon bench compact-despeckle compact-compound --seconds 2 --scenario realtime \
    --json "bench/results/gpu-bench-${gpu:-jetson}.json" -o "bench/results/gpu-bench-${gpu:-jetson}.html" || status=1
exit $status
