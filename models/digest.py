"""SHA-256 of a file: what a model is known by."""

import hashlib
from pathlib import Path


def digest(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
