"""Addresses of OpenTelemetry's collectors, and who we are to them. OTLP over HTTP, in protocol buffers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgerecon.core import __version__
from edgerecon.core.errors import UsageError, needed
from edgerecon.stream.uri import split_uri

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

SCHEMES = ("otlp", "otlps")
PORT = 4318
EXTRA = "otel"
TIMEOUT_S = 2.0
"""How long a collector may take for one delivery, so that a stream ends soon when there is none."""


def is_collector(text: str) -> bool:
    """Whether a text is such an address."""
    scheme, is_address, _ = text.partition("://")
    return bool(is_address) and scheme.lower() in SCHEMES


def endpoint(address: str, signal: str) -> str:
    """otlp://HOST → http://HOST:4318/v1/SIGNAL; otlps:// → https. ``signal``: "traces" or "metrics".

    Raises:
        UsageError: no host, or something else that makes no sense.

    Examples:
        >>> endpoint("otlp://localhost", "traces")
        'http://localhost:4318/v1/traces'
    """
    parts = split_uri(address)
    if not parts.hostname:
        raise UsageError(f"'{address}' names no collector: give otlp://HOST[:PORT]")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = "https" if parts.scheme.lower() == "otlps" else "http"
    return f"{scheme}://{host}:{parts.port or PORT}{parts.path.rstrip('/')}/v1/{signal}"


def resource() -> Resource:
    """This service, with what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say of it.

    Raises:
        DependencyError: OpenTelemetry's SDK is absent.
    """
    with needed(EXTRA, "opentelemetry-exporter-otlp-proto-http"):
        from opentelemetry.sdk.resources import Resource
    return Resource.create(
        {"service.name": os.environ.get("OTEL_SERVICE_NAME", "edgerecon"), "service.version": __version__}
    )
