"""Denoise one frame: read a picture, run a shipped model on it, write the result beside it.

python examples/denoise_one_frame.py [PICTURE] [OUT.png]
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
from pydicom.examples import get_path
from pydicom.pixels import pixel_array

import edgerecon as er


def main(picture: str | None = None, out: str = "denoised.png") -> None:
    if picture is None:  # a real echocardiography frame that ships inside pydicom
        grey = cv2.cvtColor(pixel_array(get_path("ybr_color"), index=0), cv2.COLOR_RGB2GRAY)
    else:
        grey = cv2.imread(picture, cv2.IMREAD_GRAYSCALE)
    before = grey.astype(np.float32) / 255  # float32 (H, W) in [0, 1]

    engine = er.open_engine("compact-despeckle")  # the fastest runtime that is installed
    after = engine.run(before)
    engine.close()

    cv2.imwrite(out, np.hstack([grey, np.rint(after * 255).astype(np.uint8)]))
    print(f"{out}: before | after, {engine.spec.precision} on {engine.spec.backend}")


if __name__ == "__main__":
    main(*sys.argv[1:])
