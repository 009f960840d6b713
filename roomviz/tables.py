"""Tables in the terminal."""

from rich.table import Column, Table


def named(name: str, *others: str) -> Table:
    """A table of things by name. The name stays whole in a narrow terminal: it is what the next command is given."""
    return Table(Column(name, no_wrap=True), *others)
