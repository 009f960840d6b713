"""Rooms by materials on one sheet, through the running stack: what a person would see, to be looked at critically.

    python -m bench.contact_sheet [--out FILE.jpg] [--rooms 12] [PHOTO ...]

Without photos: the samples, and rooms of the generator that no network was trained on. A row is a room: the photo, then
each material on all surfaces of its kind. What cannot be laid is grey.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from deploy.local.settings import ROOT, LocalSettings
from models.rooms import MEASURED_VERSION
from models.rooms.sample import render_sample
from roomviz.client import Client
from roomviz.imaging.codec import Image, decode_rgb, encode_jpeg

SEED = 7000  # never trained on
CELL = (400, 300)  # pixels, width and height
SHOWN = (
    ("floor", "FLR-OAK-NATURAL"),
    ("floor", "FLR-HERRINGBONE-WALNUT"),
    ("floor", "TIL-CHECKER"),
    ("floor", "TIL-MARBLE-CARRARA"),
    ("floor", "CRP-LOOP-GREY"),
    ("wall", "PNT-SAGE"),
    ("wall", "WPR-STRIPE-BLUE"),
    ("wall", "WAL-BRICK-RED"),
)


def rooms(count: int) -> list[bytes]:
    """Photos of rooms: our samples, then rendered ones."""
    samples = [p.read_bytes() for p in sorted((ROOT / "samples").glob("*.jpg"))][:count]
    more = (render_sample(MEASURED_VERSION, SEED, k, 1280, samples=8).image for k in range(count - len(samples)))
    return samples + [encode_jpeg(image) for image in more]


def cell(picture: Image | None, title: str) -> Image:
    """The picture in a cell of the sheet, whole, with a title."""
    out = np.full((CELL[1], CELL[0], 3), 128, np.uint8)
    if picture is not None:
        height, width = picture.shape[:2]
        scale = min(CELL[0] / width, CELL[1] / height)
        small = cv2.resize(picture, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
        y, x = (CELL[1] - small.shape[0]) // 2, (CELL[0] - small.shape[1]) // 2
        out[y : y + small.shape[0], x : x + small.shape[1]] = small
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(out, title, (8, CELL[1] - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, thickness, cv2.LINE_AA)
    return out


def row(client: Client, photo: bytes) -> Image:
    """A room: as it is, and with each material."""
    room = client.analyze(client.upload(photo).name).room
    variants = [[client.apply(sku, kind=kind)] for kind, sku in SHOWN]
    found: dict[int, Image] = {}
    for part in client.compare(room, variants, tile_px=max(CELL)):
        if part.WhichOneof("part") == "tile" and part.tile.image:
            found[part.tile.index] = decode_rgb(part.tile.image)
    cells = [cell(decode_rgb(photo), "photo")]
    return np.hstack(cells + [cell(found.get(n), sku) for n, (_, sku) in enumerate(SHOWN)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--rooms", type=int, default=12)
    parser.add_argument("--out", type=Path, default=ROOT / ".local" / "contact-sheet.jpg")
    a = parser.parse_args()
    settings = LocalSettings()
    key = settings.api_key
    photos = [p.read_bytes() for p in a.photos] or rooms(a.rooms)
    with Client(f"{settings.host}:{settings.gateway_port}", key) as client:
        rows = []
        for n, photo in enumerate(photos):
            rows.append(row(client, photo))
            print(f"\r  room {n + 1}/{len(photos)}", end="", flush=True)
    a.out.write_bytes(encode_jpeg(np.vstack(rows), 90))
    print(f"\n{a.out}")


if __name__ == "__main__":
    main()
