"""Ray casting of rooms made of rectangles, discs, boxes, ellipsoids and cylinders.

One primitive is a centre, an orthonormal frame and half sizes; a ray is moved into that frame and
tested there. Primitives come in groups (one object each) with a bounding box, so that a ray looks
into an object only where it meets its box. Scalar code compiled by Numba, for one pixel at a time: `render` and
`smooth_light` walk through them on a CPU, `cuda.py` starts a thread for each on a GPU.

World frame: metres, z up, the floor at z = 0. Camera frame: x right, y down, z forward.
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

RECT, DISC, BOX, ELLIPSOID, CYLINDER = range(5)

# Materials, see `albedo_at`.
(
    PLAIN,
    PLANK,
    TILE,
    HERRINGBONE,
    CARPET,
    STRIPE,
    DAMASK,
    BRICK,
    MARBLE,
    GRAIN,
    WEAVE,
    PATCHES,
    BOOKS,
    VIEW,
    MIRROR,
    LEAF,
    SPECKLE,
    CHECK,
    FRONT,
    SLATS,
    ART,
) = range(21)

FAR = 1e9


@njit(cache=True, fastmath=True, inline="always")
def _hash(i, j, k):
    h = (i * 374761393 + j * 668265263 + k * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0xFFFFFF) / 16777216.0


def _next(state):
    """PCG32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
    Generation", 2014, section 6.3): a number in [0, 1) of the stream whose state is the one uint64 of `state`."""
    old = state[0]
    state[0] = old * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    mixed = (((old >> np.uint64(18)) ^ old) >> np.uint64(27)) & np.uint64(0xFFFFFFFF)
    turn = old >> np.uint64(59)
    turned = (mixed >> turn) | (mixed << ((np.uint64(32) - turn) & np.uint64(31)))
    return (turned & np.uint64(0xFFFFFFFF)) * 2.0**-32


def _draw(state):
    """A random number in [0, 1): NumPy's next one where `state` is None, as on a CPU; else of a thread's own stream."""
    return np.random.random() if state is None else _next(state)


@overload(_draw)
def _draw_compiled(state):
    # By the type: a GPU has no generator of NumPy's, and compiles no branch that asks it.
    return (lambda state: np.random.random()) if isinstance(state, types.NoneType) else _next


