"""Which renderer this is: the same name on two workers means the same bytes for the same recipe."""

import hashlib
import platform
import zlib
from functools import cache

import cv2
import numpy as np
import shapely
from PIL import features

from services.compositor.domain.native import LIBRARY

# Raise it whenever pictures change.
VERSION = 11


@cache
def renderer() -> str:
    """`roomviz/{VERSION}+{digest of what else decides over bytes}`: the compiled kernel, the libraries that compute and
    that write files, and the processor's vector instructions, for which they have code of their own."""
    parts = [
        hashlib.sha256(LIBRARY.read_bytes()).hexdigest(),
        cv2.__version__,
        cv2.getCPUFeaturesLine(),
        np.__version__,
        shapely.geos_version_string,  # along what a border runs
        zlib.ZLIB_RUNTIME_VERSION,
        platform.machine(),
        *(f"{name} {features.version(name)}" for name in ("pil", "webp", "avif")),
    ]
    return f"roomviz/{VERSION}+{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:12]}"
