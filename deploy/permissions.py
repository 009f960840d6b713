"""What each service may do at the servers: the one table that their configuration is made from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Permissions:
    """`reads`, `writes` and `lists`: key prefixes in the bucket. Whoever may write may also delete."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


SERVICES = {
    "catalog": Permissions(
        reads=("patterns/",),
        writes=("textures/", "cutouts/"),
    ),
    "segmentation": Permissions(
        reads=("rooms/", "masks/"),
        writes=("masks/",),
    ),
    "compositor": Permissions(
        reads=("rooms/", "masks/", "textures/", "cutouts/", "batches/", "recipes/", "halved/", "generated/", "plates/"),
        writes=("renders/", "recipes/", "halved/", "generated/", "plates/"),
        lists=("plates/",),
    ),
    "gateway": Permissions(
        reads=("rooms/", "masks/", "renders/"),
        writes=("rooms/", "patterns/", "batches/"),
    ),
}
