"""For the site: links to files of the repository that are no pages of it become their paths.

``tests/test_links.py`` checks them.
"""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """``[text](../path)`` → ``text (`path`)``; the path alone where the text is the same."""
    return _OUTSIDE.sub(lambda link: f"`{link[2]}`" if link[1] in link[2] else f"{link[1]} (`{link[2]}`)", markdown)
