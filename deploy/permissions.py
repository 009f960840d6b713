"""What each service may do at the servers: the one table that their configuration is made from."""

from dataclasses import dataclass

from roomviz.runtime.bus import INBOX


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
