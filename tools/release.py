"""Make a release ready: check that everything names the same version, build, test, and tag. Nothing is uploaded.

    python tools/release.py

The last line says how to publish what lies in dist/.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def faults(version: str, changelog: str, citation: str, changed: str, tags: str) -> list[str]:
    """What stands against a release of this version.

    Args:
        changelog, citation: the files' texts. changed: of git status. tags: of git tag.
    """
    found = []
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no section '## {version} (YEAR-MONTH-DAY)'")
    if re.search(r"^## Unreleased$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md still has a section 'Unreleased': move it into {version}")
    if not re.search(rf"^version: {re.escape(version)}$", citation, re.MULTILINE):
        found.append(f"CITATION.cff does not say  version: {version}")
    if changed.strip():
        found.append("files are changed: commit them first")
    if f"v{version}" in tags.split():
        found.append(f"the tag v{version} is there already: raise __version__ in edgerecon/core/__init__.py")
    return found


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from edgerecon.core import __version__ as version

    found = faults(version, read("CHANGELOG.md"), read("CITATION.cff"), git("status", "--porcelain"), git("tag"))
    if found:
        sys.stderr.write("".join(f"release: {fault}\n" for fault in found))
        return 1
    for step in ("lint", "pins", "test", "wheels"):
        if subprocess.run(["make", step], cwd=ROOT, check=False).returncode:
            sys.stderr.write(f"release: make {step} failed, and nothing was tagged\n")
            return 1
    git("tag", "--annotate", f"v{version}", "--message", f"edgerecon {version}")
    sys.stdout.write(f"tagged v{version}; publish it with  git push origin v{version}  and  twine upload dist/*\n")
    return 0


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