@njit(cache=True, fastmath=True)
def value_noise(x, y, seed):
    """Value noise in [0, 1] on the unit lattice."""
    i, j = math.floor(x), math.floor(y)
    fx, fy = x - i, y - j
    fx = fx * fx * (3 - 2 * fx)
    fy = fy * fy * (3 - 2 * fy)
    i, j = int(i), int(j)
    a, b = _hash(i, j, seed), _hash(i + 1, j, seed)
    c, d = _hash(i, j + 1, seed), _hash(i + 1, j + 1, seed)
    return (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy


@njit(cache=True, fastmath=True)
def fractal_noise(x, y, seed, octaves):
    """Sum of octaves of value noise, in [0, 1]."""
    total, amplitude, norm = 0.0, 1.0, 0.0
    for o in range(octaves):
        total += amplitude * value_noise(x, y, seed + o * 17)
        norm += amplitude
        amplitude *= 0.5
        x, y = x * 2.03, y * 2.03
    return total / norm


@njit(cache=True, fastmath=True)
def _to_local(p, x, y, z):
    return (
        p[3] * x + p[4] * y + p[5] * z,
        p[6] * x + p[7] * y + p[8] * z,
        p[9] * x + p[10] * y + p[11] * z,
    )


@njit(cache=True, fastmath=True, inline="always")
def _slab(l, e, h, t0, t1):
    """Narrow [t0, t1] to where the ray is between two planes; no division by zero: e is nudged off it."""
    inv = 1.0 / (e if abs(e) > 1e-9 else 1e-9)
    ta, tb = (-h - l) * inv, (h - l) * inv
    return max(t0, min(ta, tb)), min(t1, max(ta, tb))


@njit(cache=True, fastmath=True, inline="always")
def hit_primitive(kind, prims, i, ox, oy, oz, dx, dy, dz, near, far):
    """Distance along the ray to primitive `i`, or FAR."""
    x, y, z = ox - prims[i, 0], oy - prims[i, 1], oz - prims[i, 2]
    ax, ay, az = prims[i, 3], prims[i, 4], prims[i, 5]
    bx, by, bz = prims[i, 6], prims[i, 7], prims[i, 8]
    cx, cy, cz = prims[i, 9], prims[i, 10], prims[i, 11]
    lx, ly, lz = ax * x + ay * y + az * z, bx * x + by * y + bz * z, cx * x + cy * y + cz * z
    ex, ey, ez = ax * dx + ay * dy + az * dz, bx * dx + by * dy + bz * dz, cx * dx + cy * dy + cz * dz
    hx, hy, hz = prims[i, 12], prims[i, 13], prims[i, 14]
    best = FAR
    if kind == BOX:
        t0, t1 = _slab(lx, ex, hx, near, far)
        t0, t1 = _slab(ly, ey, hy, t0, t1)
        t0, t1 = _slab(lz, ez, hz, t0, t1)
        if near < t0 <= t1:
            best = t0
    elif kind == RECT or kind == DISC:  # noqa: SIM109 - Numba compiles this, not `in`
        t = -lz / (ez if abs(ez) > 1e-9 else 1e-9)
        if near < t < far:
            u, v = (lx + t * ex) / hx, (ly + t * ey) / hy
            if kind == RECT:
                if abs(u) <= 1 and abs(v) <= 1:
                    best = t
            elif u * u + v * v <= 1:
                best = t
    elif kind == ELLIPSOID:
        lx, ly, lz = lx / hx, ly / hy, lz / hz
        ex, ey, ez = ex / hx, ey / hy, ez / hz
        a = ex * ex + ey * ey + ez * ez
        b = lx * ex + ly * ey + lz * ez
        disc = b * b - a * (lx * lx + ly * ly + lz * lz - 1)
        if disc >= 0:
            t = (-b - math.sqrt(disc)) / a
            if near < t < far:
                best = t
    else:  # CYLINDER about the local z axis, radius hx, half height hz, with caps
        a = ex * ex + ey * ey
        if a > 1e-12:
            b = lx * ex + ly * ey
            disc = b * b - a * (lx * lx + ly * ly - hx * hx)
            if disc > 0:
                t = (-b - math.sqrt(disc)) / a
                if near < t < far and abs(lz + t * ez) <= hz:
                    best = t
        if abs(ez) > 1e-9:
            t = ((hz if ez < 0 else -hz) - lz) / ez
            if near < t < min(far, best):
                u, v = lx + t * ex, ly + t * ey
                if u * u + v * v <= hx * hx:
                    best = t
    return best


@njit(cache=True, fastmath=True)
def cast(kinds, prims, starts, bounds, ox, oy, oz, dx, dy, dz, far):
    """Nearest hit of one ray: (primitive index or -1, distance)."""
    ix = 1.0 / dx if abs(dx) > 1e-9 else 1e9
    iy = 1.0 / dy if abs(dy) > 1e-9 else 1e9
    iz = 1.0 / dz if abs(dz) > 1e-9 else 1e9
    best, found = far, -1
    for g in range(len(starts) - 1):
        x0, x1 = (bounds[g, 0] - ox) * ix, (bounds[g, 3] - ox) * ix
        y0, y1 = (bounds[g, 1] - oy) * iy, (bounds[g, 4] - oy) * iy
        z0, z1 = (bounds[g, 2] - oz) * iz, (bounds[g, 5] - oz) * iz
        t0 = max(max(min(x0, x1), min(y0, y1)), max(min(z0, z1), 0.0))
        t1 = min(min(max(x0, x1), max(y0, y1)), min(max(z0, z1), best))
        if t0 > t1:
            continue
        for i in range(starts[g], starts[g + 1]):
            t = hit_primitive(kinds[i], prims, i, ox, oy, oz, dx, dy, dz, 1e-4, best)
            if t < best:
                best, found = t, i
    return found, best


@njit(cache=True, fastmath=True)
def surface_at(kind, p, hx, hy, hz, dx, dy, dz):
    """Normal (towards the ray's origin) and texture coordinates in metres at a hit."""
    lx, ly, lz = _to_local(p, hx - p[0], hy - p[1], hz - p[2])
    nx, ny, nz, u, v = 0.0, 0.0, 1.0, lx, ly
    if kind == BOX:
        ax, ay, az = p[12] - abs(lx), p[13] - abs(ly), p[14] - abs(lz)
        if ax <= ay and ax <= az:
            nx, ny, nz, u, v = (1.0 if lx > 0 else -1.0), 0.0, 0.0, ly, lz
        elif ay <= az:
            nx, ny, nz, u, v = 0.0, (1.0 if ly > 0 else -1.0), 0.0, lx, lz
        else:
            nx, ny, nz = 0.0, 0.0, (1.0 if lz > 0 else -1.0)
    elif kind == ELLIPSOID:
        nx, ny, nz = lx / p[12] ** 2, ly / p[13] ** 2, lz / p[14] ** 2
        n = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
        nx, ny, nz = nx / n, ny / n, nz / n
        u, v = math.atan2(ly, lx) * p[12], lz
    elif kind == CYLINDER:
        if p[14] - abs(lz) < 1e-3:
            nx, ny, nz = 0.0, 0.0, (1.0 if lz > 0 else -1.0)
        else:
            nx, ny, nz = lx / p[12], ly / p[12], 0.0
            u, v = math.atan2(ly, lx) * p[12], lz
    wx = p[3] * nx + p[6] * ny + p[9] * nz
    wy = p[4] * nx + p[7] * ny + p[10] * nz
    wz = p[5] * nx + p[8] * ny + p[11] * nz
    if wx * dx + wy * dy + wz * dz > 0:
        wx, wy, wz = -wx, -wy, -wz
    return wx, wy, wz, u, v


@njit(cache=True, fastmath=True)
def albedo_at(m, u, v):
    """Linear RGB albedo of material row `m` at (u, v) metres.

    Row: type, rgb, rgb of the second tone, size_u, size_v, seed, contrast, angle, variant, gloss, emission.
    The variant is a type's own: the blur of a reflection, a running bond, the inset of a panel.
    """
    kind, seed, contrast = int(m[0]), int(m[9]), m[10]
    ca, sa = math.cos(m[11]), math.sin(m[11])
    u, v = ca * u + sa * v, ca * v - sa * u
    su, sv = m[7], m[8]
    f, tone = 0.0, 1.0  # mix towards the second tone; brightness
    if kind == PLAIN:
        tone = 1 + contrast * 0.15 * (fractal_noise(u * 1.5, v * 1.5, seed, 3) - 0.5)
    elif kind == PLANK:
        row = math.floor(v / sv)
        shift = _hash(int(row), 3, seed) * su
        col = math.floor((u + shift) / su)
        h = _hash(int(row), int(col), seed)
        grain = fractal_noise((u + h * 31) * 2.5, (v + h * 57) * 45, seed, 3)
        f = 0.65 * h * contrast + 0.6 * (grain - 0.5) * contrast + 0.25
        eu, ev = (u + shift) / su - col, v / sv - row
        if ev * sv < 0.0025 or eu * su < 0.0025:
            tone = 0.6
    elif kind == TILE or kind == CHECK:  # noqa: SIM109 - Numba compiles this, not `in`
        row = math.floor(v / sv)
        off = 0.5 * su * (int(row) % 2) if m[12] > 0.5 and kind == TILE else 0.0
        col = math.floor((u + off) / su)
        eu, ev = (u + off) / su - col, v / sv - row
        h = _hash(int(row), int(col), seed)
        if kind == CHECK:
            f = float((int(row) + int(col)) % 2)
            tone = 0.92 + 0.16 * fractal_noise(u * 8, v * 8, seed, 3)
        elif min(eu * su, ev * sv) < 0.006:
            f = 1.0
        else:
            tone = 1 + contrast * (0.25 * (h - 0.5) + 0.4 * (fractal_noise(u * 6 + h * 91, v * 6, seed, 4) - 0.5))
    elif kind == HERRINGBONE:
        n = max(2.0, round(su / sv))
        gx, gy = u / sv, v / sv
        i, j = math.floor(gx), math.floor(gy)
        k = (int(i) - int(j)) % int(2 * n)
        if k < n:
            a, b, r, fu, fv = int(i) - k, int(j), 0, gx - (i - k), gy - j
        else:
            a, b, r, fu, fv = int(i), int(j) - (int(2 * n) - 1 - k), 1, gy - (j - (2 * n - 1 - k)), gx - i
        h = _hash(a, b, seed + r)
        f = (
            0.3
            + 0.7 * (h - 0.3) * contrast
            + 0.5 * contrast * (fractal_noise(fu * sv * 3 + h * 71, fv * sv * 45, seed, 3) - 0.5)
        )
        if fv < 0.03 or fv > 0.97 or fu < 0.03:
            tone = 0.65
    elif kind == CARPET:
        tone = (
            1
            + contrast * 0.7 * (fractal_noise(u * 60, v * 60, seed, 2) - 0.5)
            + 0.2 * (fractal_noise(u * 2, v * 2, seed + 5, 3) - 0.5)
        )
    elif kind == STRIPE:
        f = 1.0 if (u / su - math.floor(u / su)) < 0.5 else 0.0
    elif kind == DAMASK:
        a, b = 2 * math.pi * u / su, 2 * math.pi * v / sv
        w = math.sin(a) * math.sin(b) + 0.5 * math.sin(2 * a + 1.3 * math.sin(b)) + 0.3 * math.cos(3 * b)
        f = min(1.0, max(0.0, 0.5 + 2.5 * (w - 0.1)))
    elif kind == BRICK:
        row = math.floor(v / sv)
        off = 0.5 * su * (int(row) % 2)
        col = math.floor((u + off) / su)
        eu, ev = (u + off) / su - col, v / sv - row
        h = _hash(int(row), int(col), seed)
        if eu * su < 0.012 or ev * sv < 0.012:
            f = 1.0
        else:
            tone = 1 + contrast * (0.7 * (h - 0.5) + 0.5 * (fractal_noise(u * 30, v * 30, seed, 3) - 0.5))
    elif kind == MARBLE:
        n = fractal_noise(u * 1.2 / su, v * 1.2 / su, seed, 5)
        w = abs(math.sin(6 * (u / su * 0.4 + 2.2 * n)))
        f = max(0.0, 1 - w * 7) * contrast
        tone = 0.93 + 0.14 * n
    elif kind == GRAIN:
        n = fractal_noise(u * 3, v * 40, seed, 3)
        f = contrast * n
    elif kind == WEAVE:
        tone = (
            1
            + contrast * 0.35 * math.sin(u * 6.28 / 0.012) * math.sin(v * 6.28 / 0.012)
            + 0.25 * (fractal_noise(u * 9, v * 9, seed, 3) - 0.5)
        )
    elif kind == PATCHES:
        i, j = (
            math.floor(u / su + 1.5 * fractal_noise(u * 4, v * 4, seed, 3)),
            math.floor(v / sv + 1.5 * fractal_noise(u * 4, v * 4, seed + 9, 3)),
        )
        a, b, c = _hash(int(i), int(j), seed), _hash(int(i), int(j), seed + 1), _hash(int(i), int(j), seed + 2)
        return (
            m[1] * (1 - contrast) + contrast * a * a,
            m[2] * (1 - contrast) + contrast * b * b,
            m[3] * (1 - contrast) + contrast * c * c,
        )
    elif kind == BOOKS:
        row = math.floor(v / sv)
        w = u / su + 0.6 * value_noise(u / su * 0.7, row * 3.3, seed)
        i = math.floor(w)
        a = _hash(int(i), int(row), seed)
        top = 0.55 + 0.4 * _hash(int(i), int(row), seed + 4)
        if v / sv - row > top:
            return 0.03, 0.03, 0.03
        b, c = _hash(int(i), int(row), seed + 1), _hash(int(i), int(row), seed + 2)
        g = 0.1 + 0.7 * a
        return g * (1 - contrast + contrast * b), g * (1 - contrast + contrast * c), g * (1 - contrast + contrast * a)
    elif kind == VIEW:
        y = v / sv  # -1 bottom .. 1 top
        n = fractal_noise(u * 3, v * 3, seed, 4)
        line = -0.2 + 0.9 * (fractal_noise(u * 1.2, 0.0, seed + 3, 3) - 0.4)
        f = 1.0 if y < line else 0.0
        tone = (0.4 + 1.2 * n) if f > 0.5 else 0.85 + 0.3 * n
    elif kind == LEAF:
        tone = 0.5 + fractal_noise(u * 25, v * 25, seed, 3)
    elif kind == SPECKLE:
        i, j = math.floor(u / su), math.floor(v / su)
        h = _hash(int(i), int(j), seed)
        n = fractal_noise(u / su * 0.5, v / su * 0.5, seed, 2)
        f = 1.0 if n > 0.62 else 0.0
        tone = 0.85 + 0.3 * h
    elif kind == FRONT:  # doors and drawers of a cabinet: gaps between them, and a panel's bevel at `variant`
        # Cells are centred: a front that is one cell has its gaps at its own edges.
        eu = u + su / 2 - su * math.floor(u / su + 0.5)
        ev = v + sv / 2 - sv * math.floor(v / sv + 0.5)
        edge_u, edge_v = min(eu, su - eu), min(ev, sv - ev)
        edge = min(edge_u, edge_v)
        n = fractal_noise(u * 3, v * 30, seed, 2)
        f = contrast * n
        if edge < 0.003:
            tone = 0.3
        elif edge < 0.008:
            tone = 0.85
        elif m[12] > 0 and abs(edge - m[12]) < 0.006:
            # The bevel catches light on one side and loses it on the other.
            tone = 0.72 if (eu < su / 2 if edge_u < edge_v else ev > sv / 2) else 1.12
        else:
            tone = 1.0 if edge > m[12] else 0.97
    elif kind == SLATS:
        x = v / sv - math.floor(v / sv)
        tone = 1 - contrast * (0.35 + 0.35 * math.cos(2 * math.pi * x))
        if x < 0.06:
            tone *= 1 - 0.7 * contrast
    elif kind == ART:
        f = 0.0
        for k in range(5):
            cu, cv = su * (2 * _hash(k, 1, seed) - 1), sv * (2 * _hash(k, 2, seed) - 1)
            r = (0.15 + 0.5 * _hash(k, 3, seed)) * min(su, sv)
            du, dv = u - cu, v - cv
            wobble = 1 + 0.6 * (fractal_noise(u * 6, v * 6, seed + k, 3) - 0.5)
            near = (
                max(abs(du), abs(dv) * (0.3 + 2 * _hash(k, 4, seed)))
                if _hash(k, 5, seed) < 0.4
                else math.sqrt(du * du + dv * dv)
            )
            if near * wobble < r:
                f = 0.3 + 0.7 * _hash(k, 6, seed)
                if _hash(k, 7, seed) < contrast:
                    f = 1.0
                    g = 0.05 + 0.9 * _hash(k, 8, seed)
                    a, b = _hash(k, 9, seed), _hash(k, 10, seed)
                    return g, g * (0.4 + 0.6 * a), g * (0.3 + 0.7 * b)
        tone = 0.95 + 0.1 * fractal_noise(u * 9, v * 9, seed, 3)
    f = min(1.0, max(0.0, f))
    return tone * (m[1] * (1 - f) + m[4] * f), tone * (m[2] * (1 - f) + m[5] * f), tone * (m[3] * (1 - f) + m[6] * f)


@njit(cache=True, fastmath=True)
def _emission(kinds, prims, materials, matids, i, hx, hy, hz, dx, dy, dz):
    m = materials[matids[i]]
    _, _, _, u, v = surface_at(kinds[i], prims[i], hx, hy, hz, dx, dy, dz)
    r, g, b = albedo_at(m, u, v)
    return r * m[14], g * m[14], b * m[14]


@njit(cache=True, fastmath=True)
def _irradiance(kinds, prims, matids, starts, bounds, materials, lights, sun, ambient, x, y, z, nx, ny, nz, state):
    """One noisy sample of the irradiance / pi at a point: windows and lamps, sun, and one bounce."""
    er, eg, eb = 0.0, 0.0, 0.0
    ox, oy, oz = x + nx * 2e-3, y + ny * 2e-3, z + nz * 2e-3
    # One light a sample, chosen evenly: the estimate stays unbiased.
    n = len(lights)
    if n:
        k = min(n - 1, int(_draw(state) * n))
        L = lights[k]
        a, b = 2 * _draw(state) - 1, 2 * _draw(state) - 1
        px = L[0] + a * L[3] + b * L[6]
        py = L[1] + a * L[4] + b * L[7]
        pz = L[2] + a * L[5] + b * L[8]
        vx, vy, vz = px - ox, py - oy, pz - oz
        d2 = vx * vx + vy * vy + vz * vz + 1e-6
        d = math.sqrt(d2)
        vx, vy, vz = vx / d, vy / d, vz / d
        c = vx * nx + vy * ny + vz * nz
        cl = abs(vx * L[9] + vy * L[10] + vz * L[11]) if L[15] > 0 else 1.0
        if c > 0:
            hit, t = cast(kinds, prims, starts, bounds, ox, oy, oz, vx, vy, vz, d - 0.03)
            if hit < 0:
                w = n * c * cl / (d2 + 0.05) / math.pi
                er, eg, eb = er + w * L[12], eg + w * L[13], eb + w * L[14]
    if sun[3] > 0:
        c = sun[0] * nx + sun[1] * ny + sun[2] * nz
        if c > 0:
            # A little spread: the sun's disc and haze.
            hit, t = cast(
                kinds,
                prims,
                starts,
                bounds,
                ox,
                oy,
                oz,
                sun[0] + 0.01 * (_draw(state) - 0.5),
                sun[1] + 0.01 * (_draw(state) - 0.5),
                sun[2],
                60.0,
            )
            if hit >= 0 and materials[matids[hit], 0] == VIEW:
                w = c * sun[3]
                er, eg, eb = er + w, eg + 0.93 * w, eb + 0.82 * w
    # One bounce, cosine weighted.
    r1, r2 = math.sqrt(_draw(state)), 2 * math.pi * _draw(state)
    tx, ty, tz = (0.0, 0.0, 1.0) if abs(nz) < 0.9 else (1.0, 0.0, 0.0)
    bx, by, bz = ny * tz - nz * ty, nz * tx - nx * tz, nx * ty - ny * tx
    l = math.sqrt(bx * bx + by * by + bz * bz)
    bx, by, bz = bx / l, by / l, bz / l
    tx, ty, tz = ny * bz - nz * by, nz * bx - nx * bz, nx * by - ny * bx
    ca, sa, w = r1 * math.cos(r2), r1 * math.sin(r2), math.sqrt(max(0.0, 1 - r1 * r1))
    vx, vy, vz = ca * bx + sa * tx + w * nx, ca * by + sa * ty + w * ny, ca * bz + sa * tz + w * nz
    hit, t = cast(kinds, prims, starts, bounds, ox, oy, oz, vx, vy, vz, 30.0)
    if hit >= 0:
        m = materials[matids[hit]]
        if m[14] > 0:
            if m[0] != VIEW:  # windows are sampled above
                er, eg, eb = er + 0.2 * m[1] * m[14], eg + 0.2 * m[2] * m[14], eb + 0.2 * m[3] * m[14]
        else:
            # Light between nearby surfaces is dimmer: corners and undersides darken.
            open_ = min(1.0, 0.35 + t / 2.5)
            er += ambient[0] * open_ * (0.35 + 0.65 * m[1])
            eg += ambient[1] * open_ * (0.35 + 0.65 * m[2])
            eb += ambient[2] * open_ * (0.35 + 0.65 * m[3])
    return er, eg, eb


@njit(cache=True, fastmath=True)
def _direction(camera, y, x):
    """Of unit length, through the middle of a pixel, in the world."""
    a = (x + 0.5 - camera[13]) / camera[12]
    b = (y + 0.5 - camera[14]) / camera[12]
    k = 1 + camera[15] * (a * a + b * b)  # first-order lens distortion
    a, b = a * k, b * k
    dx = camera[9] + a * camera[3] + b * camera[6]
    dy = camera[10] + a * camera[4] + b * camera[7]
    dz = camera[11] + a * camera[5] + b * camera[8]
    n = math.sqrt(dx * dx + dy * dy + dz * dz)
    return dx / n, dy / n, dz / n


@njit(cache=True, fastmath=True)
def trace(
    kinds,
    prims,
    matids,
    labels,
    instances,
    starts,
    bounds,
    materials,
    ambient,
    camera,
    y,
    x,
    state,
    albedo,
    extra,
    label,
    instance,
    normal,
    depth,
):
    """What pixel (y, x) shows, written into pictures as `render` returns them.

    Returns whether light falls on it (not on what glows, or mirrors), where in the world it is, and its normal there.
    """
    dx, dy, dz = _direction(camera, y, x)
    ox, oy, oz = camera[0], camera[1], camera[2]
    i, t = cast(kinds, prims, starts, bounds, ox, oy, oz, dx, dy, dz, 100.0)
    if i < 0:
        return False, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    hx, hy, hz = ox + t * dx, oy + t * dy, oz + t * dz
    nx, ny, nz, u, v = surface_at(kinds[i], prims[i], hx, hy, hz, dx, dy, dz)
    label[y, x], instance[y, x], depth[y, x] = labels[i], instances[i], t
    normal[y, x, 0] = nx * camera[3] + ny * camera[4] + nz * camera[5]
    normal[y, x, 1] = nx * camera[6] + ny * camera[7] + nz * camera[8]
    normal[y, x, 2] = nx * camera[9] + ny * camera[10] + nz * camera[11]
    m = materials[matids[i]]
    r, g, bl = albedo_at(m, u, v)
    if m[14] > 0:
        extra[y, x, 0], extra[y, x, 1], extra[y, x, 2] = r * m[14], g * m[14], bl * m[14]
        return False, hx, hy, hz, nx, ny, nz
    if m[13] > 0:  # gloss: one mirrored ray, Fresnel by Schlick (1994)
        c = -(nx * dx + ny * dy + nz * dz)
        blur = m[12] if int(m[0]) != TILE else 0.02
        fresnel = m[13] if int(m[0]) == MIRROR else m[13] * (0.04 + 0.96 * (1 - c) ** 5)
        rx = dx + 2 * c * nx + blur * (_draw(state) - 0.5)
        ry = dy + 2 * c * ny + blur * (_draw(state) - 0.5)
        rz = dz + 2 * c * nz + blur * (_draw(state) - 0.5)
        j, s = cast(kinds, prims, starts, bounds, hx + nx * 2e-3, hy + ny * 2e-3, hz + nz * 2e-3, rx, ry, rz, 100.0)
        if j >= 0:
            qx, qy, qz = hx + s * rx, hy + s * ry, hz + s * rz
            q = materials[matids[j]]
            _, _, _, qu, qv = surface_at(kinds[j], prims[j], qx, qy, qz, rx, ry, rz)
            qr, qg, qb = albedo_at(q, qu, qv)
            e = q[14]
            extra[y, x, 0] = fresnel * qr * (e if e > 0 else 1.3 * ambient[0])
            extra[y, x, 1] = fresnel * qg * (e if e > 0 else 1.3 * ambient[1])
            extra[y, x, 2] = fresnel * qb * (e if e > 0 else 1.3 * ambient[2])
        if int(m[0]) == MIRROR:
            return False, hx, hy, hz, nx, ny, nz
    albedo[y, x, 0], albedo[y, x, 1], albedo[y, x, 2] = max(0.0, r), max(0.0, g), max(0.0, bl)
    return True, hx, hy, hz, nx, ny, nz


@njit(cache=True, fastmath=True)
def lent(instance, normal, y, x, grid):
    """Whether smoothing fills in the light of pixel (y, x): it changes slowly on one face, and a neighbour on it is sampled."""
    y0, x0 = y - y % grid, x - x % grid
    if (y0 != y or x0 != x) and instance[y0, x0] == instance[y, x]:
        c = 0.0
        for k in range(3):
            c += normal[y0, x0, k] * normal[y, x, k]
        return c > 0.9
    return False


@njit(cache=True, fastmath=True)
def lighten(
    kinds,
    prims,
    matids,
    starts,
    bounds,
    materials,
    lights,
    sun,
    ambient,
    y,
    x,
    hx,
    hy,
    hz,
    nx,
    ny,
    nz,
    samples,
    state,
    light,
    known,
):
    """Sample the light that falls on pixel (y, x), which shows (hx, hy, hz) of normal (nx, ny, nz)."""
    known[y, x] = 1
    for _ in range(samples):
        er, eg, eb = _irradiance(
            kinds, prims, matids, starts, bounds, materials, lights, sun, ambient, hx, hy, hz, nx, ny, nz, state
        )
        light[y, x, 0] += er / samples
        light[y, x, 1] += eg / samples
        light[y, x, 2] += eb / samples


@njit(cache=True, fastmath=True)
def render(
    kinds,
    prims,
    matids,
    labels,
    instances,
    starts,
    bounds,
    materials,
    lights,
    sun,
    ambient,
    camera,
    height,
    width,
    samples,
    seed,
    grid=1,
):
    """Render one picture and its truth.

    camera: position (3), right (3), down (3), forward (3), focal length in pixels, cx, cy, k1.
    Light is sampled at one pixel in `grid` squared, and wherever another face begins.
    Returns albedo, irradiance, specular/emission (all (H, W, 3) float32, linear), label (H, W) uint8,
    instance (H, W) int32, normal in the camera frame (H, W, 3) float32, depth along the ray (H, W) float32, known (H, W) uint8:
    1 where light was sampled.
    """
    np.random.seed(seed)
    albedo = np.zeros((height, width, 3), np.float32)
    light = np.zeros((height, width, 3), np.float32)
    extra = np.zeros((height, width, 3), np.float32)
    label = np.zeros((height, width), np.uint8)
    instance = np.zeros((height, width), np.int32)
    normal = np.zeros((height, width, 3), np.float32)
    depth = np.zeros((height, width), np.float32)
    known = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            lit, hx, hy, hz, nx, ny, nz = trace(
                kinds, prims, matids, labels, instances, starts, bounds, materials, ambient, camera, y, x, None,
                albedo, extra, label, instance, normal, depth,
            )  # fmt: skip
            if lit and not lent(instance, normal, y, x, grid):
                lighten(
                    kinds, prims, matids, starts, bounds, materials, lights, sun, ambient, y, x, hx, hy, hz, nx, ny, nz,
                    samples, None, light, known,
                )  # fmt: skip
    return albedo, light, extra, label, instance, normal, depth, known


@njit(cache=True, fastmath=True)
def smooth_pixel(light, normal, instance, known, step, y, x, out, reached):
    """`smooth_light` of one pixel, written into out and reached."""
    height, width = instance.shape
    kernel = (0.0625, 0.25, 0.375, 0.25, 0.0625)
    total = 0.0
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            yy, xx = y + dy * step, x + dx * step
            if 0 <= yy < height and 0 <= xx < width and known[yy, xx] and instance[yy, xx] == instance[y, x]:
                c = (
                    normal[y, x, 0] * normal[yy, xx, 0]
                    + normal[y, x, 1] * normal[yy, xx, 1]
                    + normal[y, x, 2] * normal[yy, xx, 2]
                )
                if c > 0.9:
                    w = kernel[dy + 2] * kernel[dx + 2]
                    total += w
                    for k in range(3):
                        out[y, x, k] += w * light[yy, xx, k]
    reached[y, x] = 1 if total > 0 else known[y, x]
    for k in range(3):
        out[y, x, k] = out[y, x, k] / total if total > 0 else light[y, x, k]


@njit(cache=True, fastmath=True)
def smooth_light(light, normal, instance, known, step):
    """One a-trous pass (Dammertz et al., "Edge-Avoiding A-Trous Wavelet Transform", 2010) inside one instance.

    Only known pixels lend light; returns the light and what is known after the pass.
    """
    out = np.zeros_like(light)
    reached = np.zeros_like(known)
    for y in range(instance.shape[0]):
        for x in range(instance.shape[1]):
            smooth_pixel(light, normal, instance, known, step, y, x, out, reached)
    return out, reached


def picture(arrays, camera, height, width, samples, seed, grid, steps):
    """What `render` returns of a scene's arrays, its light smoothed once for each of steps."""
    albedo, light, extra, label, instance, normal, depth, known = render(
        *arrays, camera, height, width, samples, seed, grid
    )
    for step in steps:
        light, known = smooth_light(light, normal, instance, known, step)
    return albedo, light, extra, label, instance, normal, depth, known
