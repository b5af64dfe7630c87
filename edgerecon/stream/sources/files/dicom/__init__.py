"""Ultrasound DICOM: header, timing, regions, where the frames lie, how they are decoded and how they are shown.

A frame passes ``pixel_data`` (its bytes) → ``decode`` (stored values) → ``grayscale`` or ``palette`` (as displayed).
"""

from __future__ import annotations

from edgerecon.stream.sources.files.dicom.source import DicomSource

__all__ = ["DicomSource"]
