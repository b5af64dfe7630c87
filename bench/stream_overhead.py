"""What a frame loses on its way through three threads: edgerecon, Holoscan, GStreamer and a plain OpenCV loop.

All do the same: a thread takes a 512×512 uint8 frame every few milliseconds, a second one converts it to float32 in
[0, 1] (by the same code) in place of inference, a third one notes the time since the frame was captured. Each runs in a
process of its own, a few seconds at a time and turn by turn, so that what else the machine does falls on all alike.

    python bench/stream_overhead.py --holoscan-python VENV/bin/python --json bench/results/stream-overhead.json

Holoscan: pip install holoscan-cu12==4.6 nvidia-cuda-runtime-cu12 nvidia-cuda-nvrtc-cu12 nvidia-curand-cu12
nvidia-cublas-cu12 opencv-python-headless, in that VENV. GStreamer: apt install python3-gst-1.0
gstreamer1.0-plugins-base, for the Python of the same version. One that does not run is named with the reason.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np

SIDE = 512
QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9}
DEBIAN = "/usr/lib/python3/dist-packages"

frames = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE), np.uint8)


def convert(raw: np.ndarray, out: np.ndarray) -> np.ndarray:
    """What edgerecon does before the engine."""
    return cv2.normalize(raw, out, cv2.norm(raw, cv2.NORM_INF) / 255, 0, cv2.NORM_INF, cv2.CV_32F)


class Pace:
    """Sleeps until frame n is due."""

    def __init__(self, period_s: float) -> None:
        self._period_s, self._due = period_s, time.perf_counter()

    def wait(self) -> None:
        self._due = max(self._due + self._period_s, time.perf_counter())
        time.sleep(max(0.0, self._due - time.perf_counter()))


def edgerecon(count: int, period_s: float) -> list[int]:
    """This repository's loop, its defaults, one sink."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from stream_loop import Noise

    from edgerecon.stream.loop import stream
    from edgerecon.stream.sinks.null import NullSink

    took: list[int] = []

    class Stamp(NullSink):
        def present(self, before: object, after: object, late: bool) -> None:
            took.append(time.perf_counter_ns() - after.captured_ns)  # type: ignore[attr-defined]

    stream(Noise(period_s), None, [Stamp()], frames=count, deadline_ms=1000)
    return took


def opencv(count: int, period_s: float) -> list[int]:
    """Threads and queues of one place, as such loops are written by hand."""
    took: list[int] = []
    captured: queue.Queue = queue.Queue(1)
    converted: queue.Queue = queue.Queue(1)

    def process() -> None:
        out = [np.empty((SIDE, SIDE), np.float32) for _ in range(3)]
        for n, (start_ns, raw) in enumerate(iter(captured.get, None)):
            converted.put((start_ns, convert(raw, out[n % 3])))
        converted.put(None)

    def present() -> None:
        for start_ns, _ in iter(converted.get, None):
            took.append(time.perf_counter_ns() - start_ns)

    threads = [threading.Thread(target=process), threading.Thread(target=present)]
    for thread in threads:
        thread.start()
    pace = Pace(period_s)
    for n in range(count):
        pace.wait()
        captured.put((time.perf_counter_ns(), frames[n % 8].copy()))
    captured.put(None)
    for thread in threads:
        thread.join()
    return took


def gstreamer(count: int, period_s: float) -> list[int]:
    """appsrc → queue → appsink, twice: a queue brings the thread of the next stage."""
    sys.path.append(DEBIAN)
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    from gi.repository import Gst, GstApp

    assert GstApp
    Gst.init(None)
    took: list[int] = []
    stamps: list[int] = []
    done = threading.Event()
    line = "appsrc name=in{0} format=time block=true max-bytes=4000000 ! "
    line += "queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! "
    line += "appsink name=out{0} emit-signals=true sync=false async=false max-buffers=2"
    pipe = Gst.parse_launch(" ".join(line.format(n) for n in (1, 2)))
    parts = {name: pipe.get_by_name(name) for name in ("in1", "out1", "in2", "out2")}
    out = np.empty((SIDE, SIDE), np.float32)

    def processed(sink: object) -> object:
        buffer = sink.emit("pull-sample").get_buffer()  # type: ignore[attr-defined]
        ok, view = buffer.map(Gst.MapFlags.READ)
        convert(np.frombuffer(view.data, np.uint8).reshape(SIDE, SIDE), out)
        buffer.unmap(view)
        further = Gst.Buffer.new_wrapped(out.tobytes())
        further.pts = buffer.pts
        parts["in2"].emit("push-buffer", further)
        return Gst.FlowReturn.OK

    def presented(sink: object) -> object:
        buffer = sink.emit("pull-sample").get_buffer()  # type: ignore[attr-defined]
        took.append(time.perf_counter_ns() - stamps[buffer.pts])
        if len(took) == count:
            done.set()
        return Gst.FlowReturn.OK

    parts["out1"].connect("new-sample", processed)
    parts["out2"].connect("new-sample", presented)
    pipe.set_state(Gst.State.PLAYING)
    pace = Pace(period_s)
    for n in range(count):
        pace.wait()
        stamps.append(time.perf_counter_ns())
        buffer = Gst.Buffer.new_wrapped(frames[n % 8].tobytes())
        buffer.pts = n
        parts["in1"].emit("push-buffer", buffer)
    done.wait(1)
    pipe.set_state(Gst.State.NULL)
    return took


