"""What is built into bathrooms."""

from models.rooms import raycast as rc
from models.rooms.along import Along
from models.rooms.finishes import hsv, steel, stone, stuff_material, wall_material
from models.rooms.fitted import Style, fronts, panel
from models.rooms.labels import FURNITURE, OTHER, WALL
from models.rooms.scene import Scene, rotation
from models.rooms.structure import free


def bathroom(s: Scene, a, b, windows: list, plain: int | None = None) -> bool:
    """A vanity with basin and mirror, a tub and a toilet along one wall; plain: what walls are finished with."""
    w, rng = Along(s, a, b), s.rng
    if w.length < 1.6:
        return False
    white = s.material(rc.PLAIN, (0.85, 0.85, 0.84), contrast=0.05, variant=0.02, gloss=0.7)
    x = rng.uniform(0, 0.3)
    for item in rng.permutation(["vanity", "toilet", "tub"]):
        if item == "vanity" and x + 1.0 < w.length:
            s.next_instance()
            width = min(rng.uniform(0.6, 1.6), w.length - x)
            style = Style.draw(s)
            z0 = rng.choice([0.08, 0.3])
            fronts(
                w,
                style,
                panel(s, style),
                (x, x + width),
                (0, 0.46),
                (z0, 0.8),
                max(1, round(width / 0.45)),
                int(rng.integers(1, 3)),
            )
            w.box((x, x + width), (0, 0.48), (0.8, 0.84), stone(s))
            c = w.at(x + width / 2, 0.26)
            s.add(rc.ELLIPSOID, (*c, 0.86), (0.24, 0.17, 0.08), white, FURNITURE)
            w.box((x + width / 2 - 0.012, x + width / 2 + 0.012), (0.04, 0.16), (0.98, 1.0), steel(s))
            s.close_group()
            s.next_instance()
            mirror = s.material(rc.MIRROR, (0.9,) * 3, gloss=0.9)
            if not any(abs(x + width / 2 - wx) < half + width / 2 for wx, half in windows):
                w.box((x + 0.03, x + width - 0.03), (0, 0.02), (1.05, 1.9), stuff_material(s), OTHER)
                w.pane((x + 0.06, x + width - 0.06), 0.022, (1.08, 1.87), mirror, OTHER)
            s.close_group()
            x += width + rng.uniform(0.1, 0.5)
        elif item == "toilet" and x + 0.5 < w.length:
            s.next_instance()
            if s.version >= 4 and rng.random() < 0.5:  # hung from a wall of its own, which hides the cistern
                tiles = s.dado[1] if s.dado else wall_material(s, plain)
                deep, top = rng.uniform(0.12, 0.22), rng.uniform(0.85, 1.3)
                w.box((x - rng.uniform(0, 0.3), x + 0.5 + rng.uniform(0, 0.4)), (0, deep), (0, top), tiles, WALL)
                w.box((x + 0.13, x + 0.37), (deep, deep + 0.01), (top - 0.25, top - 0.1), steel(s), OTHER)
                s.close_group()
                s.next_instance()
            else:
                w.box((x + 0.05, x + 0.45), (0, 0.18), (0.35, 0.8), white)
            c = w.at(x + 0.25, 0.42)
            s.add(rc.ELLIPSOID, (*c, 0.36), (0.19, 0.19, 0.08), white, FURNITURE)
            s.add(rc.CYLINDER, (*c, 0.18), (0.13, 1, 0.18), white, FURNITURE)
            s.close_group()
            x += 0.5 + rng.uniform(0.1, 0.5)
        elif item == "tub" and x + 1.5 < w.length:
            s.next_instance()
            if s.version >= 4 and rng.random() < 0.6:
                _hollow_tub(s, w, x, white)
            elif rng.random() < 0.5:
                side = white if rng.random() < 0.6 else stuff_material(s)
                w.box((x, x + 1.65), (0, 0.75), (0, 0.55), side)
                w.box((x + 0.06, x + 1.59), (0.06, 0.69), (0.55, 0.553), s.material(rc.PLAIN, (0.6,) * 3))
            else:
                c = w.at(x + 0.85, 0.5)
                s.add(rc.ELLIPSOID, (*c, 0.55), (0.84, 0.4, 0.54), white, FURNITURE, frame=rotation(w.yaw))
                s.add(
                    rc.ELLIPSOID,
                    (*c, 0.62),
                    (0.72, 0.3, 0.5),
                    s.material(rc.PLAIN, (0.6,) * 3),
                    FURNITURE,
                    frame=rotation(w.yaw),
                )
            s.close_group()
            x += 1.7 + rng.uniform(0.1, 0.4)
    if s.version >= 3 and rng.random() < 0.6 and w.length - x > 1.0:
        x += shower(s, w, x, white)
    if rng.random() < 0.6 and w.length - x > 0.3:  # towels
        s.next_instance()
        m = s.material(rc.WEAVE, hsv(rng, (0, 1), (0, 0.6), (0.1, 1)), contrast=0.4)
        w.box((x, x + 0.25), (0.04, 0.07), (0.8, 1.4), m)
        s.close_group()
    w.keep_clear(0, min(x, w.length), 0.6)
    windows.append((x / 2, x / 2))
    return True


