"""Read a conda recipe as rattler-build does, and say what it makes; nothing is built or downloaded.

python tools/conda_render.py conda/recipe.yaml
"""

from __future__ import annotations

import sys

import rattler_build


def main(path: str) -> None:
    recipe = rattler_build.Stage0Recipe.from_file(path)
    for variant in recipe.render(rattler_build.VariantConfig()):
        package, needs = variant.recipe.package, variant.recipe.requirements.run
        sys.stdout.write(f"{package.name} {package.version}, which needs {', '.join(needs)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
