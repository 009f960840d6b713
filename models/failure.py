"""What ends a command."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Failure(Exception):
    """Expected, and told to the user in one line: what is wrong, and what to do."""


@contextmanager
def told() -> Iterator[None]:
    """Expected failures as one line; a missing package as what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed: run make setup-models", file=sys.stderr)
        raise SystemExit(1) from error
    except (Failure, OSError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from error