def _hollow_tub(s: Scene, w: Along, x: float, white: int) -> None:
    """A tub that one can look into, behind an apron of its own white, of tiles or of wood."""
    rng = s.rng
    rim, deep, top = rng.uniform(0.05, 0.14), rng.uniform(0.68, 0.85), rng.uniform(0.48, 0.62)
    x1 = x + rng.uniform(1.45, 1.75)
    apron = white if rng.random() < 0.4 else (s.dado[1] if s.dado else stuff_material(s))
    for span, y in (
        ((x, x1), (deep - rim, deep)),
        ((x, x1), (0, rim)),
        ((x, x + rim), (rim, deep - rim)),
        ((x1 - rim, x1), (rim, deep - rim)),
    ):
        w.box(span, y, (0, top - 0.02), apron)
        w.box(span, y, (top - 0.02, top), white)
        w.box((span[0] + 0.01, span[1] - 0.01), (y[0] + 0.01, y[1] - 0.01), (top, top + 0.002), white)
    w.box((x + rim, x1 - rim), (rim, deep - rim), (0, rng.uniform(0.08, 0.2)), white)
    for side in (x + rim, x1 - rim):  # white inside, whatever the apron is
        w.box((side - 0.004, side + 0.004), (rim, deep - rim), (0, top - 0.02), white)
    w.box((x + rim, x1 - rim), (rim, rim + 0.008), (0, top - 0.02), white)
    w.box((x + rim, x1 - rim), (deep - rim - 0.008, deep - rim), (0, top - 0.02), white)
    tap = x + rng.uniform(0.3, 0.7) * (x1 - x)
    w.box((tap - 0.015, tap + 0.015), (0.03, 0.16), (top + 0.1, top + 0.13), steel(s))


