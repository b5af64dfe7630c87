"""The GStreamer element ``edgerecon``: grey frames in, reconstructed frames out, in place.

    export GST_PLUGIN_PATH=$(python -c 'import edgerecon.integrations.gstreamer as g; print(*g.__path__)')
    gst-launch-1.0 videotestsrc ! videoconvert ! edgerecon strength=0.8 ! videoconvert ! autovideosink

It needs GStreamer's Python loader (Debian: gstreamer1.0-python3-plugin-loader), whose Python must find edgerecon. A
frame whose time has passed is dropped, as GStreamer does it (quality of service).
"""

from __future__ import annotations

from typing import Any

import gi

gi.require_version("GstBase", "1.0")
gi.require_version("GstVideo", "1.0")
import numpy as np  # noqa: E402
from gi.repository import GLib, GObject, Gst, GstBase, GstVideo  # noqa: E402

from edgerecon.core.errors import EdgereconError, UsageError  # noqa: E402
from edgerecon.integrations.frame_filter import FrameFilter  # noqa: E402

Gst.init(None)
_CAPS = Gst.Caps.from_string("video/x-raw,format=GRAY8,width=[1,65535],height=[1,65535]")


class Edgerecon(GstBase.BaseTransform):
    """One stream's model; it is opened when the pipeline gets ready, and closed with it."""

    __gstmetadata__ = ("edgerecon", "Filter/Effect/Video", "Deep-learning ultrasound reconstruction", "edgerecon")
    __gsttemplates__ = (
        Gst.PadTemplate.new("src", Gst.PadDirection.SRC, Gst.PadPresence.ALWAYS, _CAPS),
        Gst.PadTemplate.new("sink", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, _CAPS),
    )
    model = GObject.Property(type=str, default="compact-despeckle", nick="a shipped model's name or a path")
    backend = GObject.Property(type=str, default="auto", nick="the runtime, e.g. onnxruntime")
    protect = GObject.Property(type=str, default="auto", nick="what is not tissue passes: auto, none or x,y,w,h")

    _strength, _stride = 1.0, 0
    _filter: Any = None

    @GObject.Property(type=float, minimum=0.0, maximum=1.0, default=1.0, nick="0: the input, 1: the model's picture")
    def strength(self) -> float:
        """May be set while the pipeline plays."""
        return self._strength

    @strength.setter  # type: ignore[no-redef]
    def strength(self, strength: float) -> None:
        self._strength = strength
        if self._filter is not None:
            self._filter.strength = strength

    def do_start(self) -> bool:
        self.set_qos_enabled(True)
        try:
            self._filter = FrameFilter(self.model, self.backend, self._strength, self.protect)
            if self._filter.scale != 1:
                raise UsageError(f"{self.model} changes the size of a frame, which this element cannot")
        except EdgereconError as error:
            return self._fail(error)
        return True

    def do_stop(self) -> bool:
        if self._filter is not None:
            self._filter.close()
        self._filter = None
        return True

    def do_set_caps(self, incoming: Any, outgoing: Any) -> bool:
        info = GstVideo.VideoInfo.new_from_caps(incoming)
        self._height, self._width, self._stride = info.height, info.width, info.stride[0]
        self._filter.reset()
        return True

    def do_transform_ip(self, buffer: Any) -> Any:
        if buffer.has_flags(Gst.BufferFlags.DISCONT):
            self._filter.reset()
        with buffer.map(Gst.MapFlags.READ | Gst.MapFlags.WRITE) as memory:
            rows = np.frombuffer(memory.data, np.uint8)[: self._height * self._stride].reshape(-1, self._stride)
            frame = rows[:, : self._width]
            try:
                frame[:] = self._filter(frame)
            except EdgereconError as error:
                self._fail(error)
                return Gst.FlowReturn.ERROR
        return Gst.FlowReturn.OK

    def _fail(self, error: EdgereconError) -> bool:
        """Stop the pipeline with the reason."""
        said = GLib.Error.new_literal(Gst.StreamError.quark(), str(error), Gst.StreamError.FAILED)
        self.post_message(Gst.Message.new_error(self, said, ""))
        return False


GObject.type_register(Edgerecon)
__gstelementfactory__ = ("edgerecon", Gst.Rank.NONE, Edgerecon)
