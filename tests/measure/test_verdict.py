from __future__ import annotations

import json
import math

from edgerecon.measure.row import Quality, Row, Setup, Speed
from edgerecon.measure.verdict import best, verdict


def row(precision: str, p50: float, psnr: float = 28.0, backend: str = "openvino", status: str = "ok") -> Row:
    latency = {"p50": p50, "p99": p50 * 2} if p50 else {}
    return Row(Setup("m", backend, precision, 2, (512, 512)), Speed(latency), Quality(psnr), status=status)


def test_int8_that_is_slower_loses() -> None:
    rows = [row("fp32", 12.0, backend="onnxruntime"), row("bf16", 4.6), row("int8", 6.0, 27.6)]
    assert best(rows) is rows[1]
    said = verdict(rows)
    assert said.startswith("Ship bf16 on openvino") and "int8 on openvino is 1.3× slower and 0.40 dB worse" in said
    assert "fp32 on onnxruntime is 2.6× slower and 0.00 dB better" in said and "\n" not in said


def test_a_gain_within_the_noise_is_not_worth_a_precision() -> None:
    assert best([row("fp32", 10.0), row("int8", 9.8)]).setup.precision == "fp32"  # type: ignore[union-attr]
    assert best([row("fp32", 10.0), row("fp32", 9.9, backend="b")]).setup.precision == "fp32"  # type: ignore[union-attr]
    assert best([row("fp32", 10.0), row("int8", 5.0)]).setup.precision == "int8"  # type: ignore[union-attr]


def test_what_failed_is_never_shipped_and_said() -> None:
    rows = [row("fp32", 10.0), row("int8", 2.0, status="PSNR drops by 0.9 dB, allowed is 0.3")]
    assert best(rows) is rows[0]
    assert "but refused: PSNR drops by 0.9 dB" in verdict(rows)
    assert "int8 on openvino was not timed (no such runtime)" in verdict(
        [row("fp32", 10.0), row("int8", 0, status="no such runtime")]
    )
    assert best([]) is None and verdict([]) == "Nothing to ship: no engine ran."
    assert "fp32 on openvino: broken" in verdict([row("fp32", 1.0, status="broken")])


def test_a_row_is_json() -> None:
    plain = json.loads(json.dumps(row("fp32", 4.0).to_json(), allow_nan=False))
    assert plain["fps"] == 250 and plain["ssim"] is None and plain["shape"] == [512, 512]
    assert math.isnan(row("fp32", 0).quality.ssim) and row("fp32", 0).to_json()["fps"] is None
