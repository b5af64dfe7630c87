"""The report of an export shows the figures of the picture that the recipe gates."""

from __future__ import annotations

from edgerecon.deploy.export.report import ExportReport


def test_the_report_shows_what_the_gates_of_the_picture_measured() -> None:
    figures = {"structure": 0.9876, "spill": 1.25}
    report = ExportReport("r.toml", "0" * 64, "m", host={}, picture={"m, onnxruntime fp32": figures})
    page = report.page()
    assert "Gates of the picture" in page and "0.988" in page and "1.25" in page
    assert report.to_json()["picture"] == {"m, onnxruntime fp32": figures}
    assert "Gates of the picture" not in ExportReport("r.toml", "0" * 64, "m", host={}).page()
