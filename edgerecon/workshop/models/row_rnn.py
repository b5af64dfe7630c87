"""row_rnn: a plain recurrent network over the rows of a frame, ReLU or LSTM.

    h_t = ReLU(W_x x_t + W_h h_{t−1} + b),   y_t = x_t + V [h_t↓, h_t↑] + c

A frame is cut into strips of 8 columns, each a sequence whose time is depth: x_t is row t of the strip with the rows of
the strips beside it, 24 pixels (zeros beyond the frame), so that any width will do and seams do not show. One network
reads the strip downwards and one upwards (Schuster & Paliwal, IEEE TSP 45(11), 1997), and y_t is the strip's 8 pixels.
W_h starts as the identity (Le, Jaitly & Hinton, arXiv:1504.00941, 2015), so that what was seen is kept until training
says otherwise. "lstm" puts the long short-term memory (Hochreiter & Schmidhuber, Neural Computation 9(8), 1997) in
place of the ReLU unit; its forget gates start open. Trained by back-propagation through the rows.

Width 64: 12 552 parameters and 1 536 multiply-accumulates a pixel with ReLU, 47 112 and 5 760 as LSTM. All rows of the
three strips count, so that the receptive field is as high as the frame and 24 pixels wide.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.network import Network

STRIP = 8
SEEN = 3 * STRIP
Cell = Literal["relu", "lstm"]


class RowRnn(Network):
    """N×1×H×W in [0, 1] → N×1×H×W, not clipped. Any H, W ≥ 1: other sizes are padded by edge replication and cropped.

    The last layer starts at zero, so that an untrained network is the identity.

    Args:
        width: units a direction. cell: "relu" or "lstm".
    """

    size_multiple = STRIP

    def __init__(self, width: int = 64, cell: Cell = "relu") -> None:
        super().__init__()
        if width < 1 or cell not in ("relu", "lstm"):
            raise ValueError(f"width must be at least 1 and cell relu or lstm, not {width} and {cell}")
        self.cell = cell
        self.rows: nn.RNNBase
        if cell == "relu":
            self.rows = nn.RNN(SEEN, width, nonlinearity="relu", bidirectional=True)
        else:
            self.rows = nn.LSTM(SEEN, width, bidirectional=True)
        self.last = nn.Linear(2 * width, STRIP)
        self._initialise(width)

    def _initialise(self, width: int) -> None:
        for name, parameter in self.rows.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            elif self.cell == "relu" and "weight_hh" in name:
                nn.init.eye_(parameter)
            if self.cell == "lstm" and "bias_ih" in name:
                nn.init.ones_(parameter[width : 2 * width].data)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def receptive_field(self) -> int:
        """Its width; its height is the frame's."""
        return SEEN

    def macs_per_pixel(self) -> float:
        """Each weight is used once for every 8 pixels."""
        return sum(p.numel() for name, p in self.named_parameters() if "weight" in name) / STRIP

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be multiples of 8."""
        n, _, height, width = x.shape
        strips = x.reshape(n, height, width // STRIP, STRIP).permute(1, 0, 2, 3)
        nothing = torch.zeros_like(strips[:, :, :1])
        left = torch.cat([nothing, strips[:, :, :-1]], dim=2)
        right = torch.cat([strips[:, :, 1:], nothing], dim=2)
        seen = torch.cat([left, strips, right], dim=3).reshape(height, -1, SEEN)
        found = self.last(self._read(seen)).reshape(height, n, width // STRIP, STRIP)
        return x + found.permute(1, 0, 2, 3).reshape(n, 1, height, width)

    def _read(self, rows: Tensor) -> Tensor:
        """Rows T×B×24 → states of both directions T×B×2·width."""
        if not torch.compiler.is_exporting():
            return self.rows(rows)[0]
        # The exporter writes out one copy of the cell for every row; ONNX has an operator for all of them.
        states = torch.onnx.ops.symbolic(
            "RNN" if self.cell == "relu" else "LSTM",
            (rows, *(self._both(name) for name in ("weight_ih", "weight_hh")), self._biases()),
            self._attributes(),
            dtype=rows.dtype,
            shape=(rows.shape[0], 2, rows.shape[1], self.rows.hidden_size),
            version=18,
        )
        return states.permute(0, 2, 1, 3).reshape(rows.shape[0], -1, 2 * self.rows.hidden_size)

    def _attributes(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"direction": "bidirectional", "hidden_size": self.rows.hidden_size}
        return facts | ({"activations": ["Relu", "Relu"]} if self.cell == "relu" else {})

    def _both(self, name: str) -> Tensor:
        """A parameter of both directions, its gates in ONNX's order: input, output, forget, cell."""
        parts = [getattr(self.rows, f"{name}_l0{direction}").detach() for direction in ("", "_reverse")]
        if self.cell == "lstm":
            size = self.rows.hidden_size
            parts = [torch.cat([part[gate * size : (gate + 1) * size] for gate in (0, 3, 1, 2)]) for part in parts]
        return torch.stack(parts)

    def _biases(self) -> Tensor:
        return torch.cat([self._both("bias_ih"), self._both("bias_hh")], dim=1)


class RowRnnParams(Params):
    """See ``RowRnn``."""

    width: Width = 64
    cell: Cell = "relu"


FAMILY = Family(name="row_rnn", params=RowRnnParams, build=RowRnn)
