"""What each service may do at the servers: the one table that their configuration is made from.

python -m deploy.permissions SERVICE    prints the policy of its identity, for stores that know S3's policies
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roomviz.runtime.bus import INBOX
from roomviz.runtime.objects import PROBE

BUCKET = "roomviz"
ADMINISTRATOR = "roomviz"  # at each server


@dataclass(frozen=True)
class Permissions:
    """`reads`, `writes` and `lists`: key prefixes in the bucket. Whoever may write may also delete.

    `publishes` and `hears`: subjects of NATS, where the service uses it. `consumers`: what it reads of streams, as
    (stream, durable, subject); JetStream holds a consumer to the subject that it was allowed to be made with. `erases`:
    streams whose messages it may look through and remove.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    consumers: tuple[tuple[str, str, str], ...] = ()
    erases: tuple[str, ...] = ()


SERVICES = {
    "catalog": Permissions(
        reads=("patterns/",),
        writes=("textures/", "cutouts/"),
    ),
    "segmentation": Permissions(
        reads=("rooms/", "masks/"),
        writes=("masks/",),
        lists=("masks/",),
        publishes=("events.room.analyzed", "events.job.failed", "dead.segmentation.*", "progress.*"),
        hears=("rooms.purged",),
        consumers=(("JOBS", "segmentation-analyze", "jobs.segmentation.analyze"),),
    ),
    "compositor": Permissions(
        reads=("rooms/", "masks/", "textures/", "cutouts/", "batches/", "recipes/", "halved/", "generated/", "plates/"),
        writes=("renders/", "recipes/", "halved/", "generated/", "plates/"),
        lists=("renders/", "recipes/", "generated/", "plates/"),
        publishes=(
            "events.visualization.exported",
            "events.batch.accepted",
            "events.batch.ended",
            "events.job.failed",
            "dead.compositor.*",
            "progress.*",
        ),
        hears=("rooms.purged",),
        consumers=(
            ("JOBS", "compositor-export", "jobs.compositor.export"),
            ("JOBS", "compositor-batch", "jobs.compositor.batch"),
            ("EVENTS", "compositor", "events.operation.cancelled"),
        ),
    ),
    "gateway": Permissions(
        # What is not its own it reads to show it over HTTP, and when somebody asks for all that is kept of them.
        reads=(
            "rooms/",
            "masks/",
            "renders/",
            "batches/",
            "exports/",
            "uploads/",
            "recipes/",
            "generated/",
            "plates/",
            "textures/",
            "cutouts/",
        ),
        writes=("rooms/", "patterns/", "batches/", "exports/", "uploads/"),
        lists=("rooms/", "batches/", "exports/", "uploads/"),
        publishes=(
            "jobs.*.*",
            "events.operation.cancelled",
            "events.personal.*",
            "events.job.failed",
            "dead.gateway.*",
            "progress.*",
            "rooms.purged",
        ),
        hears=("progress.*",),
        consumers=(
            ("EVENTS", "gateway", "events.*.*"),
            ("JOBS", "gateway-erase", "jobs.gateway.erase"),
            ("JOBS", "gateway-gather", "jobs.gateway.gather"),
        ),
        erases=("JOBS", "EVENTS", "DEAD"),
    ),
}


def nats_permissions(service: str) -> dict[str, dict[str, list[str]]]:
    """The permissions of a service's user, as NATS' configuration has them."""
    may = SERVICES[service]
    publish = [*may.publishes, "$JS.API.INFO"]
    for stream, durable, subject in may.consumers:
        publish += [
            f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
            f"$JS.API.CONSUMER.CREATE.{stream}.{durable}.{subject}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
            f"$JS.ACK.{stream}.{durable}.>",
        ]
    publish += [f"$JS.API.STREAM.MSG.{verb}.{stream}" for stream in may.erases for verb in ("GET", "DELETE")]
    return {
        "publish": {"allow": publish},
        "subscribe": {"allow": [*may.hears, f"{INBOX}.{service}.>"]},
    }


def nats_users(passwords: Mapping[str, str]) -> list[dict[str, Any]]:
    """The users of NATS' configuration, of whom the administrator may do everything; passwords by user.

    All are in the global account, where older versions kept their streams.
    """
    return [
        {"user": name, "password": password}
        | ({"permissions": nats_permissions(name)} if name != ADMINISTRATOR else {})
        for name, password in passwords.items()
    ]


def s3_identities(secret_keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """The identities of SeaweedFS' configuration; secret keys by access key, which is the identity's name."""

    def actions(name: str) -> list[str]:
        if name == ADMINISTRATOR:
            return ["Admin", "Read", "Write", "List", "Tagging"]
        may = SERVICES[name]
        return [
            f"Read:{BUCKET}/{PROBE}*",  # without the star it allows nothing
            *(f"Read:{BUCKET}/{prefix}*" for prefix in may.reads),
            *(f"Write:{BUCKET}/{prefix}*" for prefix in may.writes),
            *(f"List:{BUCKET}/{prefix}*" for prefix in may.lists),
        ]

    return [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": key}], "actions": actions(name)}
        for name, key in secret_keys.items()
    ]


def s3_policy(service: str, bucket: str = BUCKET) -> dict[str, Any]:
    """The policy of a service's identity, as S3 has it (version 2012-10-17)."""
    may, arn = SERVICES[service], f"arn:aws:s3:::{bucket}"

    def on(prefixes: tuple[str, ...]) -> list[str]:
        return [f"{arn}/{prefix}*" for prefix in prefixes]

    allowed: list[tuple[list[str], list[str]]] = [
        (["s3:GetObject"], [f"{arn}/{PROBE}", *on(may.reads)]),
        (["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], on(may.writes)),
        # The whole bucket: who may not list it is told 403 of an object that is not there, and 404 is what we look for.
        (["s3:ListBucket"], [arn]),
    ]
    statements = [{"Effect": "Allow", "Action": actions, "Resource": where} for actions, where in allowed]
    return {"Version": "2012-10-17", "Statement": statements}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("service", choices=sorted(SERVICES))
    parser.add_argument("--bucket", default=BUCKET)
    a = parser.parse_args()
    print(json.dumps(s3_policy(a.service, a.bucket), indent=2))
