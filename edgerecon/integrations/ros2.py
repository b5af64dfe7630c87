"""The ROS 2 node ``edgerecon``: sensor_msgs/Image in, the reconstructed sensor_msgs/Image out.

    python -m edgerecon.integrations.ros2 --ros-args -r image:=/us/image -p model:=compact-despeckle -p strength:=0.8

It subscribes to ``image`` and publishes ``image_reconstructed`` with the stamp and the frame_id that came. Queues hold
one image: the newest wins. Parameters: model, backend, strength (may be set while it runs) and protect, as in
``edgerecon stream``. An image that cannot be processed is not published, and the node says why, once for each reason.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import rclpy
    from rcl_interfaces.msg import SetParametersResult
    from rclpy.node import Node
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"edgerecon: ROS 2 is not in reach ({error}):  source /opt/ros/DISTRIBUTION/setup.bash  first")

from edgerecon.core.errors import EdgereconError, first_line
from edgerecon.core.frame import RawImage
from edgerecon.integrations.frame_filter import FrameFilter

_ENCODINGS = {
    "mono8": (np.uint8, 1),
    "8UC1": (np.uint8, 1),
    "mono16": (np.uint16, 1),
    "16UC1": (np.uint16, 1),
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "bgra8": (np.uint8, 4),
    "32FC1": (np.float32, 1),
}
"""Type and channels of what sensor_msgs/image_encodings.hpp calls so; floats are in [0, 1]."""
_PUBLISHED = {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}


def pixels_of(message: Any) -> RawImage:
    """The pixels of a sensor_msgs/Image, (H, W) or RGB (H, W, 3 or 4); rows may be padded, bytes in either order.

    Raises:
        ValueError: an encoding that is no B-mode image, or fewer bytes than the image needs.
    """
    if message.encoding not in _ENCODINGS:
        raise ValueError(f"encoding '{message.encoding}' is not one of {', '.join(_ENCODINGS)}")
    kind, channels = _ENCODINGS[message.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    height, width, step = message.height, message.width, message.step
    needed = width * channels * dtype.itemsize
    data = np.frombuffer(message.data, np.uint8)
    if step < needed or data.size < height * step:
        raise ValueError(f"{data.size} bytes in rows of {step} are no {height}×{width} {message.encoding}")
    rows = np.ascontiguousarray(data[: height * step].reshape(height, step)[:, :needed])
    image = rows.view(dtype).reshape(height, width, channels).astype(kind, copy=False)
    if message.encoding.startswith("bgr"):
        image = image[:, :, [2, 1, 0, *range(3, channels)]]
    return image[:, :, 0] if channels == 1 else image


def message_of(pixels: NDArray[Any], header: Any) -> Any:
    """A sensor_msgs/Image of grey pixels, little endian, with this header."""
    message = Image()
    message.header = header
    message.height, message.width = pixels.shape
    message.encoding = _PUBLISHED[pixels.dtype.name]
    message.is_bigendian, message.step = 0, pixels.shape[1] * pixels.itemsize
    message.data = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    return message


class Reconstruction(Node):
    """One model between two topics.

    Raises:
        EdgereconError: the model cannot be opened, or a parameter makes no sense.
    """

    def __init__(self) -> None:
        super().__init__("edgerecon")
        defaults = {"model": "compact-despeckle", "backend": "auto", "strength": 1.0, "protect": "auto"}
        self._filter = FrameFilter(
            **{name: self.declare_parameter(name, value).value for name, value in defaults.items()}
        )
        self._said: set[str] = set()
        newest = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._publisher = self.create_publisher(Image, "image_reconstructed", 1)
        self.create_subscription(Image, "image", self.reconstruct, newest)
        self.add_on_set_parameters_callback(self._set)

    def reconstruct(self, message: Any) -> None:
        """Publish the reconstruction of one image."""
        try:
            pixels = self._filter(pixels_of(message))
        except (ValueError, EdgereconError) as error:
            if (why := first_line(error)) not in self._said:
                self._said.add(why)
                self.get_logger().warning(f"an image is left out: {why}")
            return
        self._publisher.publish(message_of(pixels, message.header))

    def destroy_node(self) -> None:
        self._filter.close()
        super().destroy_node()

    def _set(self, parameters: Sequence[Any]) -> Any:
        """Only the strength changes on the way."""
        for one in parameters:
            if one.name != "strength":
                return SetParametersResult(successful=False, reason=f"{one.name} is set when the node starts")
            try:
                self._filter.strength = float(one.value)
            except EdgereconError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def main() -> None:
    """Spin until Ctrl-C. A parameter that makes no sense ends it with one line."""
    rclpy.init()
    node = None
    try:
        node = Reconstruction()
        rclpy.spin(node)
    except EdgereconError as error:
        sys.exit(f"edgerecon: {error}")
    except KeyboardInterrupt:
        pass
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
