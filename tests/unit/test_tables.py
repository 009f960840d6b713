import io

from rich.console import Console

from roomviz.tables import named


def test_a_name_stays_whole_in_a_narrow_terminal():
    name = "rooms/01J9ZK3V7M4Q8X2N6B5C1D0EFG"
    table = named("room", "name", "state", "made")
    table.add_row(name, "the flat's living room with the long window " * 3, "ACTIVE", "2026-11-23T15:00:00Z")
    told = io.StringIO()

    Console(file=told, width=60).print(table)

    assert name in told.getvalue()
    assert max(map(len, told.getvalue().splitlines())) <= 60
