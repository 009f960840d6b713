"""`roomviz usage`: what the tenant may use."""

import json

from google.protobuf.json_format import MessageToDict
from rich.table import Table

from roomviz import cli


def usage(as_json: cli.Json = False) -> None:
    """Show what your tenant may use, and what it used."""
    with cli.gateway() as client:
        found = client.usage()
    if as_json:
        options = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
        print(json.dumps([MessageToDict(q, **options) for q in found]))  # type: ignore[arg-type]
        return
    table = Table("quota", "used", "limit", "comes back")
    for q in found:
        back = "when the work ends"
        if q.rate_per_second:
            back = f"{q.rate_per_second:g} a second"
        elif q.HasField("reset_time"):
            back = q.reset_time.ToDatetime().strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(q.quota, f"{q.used:g}", f"{q.limit:g}", back)
    cli.out.print(table)
