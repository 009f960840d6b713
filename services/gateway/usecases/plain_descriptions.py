"""A room in words, from what its analysis says: no more than a list."""

from dataclasses import dataclass

from roomviz.v1 import rooms_pb2
from services.gateway.usecases.rooms import RoomCases


@dataclass(frozen=True)
class PlainDescription:
    description: str
    technical_summary: str


@dataclass(frozen=True)
class PlainDescriptions:
    rooms: RoomCases

    async def get(self, name: str) -> PlainDescription:
        """Of an analyzed room."""
        room = await self.rooms.get(name)
        analysis = (await self.rooms.analysis(room)).analysis
        quality = analysis.quality
        summary = [
            f"{room.width} x {room.height} pixels",
            f"{len(analysis.surfaces)} surfaces by {analysis.model}",
            f"confidence {quality.confidence:.2f}",
            f"field of view {quality.field_of_view_deg:.0f} degrees"
            + ("" if quality.camera_measured else " (assumed, not measured)"),
            *quality.warnings,
        ]
        return PlainDescription(_described(analysis), "; ".join(summary) + ".")


def _described(analysis: rooms_pb2.AnalyzeRoomResponse) -> str:
    """Its surfaces, the largest first."""
    names = [
        f"{rooms_pb2.SurfaceKind.Name(s.kind).removeprefix('SURFACE_KIND_').lower()} ({100 * s.area_fraction:.0f} %)"
        for s in sorted(analysis.surfaces, key=lambda s: -s.area_fraction)
    ]
    return f"A room that shows {', '.join(names)}." if names else "No surface of a room was found."
