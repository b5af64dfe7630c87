"""What every room stands on: errors, frames, files, configuration, logs, and the version."""

__version__ = "0.2.0"