def holoscan(count: int, period_s: float) -> list[int]:
    """Three Python operators, a worker thread for each."""
    from holoscan.conditions import CountCondition, PeriodicCondition
    from holoscan.core import Application, Operator, OperatorSpec
    from holoscan.schedulers import EventBasedScheduler

    took: list[int] = []

    class Source(Operator):
        n = 0

        def setup(self, spec: OperatorSpec) -> None:
            spec.output("out")

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            start_ns = time.perf_counter_ns()
            self.n += 1
            op_output.emit((start_ns, frames[self.n % 8].copy()), "out")

    class Convert(Operator):
        n = 0

        def setup(self, spec: OperatorSpec) -> None:
            self.buffers = [np.empty((SIDE, SIDE), np.float32) for _ in range(3)]
            spec.input("in")
            spec.output("out")

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            start_ns, raw = op_input.receive("in")
            self.n += 1
            op_output.emit((start_ns, convert(raw, self.buffers[self.n % 3])), "out")

    class Present(Operator):
        def setup(self, spec: OperatorSpec) -> None:
            spec.input("in")

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            took.append(time.perf_counter_ns() - op_input.receive("in")[0])

    class Loop(Application):
        def compose(self) -> None:
            pace = PeriodicCondition(self, recess_period=int(period_s * 1e9))
            source = Source(self, CountCondition(self, count), pace, name="source")
            middle, last = Convert(self, name="convert"), Present(self, name="present")
            self.add_flow(source, middle)
            self.add_flow(middle, last)

    app = Loop()
    app.scheduler(EventBasedScheduler(app, worker_thread_number=3, name="threads"))
    app.run()
    return took


PEERS = {"edgerecon": edgerecon, "holoscan": holoscan, "gstreamer": gstreamer, "opencv": opencv}


def turn(name: str, python: str, count: int, period_s: float, realtime: bool) -> list[int] | str:
    """One turn of one of them in its own process: nanoseconds of every frame after the first fifty, or why not."""
    libraries = ":".join(glob.glob(str(Path(python).parent.parent / "lib/python3*/site-packages/nvidia/*/lib")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HOLOSCAN_LOG_LEVEL": "OFF"}
    if name == "holoscan":
        environment["LD_LIBRARY_PATH"] = libraries
    command = [python, __file__, "--peer", name, "--frames", str(count), "--period-ms", str(period_s * 1e3)]
    if realtime:
        command.append("--realtime")
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "it did not end"
    if done.returncode:
        return (done.stderr.strip() or "it failed").splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1])[50:]


def percentiles(took: list[int]) -> dict[str, float]:
    return {name: float(np.percentile(took, q)) / 1e3 for name, q in QUANTILES.items()}


def compare(turns: int, count: int, period_s: float, realtime: bool, holoscan_python: str | None) -> dict[str, object]:
    pythons = {name: sys.executable for name in PEERS} | {"holoscan": holoscan_python}
    took: dict[str, list[int]] = {name: [] for name in PEERS}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in PEERS}
    absent: dict[str, str] = {} if holoscan_python else {"holoscan": "no --holoscan-python was given"}
    loads = []
    for number in range(turns):
        for name in list(PEERS)[number % 4 :] + list(PEERS)[: number % 4]:
            if name in absent:
                continue
            result = turn(name, str(pythons[name]), count, period_s, realtime)
            if isinstance(result, str):
                absent[name] = result
                continue
            took[name] += result
            rounds[name].append(percentiles(result))
        loads.append(os.getloadavg()[0])
    rows = {
        name: {
            "frames": len(took[name]),
            "us": percentiles(took[name]),
            "us_median_of_turns": {q: float(np.median([one[q] for one in rounds[name]])) for q in QUANTILES},
        }
        for name in PEERS
        if took[name]
    }
    ours = rows["edgerecon"]["us_median_of_turns"]
    ratios = {
        name: {q: ours[q] / row["us_median_of_turns"][q] for q in QUANTILES}  # type: ignore[index]
        for name, row in rows.items()
        if name != "edgerecon"
    }
    return {
        "shape": [SIDE, SIDE], "turns": turns, "frames_a_turn": count, "period_ms": period_s * 1e3,
        "realtime": realtime, "load_during": loads, "rows": rows, "edgerecon_over": ratios, "absent": absent,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--period-ms", type=float, default=5.0)
    parser.add_argument("--realtime", action="store_true", help="All under SCHED_FIFO: for a machine that is busy.")
    parser.add_argument("--holoscan-python")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.peer:
        if arguments.realtime:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
        print("\n" + json.dumps(PEERS[arguments.peer](arguments.frames, arguments.period_ms / 1e3)))  # noqa: T201
        return
    from edgerecon.device import host_profile

    result = compare(
        arguments.turns, arguments.frames, arguments.period_ms / 1e3, arguments.realtime, arguments.holoscan_python
    )
    result["host"] = host_profile()
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "host"}, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
