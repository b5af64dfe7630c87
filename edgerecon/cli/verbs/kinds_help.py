"""Help of verbs that list kinds of things; the lists are made from the records when help is asked for."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class ListingCommand(TyperCommand):
    """Fills ``{sources}``, ``{channel}``, ``{sinks}`` and ``{methods}`` in.

    Reading the records takes too long for any other call.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:  # typer brings a click of its own
        from edgerecon.beamform.methods import methods
        from edgerecon.stream.sinks.kind import known_sinks
        from edgerecon.stream.sources.kind import known_addresses, known_recordings, source_kinds

        recordings = [kind for kind in source_kinds().values() if not kind.schemes]
        found = {
            "channel": ", ".join(kind.name for kind in recordings if "beamform" in (kind.options or ())),
            "sources": f"{known_recordings()}; or {known_addresses()}",
            "sinks": known_sinks(),
            "methods": ", ".join(methods()),
        }
        for parameter in self.params:
            text = getattr(parameter, "help", None) or ""
            if "{" in text:
                parameter.help = text.format(**found)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)
