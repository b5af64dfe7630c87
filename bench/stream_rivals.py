"""Streaming loops that do the same with three threads each: edgerecon, Holoscan, GStreamer, a plain one, roboflow's.

A first thread captures (copies) a uint8 frame when it is due, a second one processes it, a third one notes when it
could be shown. Paced, each does with a frame that comes too early what it does for a camera; unpaced, none is dropped.
Every loop imports its own framework: those are not of this repository and seldom live in one environment.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

DEBIAN = "/usr/lib/python3/dist-packages"
Seen = list[tuple[int, int]]
"""When each shown frame was captured and presented, ns of ``time.perf_counter_ns``."""


class Job:
    """What all loops are given.

    frames: uint8 (N, H, W), repeated. count: captures. period_s: between two; 0 for as fast as it goes. engine: as
    ``edgerecon.engines.open_engine`` gives it, or None: then frames are converted to float32 in [0, 1], no more.
    """

    def __init__(self, frames: np.ndarray, count: int, period_s: float, engine: Any = None) -> None:
        self.frames, self.count, self.period_s, self.engine = frames, count, period_s, engine
        self.shape = frames.shape[1:]
        self._unit = self.empty()

    def empty(self) -> np.ndarray:
        return np.empty(self.shape, np.float32)

    def captures(self) -> Iterator[np.ndarray]:
        """Each frame when it is due; the consumer stamps and copies it."""
        due = time.perf_counter()
        for n in range(self.count):
            due = max(due + self.period_s, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))
            yield self.frames[n % len(self.frames)]

    def process(self, raw: np.ndarray, out: np.ndarray) -> np.ndarray:
        """One thread calls this. The conversion is edgerecon's own."""
        unit = out if self.engine is None else self._unit
        cv2.normalize(raw, unit, cv2.norm(raw, cv2.NORM_INF) / 255, 0, cv2.NORM_INF, cv2.CV_32F)
        return out if self.engine is None else self.engine.run(unit, out=out)


def edgerecon(job: Job) -> Seen:
    """This repository's loop, one sink: policy `latest`, its default, when paced, else `every`."""
    from edgerecon.stream.loop.stream import stream
    from edgerecon.stream.sinks.null import NullSink
    from edgerecon.stream.sources.base import Capture

    seen: Seen = []

    class Cine:
        name, live = "cine", False
        length: int | None = job.count
        period_s: float | None = job.period_s or None
        spacing_mm: tuple[float, float] | None = None

        def frames(self) -> Iterator[Capture]:
            return (Capture(job.frames[n % len(job.frames)]) for n in range(job.count))

        def close(self) -> None: ...

    class Stamp(NullSink):
        def present(self, before: object, after: Any, late: bool) -> None:
            seen.append((after.captured_ns, time.perf_counter_ns()))

    paced = job.period_s > 0
    stream(Cine(), job.engine, [Stamp()], policy="latest" if paced else "every", pace=paced, deadline_ms=1000)
    return seen


class Newest(queue.Queue):
    """One place; what waits in it gives way to what comes."""

    def __init__(self) -> None:
        super().__init__(1)

    def put_newest(self, item: object) -> None:
        try:
            self.put_nowait(item)
        except queue.Full:
            try:
                self.get_nowait()
            except queue.Empty:
                pass
            self.put(item)


def opencv(job: Job) -> Seen:
    """Threads and queues of one place, as loops around cv2.VideoCapture are written by hand."""
    seen: Seen = []
    captured, processed = Newest(), Newest()
    give = Newest.put_newest if job.period_s else Newest.put

    def process() -> None:
        outs = [job.empty() for _ in range(3)]
        for n, (start_ns, raw) in enumerate(iter(captured.get, None)):
            give(processed, (start_ns, job.process(raw, outs[n % 3])))
        processed.put(None)

    def present() -> None:
        for start_ns, _ in iter(processed.get, None):
            seen.append((start_ns, time.perf_counter_ns()))

    threads = [threading.Thread(target=process), threading.Thread(target=present)]
    for thread in threads:
        thread.start()
    for frame in job.captures():
        give(captured, (time.perf_counter_ns(), frame.copy()))
    captured.put(None)
    for thread in threads:
        thread.join()
    return seen


def gstreamer(job: Job) -> Seen:
    """appsrc → queue → appsink, twice: the first sink's callback processes into the buffer that the second shows."""
    sys.path.append(DEBIAN)
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    from gi.repository import Gst, GstApp

    assert GstApp
    Gst.init(None)
    seen: Seen = []
    stamps: list[int] = []
    done = threading.Event()
    line = "appsrc name=in{0} format=time block=true max-bytes=4000000 ! "
    line += f"queue {'leaky=downstream ' if job.period_s else ''}max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! "
    line += "appsink name=out{0} emit-signals=true sync=false async=false max-buffers=2"
    pipe = Gst.parse_launch(" ".join(line.format(n) for n in (1, 2)))
    parts = {name: pipe.get_by_name(name) for name in ("in1", "out1", "in2", "out2")}

    def processed(sink: Any) -> object:
        given, made = sink.emit("pull-sample").get_buffer(), Gst.Buffer.new_allocate(None, job.empty().nbytes, None)
        with given.map(Gst.MapFlags.READ) as raw, made.map(Gst.MapFlags.WRITE) as out:
            pixels = np.frombuffer(out.data, np.float32).reshape(job.shape)
            job.process(np.frombuffer(raw.data, np.uint8).reshape(job.shape), pixels)
        made.pts = given.pts
        parts["in2"].emit("push-buffer", made)
        return Gst.FlowReturn.OK

    def presented(sink: Any) -> object:
        buffer = sink.emit("pull-sample").get_buffer()
        seen.append((stamps[buffer.pts], time.perf_counter_ns()))
        if buffer.pts == job.count - 1:
            done.set()
        return Gst.FlowReturn.OK

    parts["out1"].connect("new-sample", processed)
    parts["out2"].connect("new-sample", presented)
    pipe.set_state(Gst.State.PLAYING)
    for n, frame in enumerate(job.captures()):
        stamps.append(time.perf_counter_ns())
        buffer = Gst.Buffer.new_allocate(None, frame.nbytes, None)
        with buffer.map(Gst.MapFlags.WRITE) as room:
            np.frombuffer(room.data, np.uint8)[:] = frame.ravel()
        buffer.pts = n
        parts["in1"].emit("push-buffer", buffer)
    done.wait(5)
    pipe.set_state(Gst.State.NULL)
    return seen


