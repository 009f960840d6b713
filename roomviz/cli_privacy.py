"""`roomviz privacy`: what is kept of somebody, taken along, removed, and proved to be removed."""

import base64
import binascii
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from roomviz.errors import InvalidArgument
from roomviz.v1 import privacy_pb2

app = typer.Typer(no_args_is_help=True, help="Take along, delete or verify what is kept of somebody.")
out = Console()

Subject = Annotated[str, typer.Option(help="users/USER or apiKeys/KEY; yourself where nothing is given.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else there.")]


@app.command()
def export(
    out_file: Annotated[Path, typer.Option("--out", help="Where the zip goes.")],
    subject: Subject = "",
    as_json: Json = False,
) -> None:
    """Fetch all that is kept of somebody, as a zip."""
    from roomviz.cli import gateway, progress

    with gateway() as client:
        with progress("export", as_json) as tell:
            made = client.export_personal_data(subject, tell)
        out_file.parent.mkdir(parents=True, exist_ok=True)
        with out_file.open("wb") as file:
            file.writelines(client.download_export(made.export))
    if as_json:
        print(json.dumps({"file": str(out_file), "size_bytes": made.size_bytes, "sha256": made.content_digest}))
        return
    out.print(f"{made.size_bytes / 1e6:.1f} MB: {out_file}", highlight=False)


@app.command()
def delete(
    out_file: Annotated[Path, typer.Option("--out", help="Where the receipt goes.")],
    subject: Subject = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    keep_counts: Annotated[
        bool, typer.Option("--anonymize", help="Keep what is counted, under a name that leads back to nobody.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove all that is kept of somebody, for good, and write the signed receipt."""
    from roomviz.cli import gateway, progress, write

    if not yes:
        typer.confirm(f"Remove all that is kept of {subject or 'yourself'}, for good?", abort=True, err=True)
    with gateway() as client, progress("delete", as_json) as tell:
        receipt = client.anonymize(subject, tell) if keep_counts else client.delete_personal_data(subject, tell)
    write(out_file, json.dumps(_to_json(receipt), indent=1).encode())
    told = json.loads(receipt.document)
    count = {"file": str(out_file), "objects": len(told["objects"]), "rows": sum(told["rows_removed"].values())}
    if as_json:
        print(json.dumps(count))
        return
    out.print(f"{count['objects']} objects and {count['rows']} rows are gone: {out_file}", highlight=False)


@app.command()
def verify(receipt: Path, as_json: Json = False) -> None:
    """Ask whether a receipt was signed here, and is as it was. Exit code 1 where not."""
    from roomviz.cli import gateway, read

    with gateway() as client:
        found = client.verify_deletion_receipt(_from_json(read(receipt)))
    if as_json:
        print(json.dumps({"genuine": found.genuine, "reason": found.reason}))
    else:
        out.print("genuine" if found.genuine else f"not genuine: {found.reason}", highlight=False)
    if not found.genuine:
        raise typer.Exit(1)


def _to_json(r: privacy_pb2.DeletionReceipt) -> dict[str, str]:
    """The document as text, as it was signed: whoever has another tool needs no base64 to read it."""
    binary = {"signature": r.signature, "public_key": r.public_key}
    return {"document": r.document.decode(), **{k: base64.b64encode(v).decode() for k, v in binary.items()}}


def _from_json(data: bytes) -> privacy_pb2.DeletionReceipt:
    try:
        told = json.loads(data)
        return privacy_pb2.DeletionReceipt(
            document=told["document"].encode(),
            signature=base64.b64decode(told["signature"], validate=True),
            public_key=base64.b64decode(told["public_key"], validate=True),
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise InvalidArgument("RECEIPT_INVALID", "the file is no deletion receipt") from None
