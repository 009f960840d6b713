"""Fitted numbers as the text of a Python module."""

import numpy as np


def text(values: np.ndarray) -> str:
    """(N,) or (M, N) numbers, three digits each, ten in a line."""
    if values.ndim == 2:
        return "[" + ",\n    ".join(text(row) for row in values) + "]"
    digits = [f"{v:.3g}" for v in values]
    return "[" + ",\n     ".join(", ".join(digits[i : i + 10]) for i in range(0, len(digits), 10)) + "]"