def holoscan(job: Job) -> Seen:
    """Three Python operators, a worker thread for each. Paced, the newest message replaces one that waits."""
    from holoscan.core import ConditionType, IOSpec, Operator, OperatorSpec

    seen: Seen = []
    newest = IOSpec.QueuePolicy.POP if job.period_s else None

    def emitter(spec: OperatorSpec) -> None:
        port = spec.output("out")
        if job.period_s:
            port.condition(ConditionType.NONE)  # else capture would wait for room

    class Source(Operator):
        n = 0

        def setup(self, spec: OperatorSpec) -> None:
            emitter(spec)

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            start_ns = time.perf_counter_ns()
            self.n += 1
            op_output.emit((start_ns, job.frames[self.n % len(job.frames)].copy()), "out")

    class Process(Operator):
        n = 0

        def setup(self, spec: OperatorSpec) -> None:
            self.buffers = [job.empty() for _ in range(3)]
            spec.input("in", policy=newest)
            emitter(spec)

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            start_ns, raw = op_input.receive("in")
            self.n += 1
            op_output.emit((start_ns, job.process(raw, self.buffers[self.n % 3])), "out")

    class Present(Operator):
        def setup(self, spec: OperatorSpec) -> None:
            spec.input("in", policy=newest)

        def compute(self, op_input, op_output, context) -> None:  # type: ignore[no-untyped-def]
            seen.append((op_input.receive("in")[0], time.perf_counter_ns()))

    _run_holoscan(job, Source, Process, Present)
    return seen


def _run_holoscan(job: Job, source: Any, process: Any, present: Any) -> None:
    """The three operators one after the other, on three threads."""
    from holoscan.conditions import CountCondition, PeriodicCondition
    from holoscan.core import Application
    from holoscan.schedulers import EventBasedScheduler

    class Loop(Application):
        def compose(self) -> None:
            due = {"recess_period": int(job.period_s * 1e9), "policy": "NoCatchUpMissedTicks"}
            pace = [PeriodicCondition(self, **due)] if job.period_s else []
            first = source(self, CountCondition(self, job.count), *pace, name="source")
            middle, last = process(self, name="process"), present(self, name="present")
            self.add_flow(first, middle)
            self.add_flow(middle, last)

    app = Loop()
    app.scheduler(EventBasedScheduler(app, worker_thread_number=3, name="threads"))
    app.run()


def inference_pipeline(job: Job) -> Seen:
    """roboflow's InferencePipeline with custom logic, its defaults for a camera when paced, else those for a file."""
    os.environ.update(TELEMETRY_OPT_OUT="True", METRICS_ENABLED="False", CORE_MODELS_ENABLED="False")
    from inference import InferencePipeline
    from inference.core.interfaces.camera.entities import SourceProperties, VideoFrameProducer

    seen: Seen = []
    stamps: list[int] = []
    outs = [job.empty() for _ in range(3)]

    class Cine(VideoFrameProducer):
        def __init__(self) -> None:
            self._captures, self._frame = job.captures(), job.frames[0]

        def isOpened(self) -> bool:
            return len(stamps) < job.count

        def grab(self) -> bool:
            self._frame = next(self._captures)
            stamps.append(time.perf_counter_ns())
            return True

        def retrieve(self) -> tuple[bool, np.ndarray]:
            return True, self._frame.copy()

        def discover_source_properties(self) -> SourceProperties:
            height, width = job.shape
            fps = 1 / job.period_s if job.period_s else 30.0
            return SourceProperties(width, height, job.count, not job.period_s, fps, is_reconnectable=False)

        def release(self) -> None: ...

    def process(frames: list) -> list:
        return [job.process(one.image, outs[one.frame_id % 3]) for one in frames]

    def present(output: object, frame: Any) -> None:
        seen.append((stamps[frame.frame_id - 1], time.perf_counter_ns()))

    pipeline = InferencePipeline.init_with_custom_logic(Cine, on_video_frame=process, on_prediction=present)
    pipeline.start(use_main_thread=False)
    pipeline.join()
    return seen


LOOPS: dict[str, Callable[[Job], Seen]] = {
    "edgerecon": edgerecon,
    "holoscan": holoscan,
    "gstreamer": gstreamer,
    "opencv": opencv,
    "inference-pipeline": inference_pipeline,
}
