"""A sheet of finishes and of light: what docs/light.md shows.

    python -m bench.light [--photo samples/living-room.jpg] [--out docs/images/light.jpg]

The photo is analyzed as the services do it, without them.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from bench.compositor import material, network
from models.repository import versions
from roomviz.imaging.codec import Image, decode_rgb, encode_jpeg
from services.catalog.domain.demo_range import ITEMS
from services.compositor.domain import kernel, relight
from services.compositor.domain.plate import plate
from services.compositor.domain.shading import light_in
from services.compositor.domain.sheen import FINISHES
from services.segmentation.domain import labels, surfaces
from services.segmentation.domain.superpixels import superpixels

TILE_WIDTH, TITLE_ROWS = 560, 30


def titled(picture: Image, title: str) -> Image:
    scale = TILE_WIDTH / picture.shape[1]
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, TITLE_ROWS, 0, 0, 0, cv2.BORDER_CONSTANT)
    small[:TITLE_ROWS] = 24
    cv2.putText(small, title, (12, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (240, 240, 240), 1, cv2.LINE_AA)
    return np.asarray(small, np.uint8)


def sheet(photo: Image, model: str, sku: str) -> Image:
    """Four finishes of a floor, and the last of them in three lights."""
    working = surfaces.working_copy(photo)
    names = ["surface_logits", "junction_logits", "normals", "grey_card"]
    answers = (network(model).run(names, {"image": image}) for image in labels.network_inputs(working))
    logits, junctions, normals, grey = labels.together(*answers)
    split = superpixels(working)
    layout = surfaces.layout(working, split, logits, normals, junction_logits=junctions)
    found = surfaces.analyze(working, working, split, layout)
    card = labels.mean_grey_card(grey)
    floor = next(s for s in found.surfaces if s.kind == "floor" and s.plane is not None)
    light = light_in(working, np.zeros((1, 1), bool), card)
    item = next(i for i in ITEMS if i.sku == sku)
    texture, _ = material(item)
    if texture is None or floor.plane is None:
        raise SystemExit(f"{sku} has no texture, or the photo no floor")
    tiles, camera = [titled(working, "photo")], found.camera
    for finish in ("matte", *FINISHES):
        out = working.copy()
        on = plate(
            working, floor.alpha, "floor", light, floor.plane.pixel_from_plane, False, finish, camera.focal, camera.lens
        )
        for part in kernel.lay(out, on, kernel.texels(texture.levels), (texture.width_m, texture.height_m)):
            part()
        tiles.append(titled(out, finish))
    for to in relight.KELVIN:
        relit = np.empty_like(out)
        for part in relight.relit(out, relight.turn(relight.light_color(card, np.ones(3, np.float32)), to), relit):
            part()
        tiles.append(titled(relit, f"{finish}, {to}"))
    return np.vstack([np.hstack(tiles[:4]), np.hstack(tiles[4:])])


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--photo", type=Path, default=Path("samples/living-room.jpg"))
    p.add_argument("--out", type=Path, default=Path("docs/images/light.jpg"))
    p.add_argument("--model", default=str(versions(Path("model_repository/roomseg"))[-1]))
    p.add_argument("--material", default="FLR-OAK-SMOKED")
    a = p.parse_args()
    a.out.write_bytes(encode_jpeg(sheet(decode_rgb(a.photo.read_bytes()), a.model, a.material), 84))


if __name__ == "__main__":
    main()
