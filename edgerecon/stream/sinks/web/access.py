"""Who may look: anybody on this machine, or whoever holds the token; and over TLS where there is a certificate."""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import ssl
from dataclasses import dataclass, field
from functools import cache

from edgerecon.core.errors import SinkError, UsageError
from edgerecon.stream.sinks.web.address import Address

VARIABLE = "EDGERECON_TOKEN"
"""The environment variable that sets the token. On loopback, too: other users of this machine then need it."""

SHORTEST = 16


@dataclass(frozen=True)
class Access:
    """Attributes:
    token: None: no token is asked for (loopback, and none was set).
    generated: whether the token was made here, so that somebody must be told of it.
    """

    address: Address
    token: str | None = field(default=None, repr=False)
    generated: bool = False

    @property
    def scheme(self) -> str:
        """``https`` with a certificate, else ``http``."""
        return "https" if self.address.certificate else "http"

    def url(self, port: int) -> str:
        """The address for people, without the token."""
        host = socket.gethostname() if self.address.host in ("0.0.0.0", "::") else self.address.host
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}/"

    def url_with_token(self, port: int) -> str:
        """The address with a generated token. In the fragment, which browsers send to nobody: no log, no Referer."""
        return self.url(port) + (f"#token={self.token}" if self.generated else "")

    def admits_token(self, offered: str) -> bool:
        """Whether a request that offers this token may pass; compared in constant time."""
        return self.token is None or _same(offered, self.token)

    def admits_session(self, offered: str) -> bool:
        """Whether a cookie of this session may pass; compared in constant time."""
        return self.token is None or _same(offered, self.session)

    @property
    def session(self) -> str:
        """What the page's cookie holds: made from the token, which cannot be had back from it."""
        return hmac.new((self.token or "").encode(), b"edgerecon page", "sha256").hexdigest()


def access(address: Address) -> Access:
    """The rule for an address: a token beyond loopback, from the environment or a new one of 256 bits.

    Raises:
        UsageError: the token in the environment is too short.
        SinkError: the certificate or its key cannot be used.
    """
    token = os.environ.get(VARIABLE) or None
    if token is not None and len(token) < SHORTEST:
        raise UsageError(
            f"the token in {VARIABLE} is too short: at least {SHORTEST} characters, e.g. of openssl rand -hex 32"
        )
    _check_certificate(address)
    generated = token is None and not address.is_loopback
    return Access(address, _new_token() if generated else token, generated)


@cache
def _new_token() -> str:
    """One for all that this process serves."""
    return secrets.token_urlsafe(32)


def _check_certificate(address: Address) -> None:
    if address.certificate is None or address.key is None:
        return
    try:
        # An empty password instead of OpenSSL's question on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(address.certificate, address.key, password="")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise SinkError(
            f"cannot use the certificate {address.certificate} with the key {address.key} ({why}): "
            "give PEM files that belong together, the key without a password"
        ) from error


def _same(offered: str, right: str) -> bool:
    return hmac.compare_digest(offered.encode(), right.encode())
