"""The only names under which the viewer is served: it has no log-in, and frames may show a person."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
