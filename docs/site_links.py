"""For the site: links to files of the repository that are no pages of it become their paths.

``tests/test_links.py`` checks them.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

_UPWARDS = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A link out of docs/, ``[text](../path)``, → ``text (`path`)``; the path alone where the text is the same."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def shown(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2]))
        if path.startswith("docs/"):
            return link[0]
        return f"`{path}`" if link[1] in path else f"{link[1]} (`{path}`)"

    return _UPWARDS.sub(shown, markdown)
