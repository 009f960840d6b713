"""Facts of a room in English: what is in it and how that lies, and the numbers. Says only what was measured.

Things are told apart by where they are among their like ("the left wall"), as a person would; the photo's left and
right are meant throughout. Colours are those that the photo shows, in its light.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.domain.facts import Kind, RoomFacts, Size, SurfaceFacts

DESCRIPTION_MAX = 2_000
# Smaller things, and those that may be something else, are counted, not described; and of the others so many of a kind.
SMALL_AREA, SURE_MIN, TOLD_MAX = 0.005, 0.7, 6
# Of smaller parts of a plane nobody wants to know how large they are.
SIZE_AREA = 0.03
APART = 0.02  # of the picture: less is no distance

_NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_WORD = {Kind.FURNITURE: "object", Kind.OTHER: "item"}
_FAULTS: dict[str, str] = {
    "TOO_DARK": "it is dark",
    "TOO_BRIGHT": "much of it is plain white",
    "BLURRED": "it is blurred",
    "TILTED": "it is tilted",
    "POINTED_DOWN": "the camera looks down steeply",
    "POINTED_UP": "the camera looks up steeply",
    "LENS_TOO_WIDE": "the lens is very wide",
    "LOW_RESOLUTION": "it has few pixels",
    "LITTLE_FLOOR": "little of the floor is seen",
    "NO_SURFACES": "no floor, wall or ceiling was found",
    "CAMERA_ASSUMED": "the position of the camera could not be measured",
    "LOW_CONFIDENCE": "its surfaces are hard to tell apart",
}
_LENGTHS = {
    "camera height": "Lengths rest on the usual height of a camera above the floor.",
    "room height": "Lengths rest on the usual heights of a camera and of a room.",
    "proportions": "Lengths rest on the usual heights of what stands in the room and of the room itself.",
    "reference": "Lengths rest on one that was measured in the room.",
}


@dataclass(frozen=True)
class Texts:
    """description: prose for people. technical_summary: the numbers, a line each."""

    description: str
    technical_summary: str


def texts(room: RoomFacts) -> Texts:
    """Both texts."""
    return Texts(description(room), technical_summary(room))


def description(room: RoomFacts) -> str:
    """What is in the room and how that lies."""
    sure = [s for s in room.surfaces if s.confidence >= SURE_MIN]
    big = [s for s in sure if s.area >= SMALL_AREA]
    names = _names(big)
    by_id = {s.surface_id: s for s in big}

    def told(*kinds: Kind) -> list[SurfaceFacts]:
        return [s for s in big if s.kind in kinds][:TOLD_MAX]

    parts = [_inventory(big, len(sure) - len(big), len(room.surfaces) - len(sure))]
    for s in told(Kind.FLOOR, Kind.CEILING):
        parts.append(f"{_capital(names[s.surface_id])} covers {_part(s.area)} of the picture and {_looks(s)}.")
        parts += [f"What is seen of it is {size}."] if (size := _size(s)) else []
    for s in sorted(told(Kind.WALL), key=_middle):
        how = "" if s.facing is None else "faces the camera and " if s.facing else "is seen at an angle and "
        size = _size(s)
        parts.append(
            f"{_capital(names[s.surface_id])} {how}{_looks(s)}{f'; what is seen of it is {size}' if size else ''}."
        )
    parts += [
        _LENGTHS[source] for source in sorted({s.size.source for s in big if s.size and _size(s)}) if source in _LENGTHS
    ]
    for s in sorted(told(Kind.WINDOW, Kind.DOOR), key=_middle):
        wall = _first(s.beside, by_id, Kind.WALL)
        where = f"in {names[wall]}, {_place(s)} of the picture" if wall else f"{_place(s)} of the picture"
        parts.append(f"{_capital(names[s.surface_id])} is {where}.")
    parts += _objects(told(Kind.FURNITURE), names, by_id)
    for s in told(Kind.OTHER):
        wall = _first(s.beside, by_id, Kind.WALL)
        where = f"is at {names[wall]}" if wall else f"is {_place(s)} of the picture"
        parts.append(f"{_capital(names[s.surface_id])} {where} and {_looks(s)}.")
    end = _about_the_photo(room)
    while len(" ".join([*parts, end])) > DESCRIPTION_MAX:
        parts.pop()  # the last told are the least
    return " ".join([*parts, end])


def technical_summary(room: RoomFacts) -> str:
    """The numbers, a line each."""
    q = room.quality
    lines = [
        f"Photo: {room.width} x {room.height} pixels ({room.width * room.height / 1e6:.1f} megapixels).",
        f"Analysis: {room.model or 'unknown model'}, confidence {q.confidence:.2f},"
        f" {'ready' if room.usable else 'needs refinement'}, {_count(len(room.surfaces), 'surface')}.",
    ]
    for s in room.surfaces:
        line = f"{s.surface_id}: {100 * s.area:.1f} % of the picture, confidence {s.confidence:.2f}"
        line += f", median #{s.rgb[0]:02x}{s.rgb[1]:02x}{s.rgb[2]:02x} ({s.color}{', mixed' if s.mixed else ''})"
        if s.size is not None:
            line += f", seen {s.size.across_m:.2f} x {s.size.other_m:.2f} m"
            line += f" (x {s.size.low:.2f} to {s.size.high:.2f}, by {s.size.source}{', cut off' if s.size.cut else ''})"
        lines.append(line + ".")
    lines.append(
        f"Camera: {'measured' if q.camera_measured else 'assumed'}, view {q.field_of_view:.0f} degrees,"
        f" pitch {q.pitch:.1f}, roll {q.roll:.1f}."
    )
    lines.append(f"Light: median luma {q.luma:.2f}, {100 * q.clipped:.1f} % white; sharpness {q.sharpness:.2f}.")
    lines += [f"{f.reason}{' (severe)' if f.severe else ''}: {f.value:g} against {f.bar:g}." for f in q.findings] or [
        "Findings: none."
    ]
    return "\n".join(lines)


# --- words ---


def _middle(s: SurfaceFacts) -> float:
    return (s.box[0] + s.box[2]) / 2


def _word(s: SurfaceFacts) -> str:
    return _WORD.get(s.kind, s.kind.value)


def _names(surfaces: Sequence[SurfaceFacts]) -> dict[str, str]:
    """What each is called: by its kind and, where there are several, its place among them from left to right."""
    named: dict[str, str] = {}
    for kind in Kind:
        row = sorted((s for s in surfaces if s.kind is kind), key=_middle)
        for i, s in enumerate(row):
            word = _word(s)
            if len(row) == 1:
                named[s.surface_id] = f"the {word}"
            elif len(row) <= 3:
                named[s.surface_id] = f"the {_SIDES[len(row)][i]} {word}"
            elif i < len(_ORDINALS):
                named[s.surface_id] = f"the {_ORDINALS[i]} {word} from the left"
            else:
                named[s.surface_id] = f"{word} {i + 1} from the left"
    return named


_SIDES = {2: ("left", "right"), 3: ("left", "middle", "right")}


def _count(n: int, word: str) -> str:
    """`a wall`, `three walls`."""
    if n == 1:
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    return f"{_NUMBERS[n] if n < len(_NUMBERS) else n} {word}s"


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _part(area: float) -> str:
    return "less than 1 %" if area < 0.01 else f"about {100 * area:.0f} %"


def _looks(s: SurfaceFacts) -> str:
    return f"looks {'mostly ' if s.mixed else ''}{s.color}"


def _place(s: SurfaceFacts) -> str:
    left, _, right, _ = s.box
    if right - left > 0.75:
        return "across most"
    return "on the left" if _middle(s) < 0.36 else "on the right" if _middle(s) > 0.64 else "in the middle"


def _length(metres: float, size: Size) -> str:
    return f"about {metres:.1f} m ({metres * size.low:.1f} to {metres * size.high:.1f} m)"


def _size(s: SurfaceFacts) -> str:
    if s.size is None or s.area < SIZE_AREA:
        return ""
    other = "high" if s.kind is Kind.WALL else "deep"
    return f"{_length(s.size.across_m, s.size)} wide and {_length(s.size.other_m, s.size)} {other}"


def _first(ids: Sequence[str], by_id: dict[str, SurfaceFacts], *kinds: Kind) -> str:
    return next((i for i in ids if i in by_id and by_id[i].kind in kinds), "")


def _inventory(big: Sequence[SurfaceFacts], small: int, unsure: int) -> str:
    found = []
    for kind in (Kind.FLOOR, Kind.CEILING, Kind.WALL, Kind.WINDOW, Kind.DOOR):
        n = sum(s.kind is kind for s in big)
        found += [_count(n, kind.value)] if n else []
    objects, items = (sum(s.kind is kind for s in big) for kind in (Kind.FURNITURE, Kind.OTHER))
    found += [_count(objects, "object") + " (furniture and the like; what touches counts as one)"] if objects else []
    found += [_count(items, "item") + " (such as pictures, mirrors or screens)"] if items else []
    found += [_count(small, "small thing")] if small else []
    found += [_count(unsure, "thing") + " that could not be told for sure"] if unsure else []
    return f"The photo shows {_list(found)}." if found else "Nothing of a room was found in the photo."


def _objects(objects: Sequence[SurfaceFacts], names: dict[str, str], by_id: dict[str, SurfaceFacts]) -> list[str]:
    """A sentence each, the largest first; the others also by where they are from it."""
    parts = []
    for i, s in enumerate(objects):
        says = [_looks(s)]
        below, cut = by_id.get(s.below), s.box[3] > 0.99
        if below is not None and not cut and below.kind is Kind.FLOOR:
            says.append(f"has {names[s.below]} below it")
        elif below is not None and not cut and below.kind is Kind.FURNITURE and s.box[3] < below.box[3]:
            says.append(f"is above {names[s.below]}")
        if wall := _first(s.beside, by_id, Kind.WALL):
            says.append(f"is seen in front of {names[wall]}")
        if cut:
            says.append("is cut off by the lower edge of the picture")
        if i and s.below != objects[0].surface_id and (where := _from(s, objects[0])):
            says.append(f"is {where} {names[objects[0].surface_id]}")
        begin = f"covers {_part(s.area)} of the picture"
        parts.append(f"{_capital(names[s.surface_id])} {_list([begin, *says])}.")
    return parts


def _from(s: SurfaceFacts, other: SurfaceFacts) -> str:
    """Where it is from another, by their boxes; empty where these do not tell."""
    if s.box[2] <= other.box[0] + APART:
        return "left of"
    if s.box[0] >= other.box[2] - APART:
        return "right of"
    if s.box[3] <= other.box[1] + APART:
        return "above"
    if s.box[1] >= other.box[3] - APART:
        return "below"
    stand = bool(s.below) and s.below == other.below  # on the same floor: what reaches lower is nearer
    if stand and s.box[3] > other.box[3] + APART:
        return "in front of"
    if stand and s.box[3] < other.box[3] - APART:
        return "behind"
    return ""


def _about_the_photo(room: RoomFacts) -> str:
    faults = [_FAULTS.get(f.reason, f.reason.lower().replace("_", " ")) for f in room.quality.findings]
    said = f"Of the photo itself: {_list(faults)}." if faults else "No fault of the photo was found."
    return said if room.usable else f"{said} What was found is uncertain: correct it before use."


# --- what others wrote ---

_MARKUP: list[tuple[str, str]] = [
    (r"(?is)<(script|style)\b.*?(</\1\s*>|$)", " "),
    (r"(?s)<!--.*?(-->|$)", " "),
    (r"<[^<>]{0,2000}>", " "),
    (r"!?\[([^\[\]]{0,500})\]\([^()]{0,2000}\)", r"\1"),
    (r"(?i)\b(?:[a-z][a-z0-9+.-]{1,20}://|www\.|mailto:|javascript:|data:)\S*", " "),
    (r"(?i)\b(?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|info|biz|io|dev|app|ru|cn|top|xyz|shop|link|click|de)\b\S*", " "),
    (r"[<>`*_#|\\~{}\[\]]", " "),
]


def sanitized(text: str, length: int = DESCRIPTION_MAX) -> str:
    """A text of strangers as plain words: no markup, links or characters that are not seen; at most `length`, ended at
    a sentence where one ends."""
    text = html.unescape(html.unescape(text[: 20 * length]))
    text = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFKC", text))
    for pattern, instead in _MARKUP:
        text = re.sub(pattern, instead, text)
    text = re.sub(r" ([.,;:)])", r"\1", re.sub(r"\s+", " ", text).strip())
    if len(text) <= length:
        return text
    end = max(text.rfind(mark, 0, length) for mark in (". ", "! ", "? "))
    return text[: end + 1] if end > length // 2 else text[: text.rfind(" ", 0, length)].rstrip() or text[:length]