def basin(s: Scene, a, b, used: list) -> None:
    """A basin that hangs on the wall or stands on a foot, with a mirror over it or a cabinet of mirrors."""
    w, rng = Along(s, a, b), s.rng
    half = rng.uniform(0.2, 0.4)
    if w.length < 2 * half + 0.2:
        return
    x, deep = rng.uniform(half + 0.05, w.length - half - 0.05), rng.uniform(0.18, 0.26)
    if not free(used, x - half, x + half):
        return
    used.append((x, half))
    white = s.material(rc.PLAIN, (0.85, 0.85, 0.84), contrast=0.05, variant=0.02, gloss=0.7)
    s.next_instance()
    c = w.at(x, deep)
    if rng.random() < 0.5:
        w.box((x - half, x + half), (0, 2 * deep), (0.72, 0.86), white)
        hollow = s.material(rc.PLAIN, (0.7,) * 3, gloss=0.6)
        s.add(rc.ELLIPSOID, (*c, 0.86), (half * 0.8, deep * 0.7, 0.006), hollow, FURNITURE, frame=rotation(w.yaw))
    else:
        s.add(rc.ELLIPSOID, (*c, 0.8), (half, deep, 0.1), white, FURNITURE, frame=rotation(w.yaw))
    if rng.random() < 0.5:
        s.add(rc.CYLINDER, (*c, 0.38), (rng.uniform(0.05, 0.1), 1, 0.38), white, FURNITURE)
    w.box((x - 0.012, x + 0.012), (0.04, 0.16), (0.98, 1.0), steel(s))
    w.box((x - 0.012, x + 0.012), (0.04, 0.064), (0.86, 1.0), steel(s))
    s.close_group()
    if rng.random() < 0.75:
        s.next_instance()
        deep = rng.choice([0.02, 0.14])
        mirror = s.material(rc.MIRROR, (0.9,) * 3, gloss=0.9)
        w.box((x - half, x + half), (0, deep), (1.15, 1.9), white, OTHER)
        w.pane((x - half + 0.02, x + half - 0.02), deep + 0.002, (1.17, 1.88), mirror, OTHER)
        s.close_group()
    w.keep_clear(x - half, x + half, 0.5)


def shower(s: Scene, w: Along, x: float, white: int) -> float:
    """A shower behind glass, which shows what is behind it: its frame, its edges and what hangs in it alone are seen. Returns
    its width."""
    rng = s.rng
    width, depth, top = min(rng.uniform(0.8, 1.5), w.length - x), rng.uniform(0.75, 1.0), rng.uniform(1.85, 2.15)
    s.next_instance()
    metal = steel(s) if rng.random() < 0.6 else s.material(rc.PLAIN, (0.02,) * 3, gloss=0.4)
    edge = s.material(rc.PLAIN, hsv(rng, (0.35, 0.5), (0.1, 0.4), (0.4, 0.8)), gloss=0.8)
    if rng.random() < 0.5:
        w.box((x, x + width), (0, depth), (0, rng.uniform(0.02, 0.12)), white)
    t = rng.uniform(0.004, 0.02)
    frame = metal if rng.random() < 0.6 else edge
    splits = [x, x + width] + ([x + width * rng.uniform(0.35, 0.65)] if rng.random() < 0.7 else [])
    for at in splits:
        w.box((at - t, at + t), (depth - t, depth + t), (0.02, top), frame)
    for z in (0.03, top):
        if z > 1 or rng.random() < 0.6:
            w.box((x, x + width), (depth - t, depth + t), (z - t, z + t), frame)
    for side in (x, x + width):  # the sides, where no wall is
        if side > 0.05 and rng.random() < 0.7:
            w.box((side - t, side + t), (0, depth), (top - t, top + t), frame)
            w.box((side - t, side + t), (0, depth), (0.02, 0.02 + 2 * t), frame)
    handle = x + width * rng.uniform(0.3, 0.7)
    w.box((handle - 0.01, handle + 0.01), (depth + 0.02, depth + 0.05), (0.95, rng.uniform(1.1, 1.5)), metal)
    s.close_group()
    s.next_instance()
    rail = x + width * rng.uniform(0.3, 0.7)
    w.box((rail - 0.01, rail + 0.01), (0.03, 0.06), (1.0, top - 0.05), metal)
    w.box((rail - 0.015, rail + 0.015), (0.03, 0.3), (top - 0.08, top - 0.05), metal)
    s.add(rc.CYLINDER, (*w.at(rail, 0.3), top - 0.1), (rng.uniform(0.06, 0.14), 1, 0.012), metal, FURNITURE)
    s.close_group()
    return width + rng.uniform(0.05, 0.3)
