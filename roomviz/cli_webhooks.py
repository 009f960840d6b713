"""`roomviz webhooks`: endpoints, what was sent to them, replays."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict

from roomviz.cli import Json, gateway, out
from roomviz.tables import named
from roomviz.v1 import webhooks_pb2 as pb

app: typer.Typer = typer.Typer(no_args_is_help=True, help="Have a server of yours told what happens.")

Name = Annotated[str, typer.Argument(help="webhookEndpoints/…")]


def _json(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


def _state(delivery: pb.WebhookDelivery) -> str:
    return pb.WebhookDeliveryState.Name(delivery.state).removeprefix("WEBHOOK_DELIVERY_STATE_").lower()


@app.command()
def create(
    url: str,
    event_type: Annotated[
        list[str] | None, typer.Option(help="A type to send; none: all but those of every click.")
    ] = None,
    description: str = "",
    json_: Json = False,
) -> None:
    """Make an endpoint; its secret is shown here and never again."""
    with gateway() as client:
        made, secret = client.webhooks.create(url, event_type or [], description)
    print(json.dumps(_json(made) | {"secret": secret}) if json_ else f"{made.name}\n{secret}")


@app.command("list")
def list_(json_: Json = False) -> None:
    """Show the endpoints."""
    with gateway() as client:
        found = client.webhooks.list()
    if json_:
        print(json.dumps([_json(e) for e in found]))
        return
    table = named("endpoint", "url", "types", "state")
    for e in found:
        state = (
            f"disabled {e.disable_reason}".strip() if e.disabled else "failing" if e.HasField("failing_since") else ""
        )
        table.add_row(e.name, e.url, "\n".join(e.event_types), state)
    out.print(table)


@app.command()
def disable(name: Name) -> None:
    """Send it nothing more."""
    with gateway() as client:
        client.webhooks.update(name, disabled=True)


@app.command()
def enable(name: Name) -> None:
    """Send to it again; what it missed is sent by `replay --since`."""
    with gateway() as client:
        client.webhooks.update(name, disabled=False)


@app.command()
def delete(name: Name) -> None:
    """Remove it with its deliveries."""
    with gateway() as client:
        client.webhooks.delete(name)


@app.command()
def rotate(
    name: Name, overlap_hours: Annotated[float, typer.Option(help="How long the old secret signs too.")] = 24.0
) -> None:
    """Give it a new secret, which is shown."""
    with gateway() as client:
        print(client.webhooks.rotate(name, overlap_hours * 3600))


@app.command()
def test(name: Name) -> None:
    """Send it an event that tells of nothing."""
    with gateway() as client:
        print(client.webhooks.test(name).name)


@app.command()
def deliveries(name: Name, limit: int = 20, json_: Json = False) -> None:
    """Show what was sent, newest first, with its last attempt."""
    with gateway() as client:
        found = [d for d, _ in zip(client.webhooks.deliveries(name), range(limit), strict=False)]
    if json_:
        print(json.dumps([_json(d) for d in found]))
        return
    table = named("delivery", "type", "state", "tries", "last answer")
    for d in found:
        last = d.attempts[-1] if d.attempts else pb.WebhookAttempt()
        table.add_row(
            d.name.rpartition("/")[2],
            d.event_type,
            _state(d),
            str(len(d.attempts)),
            last.error or str(last.status_code or ""),
        )
    out.print(table)


@app.command()
def replay(
    name: Annotated[str, typer.Argument(help="A delivery; or an endpoint, with --since.")],
    since: Annotated[datetime | None, typer.Option(help="Send what did not arrive since (UTC).")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also what arrived.")] = False,
) -> None:
    """Send again, with the same `webhook-id`."""
    with gateway() as client:
        if since is None:
            print(client.webhooks.replay(name).name)
        else:
            print(client.webhooks.replay_since(name, since.replace(tzinfo=UTC), all_))
