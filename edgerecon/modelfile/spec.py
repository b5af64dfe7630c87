"""What a model is, as its ONNX metadata says."""

from __future__ import annotations

from dataclasses import dataclass, field

PROBABILITY, LABELS = "probability", "labels"
"""What a map holds that is drawn over the frame: one probability a pixel, or one class (over 255)."""


@dataclass(frozen=True)
class ModelSpec:
    """What an ONNX file says of itself in its metadata.

    Attributes:
        name: shipped name or file stem, e.g. "compact-despeckle".
        task: "despeckle", "compound", "beamform", ...
        scale: output height = input height × scale.
        size_multiple: H and W that the graph accepts are multiples of it; engines pad and crop.
        recipe_hash: SHA-256 of the recipe the model was made from.
        precision: "fp32", "fp16", "bf16", "int8" or "int16", as written in the file.
        quality: figures measured when the model was exported, e.g. {"psnr_db": 29.1}.
        receptive_field: side, in input pixels, of the square that one output pixel depends on.
        macs_per_pixel: multiply-accumulates for one input pixel; 0: not known.
        form: of int8, "unsigned" (for CPU runtimes), "signed" (for TensorRT) or "po2" (for FPGAs); else "".
        fixed_output: shape of what comes out when it is no image of the frame's size, e.g. (1, 2) for the probabilities
            of two classes; scale is then of no meaning.
        overlay: PROBABILITY or LABELS of a map that is drawn over the frame; "" of all others.
        state_channels: of what a temporal model carries from frame to frame, 0 for all others.
        state_divisor: the state has H/divisor rows and W/divisor columns for H×W that the graph accepts.
        tile: rows and columns of the only frame that the graph accepts; engines lay such tiles over other frames. None:
            the graph takes frames of any size.
        halo: pixels at the border of a tile that do not count, since the network sees beyond them.
        channels: of what goes in; of "beamform", twice the parts of the aperture (``Beamformer.split``). 1: a picture.
        f_number: of the aperture whose parts they are; 0 of pictures.
    """

    name: str
    task: str
    scale: int
    size_multiple: int
    recipe_hash: str
    precision: str = "fp32"
    quality: dict[str, float] = field(default_factory=dict)
    receptive_field: int = 0
    macs_per_pixel: float = 0.0
    form: str = ""
    fixed_output: tuple[int, int] | None = None
    overlay: str = ""
    state_channels: int = 0
    state_divisor: int = 1
    tile: tuple[int, int] | None = None
    halo: int = 0
    channels: int = 1
    f_number: float = 0.0

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether a frame of that shape can go in."""
        return len(shape) == (2 if self.channels == 1 else 3) and (len(shape) == 2 or shape[0] == self.channels)

    def input_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Of a frame that goes in."""
        return (height, width) if self.channels == 1 else (self.channels, height, width)

    @property
    def makes_images(self) -> bool:
        """Whether what comes out is a picture, and no map or scores of one."""
        return self.fixed_output is None and not self.overlay

    def output_shape(self, height: int, width: int) -> tuple[int, int]:
        """Of what comes out for a frame."""
        return self.fixed_output or (height * self.scale, width * self.scale)

    def state_shape(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Of a temporal model's state for one frame of a size that the graph accepts."""
        return 1, self.state_channels, height // self.state_divisor, width // self.state_divisor
