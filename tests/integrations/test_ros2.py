"""The ROS 2 node, with stand-ins for ROS that have the calls it makes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

FRAME = np.random.default_rng(2).integers(0, 256, (24, 33), np.uint8)


class Image:
    """sensor_msgs/Image."""

    def __init__(self, pixels: np.ndarray | None = None, encoding: str = "mono8", pad: int = 0, big: int = 0) -> None:
        if pixels is None:
            return
        rows = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")))
        rows = rows.view(np.uint8).reshape(len(pixels), -1)
        self.header = SimpleNamespace(stamp="now", frame_id="probe")
        self.height, self.width, self.encoding, self.is_bigendian = *pixels.shape[:2], encoding, big
        self.step = rows.shape[1] + pad
        self.data = np.pad(rows, ((0, 0), (0, pad))).tobytes()


class Node:
    """rclpy.node.Node of one node."""

    given: dict[str, Any] = {}

    def __init__(self, name: str) -> None:
        self.name, self.published, self.warnings = name, [], []

    def declare_parameter(self, name: str, value: Any) -> Any:
        return SimpleNamespace(value=self.given.get(name, value))

    def create_publisher(self, kind: type, topic: str, depth: int) -> Any:
        return SimpleNamespace(publish=lambda message: self.published.append((topic, message)))

    def create_subscription(self, kind: type, topic: str, callback: Any, qos: Any) -> None:
        self.hear, self.topic, self.qos = callback, topic, qos

    def add_on_set_parameters_callback(self, callback: Any) -> None:
        self.set_parameters = callback

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=self.warnings.append)

    def destroy_node(self) -> None: ...


@pytest.fixture(scope="module")
def ros2() -> Iterator[ModuleType]:
    stand_ins = {
        "rclpy": {},
        "rclpy.node": {"Node": Node},
        "rclpy.qos": {
            "QoSProfile": lambda **kwargs: SimpleNamespace(**kwargs),
            "HistoryPolicy": SimpleNamespace(KEEP_LAST=1),
            "ReliabilityPolicy": SimpleNamespace(BEST_EFFORT=2),
        },
        "sensor_msgs": {},
        "sensor_msgs.msg": {"Image": Image},
        "rcl_interfaces": {},
        "rcl_interfaces.msg": {"SetParametersResult": lambda **kwargs: SimpleNamespace(**kwargs)},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, content in stand_ins.items():
            module = ModuleType(name)
            vars(module).update(content)
            patch.setitem(sys.modules, name, module)
        patch.setattr(Node, "given", {"model": "compact-despeckle-small", "backend": "onnxruntime"})
        yield importlib.import_module("edgerecon.integrations.ros2")
        del sys.modules["edgerecon.integrations.ros2"]


@pytest.fixture(scope="module")
def node(ros2: ModuleType) -> Iterator[Any]:
    found = ros2.Reconstruction()
    yield found
    found.destroy_node()


def test_model_that_does_not_exist_ends_the_node_with_a_line(ros2: ModuleType, monkeypatch: Any) -> None:
    monkeypatch.setattr(Node, "given", {"model": "nosuch"})
    for name in ("init", "try_shutdown"):
        monkeypatch.setattr(ros2.rclpy, name, lambda: None, raising=False)
    with pytest.raises(SystemExit, match="edgerecon: no model 'nosuch' ships"):
        ros2.main()


def test_image_is_published_with_its_header(node: Any) -> None:
    node.hear(Image(FRAME))
    topic, message = node.published[-1]
    assert (node.topic, topic, node.qos.depth) == ("image", "image_reconstructed", 1)
    assert (message.header.frame_id, message.encoding, message.step) == ("probe", "mono8", 33)
    picture = np.frombuffer(message.data, np.uint8).reshape(24, 33)
    assert np.abs(picture.astype(int) - FRAME).max() > 20


def test_strength_is_the_only_parameter_that_may_change(node: Any) -> None:
    done = node.set_parameters([SimpleNamespace(name="strength", value=0.0)])
    node.hear(Image(FRAME))
    assert done.successful and node.published[-1][1].data == FRAME.tobytes()
    assert not node.set_parameters([SimpleNamespace(name="strength", value=7.0)]).successful
    assert "when the node starts" in node.set_parameters([SimpleNamespace(name="model", value="x")]).reason


RGB = np.dstack([FRAME, FRAME // 2, FRAME // 3])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Image(FRAME, pad=3), FRAME),
        (Image(FRAME.astype(np.uint16) * 257, "mono16", big=1), FRAME.astype(np.uint16) * 257),
        (Image(RGB, "rgb8"), RGB),
        (Image(RGB[:, :, ::-1], "bgr8"), RGB),
        (Image(np.dstack([RGB[:, :, ::-1], FRAME]), "bgra8"), np.dstack([RGB, FRAME])),
        (Image(FRAME.astype(np.float32) / 255, "32FC1"), FRAME.astype(np.float32) / 255),
    ],
    ids=lambda one: getattr(one, "encoding", ""),
)
def test_encodings_are_read(ros2: ModuleType, message: Image, expected: np.ndarray) -> None:
    found = ros2.pixels_of(message)
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    if expected.ndim == 2:
        assert np.array_equal(ros2.pixels_of(ros2.message_of(found, None)), expected)


def test_what_is_no_image_is_left_out_and_said_once(node: Any) -> None:
    short = Image(FRAME)
    short.data = short.data[:-1]
    before = len(node.published)
    for message in (short, short, Image(FRAME, "yuv422")):
        node.hear(message)
    assert len(node.published) == before and len(node.warnings) == 2
    assert "791 bytes" in node.warnings[0] and "encoding 'yuv422'" in node.warnings[1]
