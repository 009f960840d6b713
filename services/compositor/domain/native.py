"""The library that is compiled from native/*.c."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "native" / "libcompositor.so"


@cache
def compiled(name: str) -> Callable[..., None]:
    """A function of the library; what it takes is in its source. Other threads run while it does."""
    function = getattr(ctypes.CDLL(str(LIBRARY)), name)
    function.restype = None
    return function  # type: ignore[no-any-return]
