"""edgerecon: deep-learning ultrasound reconstruction in real time on the device at hand."""

__version__ = "0.1.0"
