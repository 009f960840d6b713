"""`roomviz rooms` and `roomviz pictures`: what was made, and what becomes of it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from roomviz.cli import Json, gateway, out, write
from roomviz.tables import named

rooms: typer.Typer = typer.Typer(no_args_is_help=True, help="List rooms, delete them, bring them back.")
pictures: typer.Typer = typer.Typer(
    no_args_is_help=True, help="List visualizations, save, mark, share and delete them."
)

Filter = Annotated[str, typer.Option(help='Such as: state = READY AND create_time > "2026-01-01"')]
Order = Annotated[str, typer.Option(help="create_time, update_time or display_name; with ` desc` the other way round.")]
Deleted = Annotated[bool, typer.Option("--deleted", help="Also those that were deleted.")]
Limit = Annotated[int, typer.Option(min=1, help="At most this many.")]
Room = Annotated[str, typer.Argument(help="rooms/ID, or the id alone.")]
Picture = Annotated[str, typer.Argument(help="visualizations/ID, or the id alone.")]


def _name(collection: str, given: str) -> str:
    return given if given.startswith(f"{collection}/") else f"{collection}/{given}"


def _record(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


def _tell(message: Message, as_json: bool, line: str) -> None:
    if as_json:
        print(json.dumps(_record(message)))
    else:
        out.print(line, highlight=False, soft_wrap=True)


def _listed(found: Iterable[Message], limit: int, as_json: bool, columns: dict[str, str]) -> None:
    records = [_record(m) for m, _ in zip(found, range(limit), strict=False)]
    if as_json:
        print(json.dumps(records))
        return
    table = named(*columns)
    for r in records:
        table.add_row(*(str(r.get(field, "")) for field in columns.values()))
    out.print(table)


@rooms.command("list")
def list_rooms(
    filter: Filter = "", order_by: Order = "", deleted: Deleted = False, limit: Limit = 50, as_json: Json = False
) -> None:
    """List rooms, newest first."""
    columns = {"room": "name", "name": "display_name", "state": "state", "made": "create_time", "gone": "delete_time"}
    with gateway() as client:
        _listed(client.rooms(filter, order_by, deleted), limit, as_json, columns)


@rooms.command("delete")
def delete_room(room: Room, as_json: Json = False) -> None:
    """Delete a room and its visualizations; they can be brought back for a week."""
    with gateway() as client:
        gone = client.delete_room(_name("rooms", room))
    _tell(gone, as_json, f"{gone.name} is deleted; it can be brought back until {gone.purge_time.ToJsonString()}")


@rooms.command("undelete")
def undelete_room(room: Room, as_json: Json = False) -> None:
    """Bring back a deleted room, with the visualizations that went with it."""
    with gateway() as client:
        back = client.undelete_room(_name("rooms", room))
    _tell(back, as_json, f"{back.name} is back")


@pictures.command("list")
def list_pictures(
    filter: Filter = "", order_by: Order = "", deleted: Deleted = False, limit: Limit = 50, as_json: Json = False
) -> None:
    """List visualizations, newest first."""
    columns = {
        "picture": "name",
        "name": "display_name",
        "room": "room",
        "favourite": "favorite",
        "made": "create_time",
    }
    with gateway() as client:
        _listed(client.visualizations(filter, order_by, deleted), limit, as_json, columns)


@pictures.command("save")
def save_picture(
    picture: Picture,
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    as_json: Json = False,
) -> None:
    """Keep a visualization under a name."""
    with gateway() as client:
        saved = client.save(_name("visualizations", picture), name)
    _tell(saved, as_json, f"{saved.name} is saved as {saved.display_name or '(no name)'}")


@pictures.command("favorite")
def mark_picture(
    picture: Picture,
    off: Annotated[bool, typer.Option("--off", help="Take the mark away.")] = False,
    as_json: Json = False,
) -> None:
    """Mark a visualization as a favourite."""
    with gateway() as client:
        marked = client.mark(_name("visualizations", picture), not off)
    _tell(marked, as_json, f"{marked.name} is {'a' if marked.favorite else 'no'} favourite")


@pictures.command("share")
def share_picture(
    picture: Picture,
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the share lasts.")] = 30,
    revoke: Annotated[str, typer.Option(help="End this share instead, by its name or id.")] = "",
    as_json: Json = False,
) -> None:
    """Make a token with which anybody sees the picture, or end one."""
    name = _name("visualizations", picture)
    with gateway() as client:
        share = client.revoke_share(_name(f"{name}/shares", revoke)) if revoke else client.share(name, days)
    _tell(share, as_json, f"{share.name} is over" if revoke else share.token)


@pictures.command("download")
def download_picture(
    picture: Picture, to: Annotated[Path, typer.Option("--out", help="Where the file goes.")], as_json: Json = False
) -> None:
    """Write the file of a visualization."""
    with gateway() as client:
        name = _name("visualizations", picture)
        made, data = client.visualization(name), client.picture(name)
    write(to, data)
    _tell(made, as_json, f"{to}")


@pictures.command("delete")
def delete_picture(picture: Picture, as_json: Json = False) -> None:
    """Delete a visualization; it can be brought back for a week."""
    with gateway() as client:
        gone = client.delete_visualization(_name("visualizations", picture))
    _tell(gone, as_json, f"{gone.name} is deleted; it can be brought back until {gone.purge_time.ToJsonString()}")


@pictures.command("undelete")
def undelete_picture(picture: Picture, as_json: Json = False) -> None:
    """Bring back a deleted visualization."""
    with gateway() as client:
        back = client.undelete_visualization(_name("visualizations", picture))
    _tell(back, as_json, f"{back.name} is back")
