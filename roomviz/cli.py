"""The `roomviz` command. Talks to nothing but the gateway's gRPC API."""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import stamina
import typer
from google.protobuf.json_format import MessageToDict
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from roomviz import __version__, cli_privacy
from roomviz.client import KINDS, PATTERNS, Client, OnProgress, from_status
from roomviz.errors import InvalidArgument, NotFound, RoomvizError, Unavailable
from roomviz.imaging import codec
from roomviz.tables import named
from roomviz.v1 import layouts_pb2, products_pb2, rooms_pb2, visualizations_pb2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="See a room with another floor, wall or ceiling.",
)
app.add_typer(cli_privacy.app, name="privacy")
out, err = Console(), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else there.")]

# The index map `labels.png`; later measurements read these numbers.
LABELS = {"other": 0, "floor": 1, "wall": 2, "ceiling": 3, "furniture": 4, "window": 5, "door": 6}
COLORS = np.array(
    [(150, 150, 150), (214, 140, 60), (96, 168, 110), (150, 170, 240), (222, 84, 84), (70, 196, 222), (170, 96, 200)],
    np.float32,
)
MATCHES = {
    name.removeprefix("WALLPAPER_MATCH_").lower(): value for name, value in layouts_pb2.WallpaperMatch.items() if value
}
FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".avif": "avif"}

VERDICTS = {
    "untouched": "byte for byte what was rendered",
    "rewritten": "every pixel is as it was rendered, the file was written anew",
    "altered": "it carries a receipt of yours, and shows something else",
    "unknown": "it carries no receipt, or not one of yours",
    "unprovable": "it carries a receipt of yours, which cannot be rendered again",
}


# Where the command was installed: beside a checkout's .env and state, as `make up` leaves them.
HOME = Path(sys.prefix).parent


class CliSettings(BaseSettings):
    """Where the gateway is and who asks; from the environment, or the `.env` of the stack."""

    model_config = SettingsConfigDict(
        env_prefix="ROOMVIZ_", env_file=(HOME / ".env", ".env"), env_ignore_empty=True, frozen=True, extra="ignore"
    )

    host: str = "127.0.0.1"
    gateway_port: int = 8443
    state: Path = Path(".local")
    api_key: str = ""
    tls: Literal["off", "on"] = "off"
    # Authorities to believe; empty: those of the local stack, or else gRPC's own list.
    ca_file: Path | None = None


def authorities(settings: CliSettings) -> bool | Path:
    """What `Client` takes as `tls`."""
    if settings.tls == "off":
        return False
    local = HOME / settings.state / "secrets" / "ca" / "ca.pem"
    found = settings.ca_file or (local if local.exists() else True)
    if isinstance(found, Path) and not found.is_file():
        raise InvalidArgument("CA_FILE_MISSING", f"there is no file {found}: see ROOMVIZ_CA_FILE")
    return found


@contextmanager
def gateway() -> Iterator[Client]:
    settings = CliSettings()
    address = f"{settings.host}:{settings.gateway_port}"
    tls = authorities(settings)
    session = cli_accounts.session_file(settings)
    if not settings.api_key and session.exists():
        with (
            Client(address, "", tls=tls) as anybody,
            Client(address, cli_accounts.KeptSession(session, anybody.accounts), tls=tls) as client,
        ):
            yield client
        return
    key_file = HOME / settings.state / "secrets" / "api_key"
    key = settings.api_key or (key_file.read_text().strip() if key_file.exists() else "")
    if not key:
        raise InvalidArgument(
            "API_KEY_MISSING", "no API key: set ROOMVIZ_API_KEY, or start the local stack with `make up`"
        )
    with Client(address, key, tls=tls) as client:
        yield client


@contextmanager
def progress(title: str, quiet: bool) -> Iterator[OnProgress]:
    """A bar on a terminal, lines elsewhere, nothing where asked to be quiet."""
    if quiet:
        yield lambda stage, percent: None
        return
    if not err.is_terminal:
        told: list[str] = []

        def line(stage: str, percent: int) -> None:
            if stage and stage not in told:
                told.append(stage)
                err.print(f"{title}: {stage} {percent} %", highlight=False)

        yield line
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} % {task.fields[stage]}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=100, stage="")
        yield lambda stage, percent: bar.update(task, completed=percent, stage=stage)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgument("FILE_UNREADABLE", f"{path}: {error.strerror}") from error


def write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InvalidArgument("FILE_UNWRITABLE", f"{path}: {error.strerror}") from error


def surface_json(s: rooms_pb2.Surface, mask: str) -> dict[str, Any]:
    plane = None
    if s.HasField("plane"):
        h = list(s.plane.homography)
        plane = {
            "normal": list(s.plane.normal),
            "homography": [h[0:3], h[3:6], h[6:9]],
            "scale_source": rooms_pb2.ScaleSource.Name(s.plane.scale_source).removeprefix("SCALE_SOURCE_").lower(),
            "scale_interval": [s.plane.scale_low, s.plane.scale_high],
        }
    return {
        "id": s.surface_id,
        "kind": rooms_pb2.SurfaceKind.Name(s.kind).removeprefix("SURFACE_KIND_").lower(),
        "confidence": round(s.confidence, 4),
        "area_fraction": round(s.area_fraction, 5),
        "bbox": list(s.bbox_px),
        "mask": mask,
        "plane": plane,
    }


def label_map(
    surfaces: list[dict[str, Any]], masks: list[np.ndarray[Any, Any]], height: int, width: int
) -> np.ndarray[Any, Any]:
    """(H, W) uint8: at each pixel the label of the surface whose mask is strongest there."""
    best, label = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    for s, mask in zip(surfaces, masks, strict=True):
        stronger = mask > best
        label[stronger] = LABELS[s["kind"]]
        best[stronger] = mask[stronger]
    return label


def overlay(photo: codec.Image, label: np.ndarray[Any, Any]) -> codec.Image:
    """The photo with each kind of surface tinted, and white lines between them."""
    mixed = photo * np.float32(0.55) + COLORS[label] * np.float32(0.45)
    edge = cv2.morphologyEx(label, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    mixed[edge] = 255
    return np.asarray(mixed, np.uint8)


def uploaded(client: Client, path: Path, quiet: bool, reanalyze: bool = False) -> rooms_pb2.AnalyzeRoomResponse:
    """Send a photo and have it analyzed."""
    data = read(path)
    with progress(path.name, quiet) as tell:
        tell("upload", 0)
        room = client.upload(data, path.name)
        if not quiet and (
            removed := [
                rooms_pb2.MetadataKind.Name(k).removeprefix("METADATA_KIND_").lower().replace("_", " ")
                for k in room.privacy_report.removed
            ]
        ):
            err.print(f"{path.name}: removed from the photo: {', '.join(removed)}", highlight=False)
        return client.analyze(room.name, tell, reanalyze)


@app.command()
def analyze(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    out_dir: Annotated[
        Path, typer.Option("--out", help="Folder for surfaces.json, labels.png, masks and overlay.jpg.")
    ],
    again: Annotated[
        bool, typer.Option("--again", help="Analyze again although this photo was analyzed before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find the surfaces of a room."""
    with gateway() as client:
        found = uploaded(client, room, as_json, again)
        record = written(client, found, list(found.surfaces), out_dir)
    if as_json:
        print(json.dumps(record))
        return
    tell_surfaces(record)
    for finding in found.quality.findings:
        out.print(f"[{'red' if finding.severe else 'yellow'}]{finding.reason}[/]: {finding.advice}")
    out.print(f"{out_dir}/overlay.jpg", highlight=False)


@app.command()
def describe(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    as_json: Json = False,
) -> None:
    """Tell in words what is in a room."""
    with gateway() as client:
        found = client.describe(uploaded(client, room, as_json).room)
    if as_json:
        print(json.dumps(plain(found)))
        return
    out.print(found.description, markup=False, highlight=False)
    out.print(f"\n{found.technical_summary}", markup=False, highlight=False)
    by = f"{found.provider} ({found.fallback_reason})" if found.fallback_reason else found.provider
    out.print(f"\nwritten by {by}", markup=False, highlight=False)


def written(
    client: Client, found: rooms_pb2.AnalyzeRoomResponse, now: list[rooms_pb2.Surface], out_dir: Path
) -> dict[str, Any]:
    """Write the surfaces as they are now into a folder; returns the record of `surfaces.json`."""
    photo = codec.decode_rgb(client.photo(found.room))
    height, width = photo.shape[:2]
    surfaces, masks = [], []
    for s in now:
        png = client.mask(s.name)
        name = f"mask-{s.surface_id}.png"
        write(out_dir / name, png)
        surfaces.append(surface_json(s, name))
        masks.append(codec.decode_grey(png))
    label = label_map(surfaces, masks, height, width)
    quality = MessageToDict(found.quality, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    record = {
        "width": width,
        "height": height,
        "room": found.room,
        "model": found.model,
        "state": rooms_pb2.RoomState.Name(found.state).removeprefix("ROOM_STATE_"),
        "quality": quality,
        "surfaces": surfaces,
    }
    write(out_dir / "surfaces.json", (json.dumps(record, indent=2) + "\n").encode())
    write(out_dir / "labels.png", codec.encode_png(label))
    write(out_dir / "overlay.jpg", codec.encode_jpeg(overlay(photo, label)))
    return record


def tell_surfaces(record: dict[str, Any]) -> None:
    table = Table("surface", "area", "confidence", "plane")
    for row in record["surfaces"]:
        table.add_row(
            row["id"], f"{row['area_fraction']:.1%}", f"{row['confidence']:.2f}", "yes" if row["plane"] else ""
        )
    out.print(table)


def numbers(text: str, count: int = 0) -> list[float]:
    """Numbers with commas between them."""
    try:
        found = [float(v) for v in text.split(",")]
    except ValueError:
        found = []
    if not found or (count and len(found) != count):
        raise InvalidArgument("STROKE_INVALID", f"{text!r}: give {count or 'some'} numbers with commas between")
    return found


def line(text: str) -> list[tuple[float, float]]:
    """Points as in "10,20 30,40"."""
    return [(x, y) for x, y in (numbers(pair, 2) for pair in text.split())]


@app.command("refine")
def refine_command(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    surface: Annotated[str, typer.Argument(help="The id of a surface, such as floor-1.")] = "",
    add: Annotated[list[str] | None, typer.Option("--add", metavar="X,Y", help="A click on what is missing.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="X,Y", help="A click on what does not belong to it.")
    ] = None,
    scribble: Annotated[
        list[str] | None, typer.Option(metavar='"X,Y X,Y …"', help="A line drawn with a brush.")
    ] = None,
    width: Annotated[float, typer.Option(help="The brush's width in pixels.")] = 12.0,
    polygon: Annotated[
        list[str] | None, typer.Option(metavar='"X,Y X,Y …"', help="An outline; exactly its inside.")
    ] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Scribbles and polygons take away.")] = False,
    box: Annotated[str, typer.Option(metavar="X0,Y0,X1,Y1", help="The thing in a box, or the limit of it all.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last step.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Do it again.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the automatic masks.")] = False,
    log: Annotated[bool, typer.Option("--log", help="List the steps.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Try the steps on the newest analysis.")] = False,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder for surfaces.json, labels.png, masks and overlay.jpg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Correct the mask of a surface. Coordinates are pixels of the upright photo."""
    strokes = [Client.point(x, y) for x, y in line(" ".join(add or []))]
    strokes += [Client.point(x, y, erase=True) for x, y in line(" ".join(remove or []))]
    strokes += [Client.scribble(line(p), width, erase) for p in scribble or []]
    strokes += [Client.polygon(line(p), erase) for p in polygon or []]
    strokes += [Client.box(*numbers(box, 4))] if box else []
    if (bool(strokes), undo, redo, reset, log, replay).count(True) != 1 or bool(strokes) != bool(surface):
        raise InvalidArgument(
            "STROKES_INVALID",
            "give a surface and what was drawn on it, or one of --undo, --redo, --reset, --log, --replay",
        )
    with gateway() as client:
        found = uploaded(client, room, as_json)
        if log:
            record: dict[str, Any] = {"room": found.room, "log": [plain(e) for e in client.refinements(found.room)]}
        elif replay:
            record = {"room": found.room} | plain(client.replay(found.room))
        else:
            if undo:
                made: Any = client.undo(found.room)
            elif redo:
                made = client.redo(found.room)
            elif reset:
                made = client.reset(found.room)
            else:
                made = client.refine(f"{found.room}/surfaces/{surface}", strokes)
            record = {"room": found.room, "revision": made.refinement.revision, "etag": made.etag}
            record["changed"] = [s.surface_id for s in made.surfaces]
        if out_dir is not None:
            record["surfaces"] = written(client, found, client.surfaces(found.room), out_dir)["surfaces"]
    if as_json:
        print(json.dumps(record))
    elif log:
        tell_log(record["log"])
    elif replay:
        table = Table("surface", "is now", "IoU of old and new", "automatic")
        for r in record["surfaces"]:
            table.add_row(r["surface_id"], r["replayed_id"], f"{r['iou']:.3f}", f"{r['automatic_iou']:.3f}")
        out.print(table)
    else:
        out.print(f"revision {record['revision']}: changed {', '.join(record['changed']) or 'nothing'}")
        if out_dir is not None:
            out.print(f"{out_dir}/overlay.jpg", highlight=False)


def plain(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found


def tell_log(steps: list[dict[str, Any]]) -> None:
    table = Table("revision", "step", "surface", "strokes", "in force", "when")
    for e in steps:
        table.add_row(
            e["revision"],
            e["kind"].removeprefix("REFINEMENT_KIND_").lower(),
            e["surface"].rpartition("/")[2],
            str(len(e["strokes"]) or ""),
            "yes" if e["active"] else "",
            e["create_time"][:19],
        )
    out.print(table)


def side_by_side(before: codec.Image, after: codec.Image) -> codec.Image:
    """Both pictures with a white line between."""
    line = np.full((before.shape[0], max(4, before.shape[1] // 150), 3), 255, np.uint8)
    return np.hstack([before, line, after])


def asked_layout(
    pattern: str,
    border: str,
    grout_mm: float | None,
    grout_color: str,
    offset: float,
    match: str,
    seed: int,
    shortest: float = 0.0,
) -> layouts_pb2.Layout | None:
    """None where the material says it all."""
    edge: dict[str, Any] = {} if border == "-" else {"border": border_of(border)}
    if pattern == "-":
        return Client.layout(**edge) if edge else None
    fields: dict[str, Any] = {"offset": offset, "seed": seed, "min_length_m": shortest}
    if grout_mm is not None:
        try:
            color = int(grout_color, 16)
        except ValueError as error:
            raise InvalidArgument("LAYOUT_INVALID", "--grout-color is six hexadecimal digits, RRGGBB") from error
        fields["grout"] = layouts_pb2.Grout(
            width_m=grout_mm / 1000, color_rgb=color, depth_m=min(0.001, grout_mm / 1000)
        )
    if match:
        if match not in MATCHES:
            raise InvalidArgument("LAYOUT_INVALID", f"--match is one of {', '.join(MATCHES)}")
        fields["match"] = MATCHES[match]
    return Client.layout(pattern, **fields, **edge)


def border_of(text: str) -> layouts_pb2.Border:
    """A border along the walls: a SKU, or width and length in metres of pieces that are cut from the floor's own."""
    if "," not in text:
        return Client.border(sku=text)
    try:
        width, length = (float(v) for v in text.split(","))
    except ValueError as error:
        raise InvalidArgument("LAYOUT_INVALID", f"--border {text}: a SKU, or WIDTH,LENGTH in metres") from error
    return Client.border(width_m=width, piece_length_m=length)


def placement(text: str) -> visualizations_pb2.Placement:
    """A thing as in RUG-JUTE-ROUND@820,900,30,1.2: SKU, pixel, degrees, scale."""
    sku, at, rest = text.partition("@")
    try:
        given = [float(v) for v in rest.split(",")] if at else []
    except ValueError:
        given = [0.0]
    if at and not 2 <= len(given) <= 4:
        raise InvalidArgument("PLACEMENT_INVALID", f"{text!r}: give SKU, or SKU@X,Y with degrees and scale after it")
    turn, scale = (*given[2:], *(0.0, 1.0)[max(0, len(given) - 2) :])
    return Client.place(sku, (given[0], given[1]) if at else None, rotation_deg=turn, scale=scale)


@app.command()
def render(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    after: Annotated[Path, typer.Option("--out", help="The picture: .jpg, .png, .webp or .avif.")],
    surface: Annotated[
        list[str] | None,
        typer.Option("--surface", help="floor, wall, ceiling …, or the id of one surface. Once for each material."),
    ] = None,
    material: Annotated[
        list[str] | None,
        typer.Option(
            "--material",
            metavar="SKU[@FINISH]",
            help="SKU, or paint of any colour: '#RRGGBB' or lab:L/A/B; a finish after it: matte, eggshell, satin, gloss, "
            "polished. Once for each surface.",
        ),
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SKU[@X,Y[,DEGREES[,SCALE]]]",
            help="A rug, a picture, furniture …, at a pixel of the upright photo, or where there is most room.",
        ),
    ] = None,
    compare: Annotated[Path | None, typer.Option(help="Also write before and after side by side.")] = None,
    rotate: Annotated[float, typer.Option(help="Turn the pattern, degrees.")] = 0.0,
    format: Annotated[str, typer.Option(help="jpeg, png, webp or avif, whatever --out is called.")] = "",
    view: Annotated[str, typer.Option(help="after, before, side-by-side, or layer: what is new, alone.")] = "after",
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            help=f"How pieces are laid: {', '.join(PATTERNS)}; '-' as the material says. Once for each material."
        ),
    ] = None,
    border: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SKU|WIDTH,LENGTH",
            help="Along the walls of a floor: of a product's pieces, or of pieces of so many metres cut from the floor's; '-' "
            "none. Once for each material.",
        ),
    ] = None,
    grout_mm: Annotated[float | None, typer.Option(help="Width of the joints where a pattern is given.")] = None,
    grout_color: Annotated[str, typer.Option(metavar="RRGGBB", help="Their colour.")] = "b4b0a8",
    offset: Annotated[float, typer.Option(help="Shift of the rows of a running bond, a part of a piece.")] = 0.0,
    shortest: Annotated[
        float,
        typer.Option(metavar="METRES", help="Of planks of random lengths the shortest; the longest is the piece's."),
    ] = 0.0,
    match: Annotated[str, typer.Option(help="How strips of wallpaper meet: straight, half_drop, random.")] = "",
    seed: Annotated[int, typer.Option(help="Of what is random in a layout.")] = 0,
    relight: Annotated[str, typer.Option(help="Other light than the photo's: day, warm or cool.")] = "",
    reference: Annotated[
        str, typer.Option(metavar='"SURFACE X,Y X,Y METRES"', help="A measured length; it scales the whole room.")
    ] = "",
    corners: Annotated[
        list[str] | None,
        typer.Option(
            metavar='"SURFACE X,Y X,Y X,Y X,Y [WIDTH,HEIGHT]"',
            help="How a surface lies: a rectangle on it, clockwise from its top left, and its metres.",
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="At most 2 megapixels, as a JPEG, without keeping it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a room with other materials, and with things in it."""
    surface, material = surface or [], material or []
    if len(surface) != len(material):
        raise InvalidArgument("APPLICATIONS_INVALID", "give one --material for each --surface")
    if pattern and len(pattern) != len(material):
        raise InvalidArgument("APPLICATIONS_INVALID", "give one --pattern for each --material, or none")
    if border and len(border) != len(material):
        raise InvalidArgument("APPLICATIONS_INVALID", "give one --border for each --material, or none")
    none = ["-"] * len(material)
    layouts = [
        asked_layout(p, b, grout_mm, grout_color, offset, match, seed, shortest)
        for p, b in zip(pattern or none, border or none, strict=True)
    ]
    kind = format or FORMATS.get(after.suffix.lower(), "")
    if kind not in FORMATS.values() or (compare and compare.suffix.lower() not in FORMATS):
        raise InvalidArgument(
            "IMAGE_FORMAT_UNSUPPORTED", f"{compare or after}: the name must end in {', '.join(FORMATS)}"
        )
    if compare and view != "after":
        raise InvalidArgument("VIEW_INVALID", "--compare goes with the picture itself, not with another --view")
    if preview and (kind != "jpeg" or view != "after"):
        raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "a preview is a JPEG of the room after")
    placements = [placement(text) for text in place or []]
    staging = Client.staging([corners_of(text) for text in corners or []], reference_of(reference), relight, placements)
    shown: visualizations_pb2.PreviewVisualizationResponse | visualizations_pb2.Visualization
    with gateway() as client:
        for text in material:
            if not is_color(text):
                client.product(text.partition("@")[0])
        found = uploaded(client, room, as_json)
        have = [s.surface_id for s in found.surfaces]
        for name in surface:
            if name not in KINDS and name not in have:
                raise NotFound("SURFACE_NOT_FOUND", f"the room has no surface {name}; it has {', '.join(have)}")
        wanted = [
            covering(text, "" if name in KINDS else name, name if name in KINDS else "", rotate, layout)
            for name, text, layout in zip(surface, material, layouts, strict=True)
        ]
        if preview:
            shown = client.preview_details(found.room, wanted, staging)
            data, visualization = bytes(shown.image), ""
        else:
            with progress("render", as_json) as tell:
                shown = client.export(found.room, wanted, kind, tell, view.replace("-", "_"), staging)
            data, visualization = client.picture(shown.name), shown.name
        write(after, data)
        if compare is not None:
            picture = codec.decode_rgb(data)
            photo = codec.resize(codec.decode_rgb(client.photo(found.room)), *picture.shape[:2])
            write(compare, codec.encode(side_by_side(photo, picture), compare.suffix.lower()))
    if as_json:
        print(
            json.dumps(
                {
                    "room": found.room,
                    "visualization": visualization,
                    "out": str(after),
                    "compare": str(compare) if compare else None,
                    "colors": [plain(c) for c in shown.colors],
                    "scales": [plain(s) for s in shown.scales],
                    "placed": [plain(p) for p in shown.placed],
                }
            )
        )
        return
    out.print(str(compare or after), highlight=False)
    for c in shown.colors:
        out.print(
            f"{c.surface_id}: {c.product.rpartition('/')[2] or 'paint'} #{c.asked_rgb:06x} is seen as #{c.shown_rgb:06x} "
            f"(ΔE00 {c.delta_e00:.1f}) in light #{c.illuminant_rgb:06x}",
            highlight=False,
        )
    for s in shown.scales:
        source = rooms_pb2.ScaleSource.Name(s.source).removeprefix("SCALE_SOURCE_").lower().replace("_", " ")
        out.print(f"{s.surface_id}: metres by {source}, {s.low:.2f} to {s.high:.2f}", highlight=False)


def corners_of(text: str) -> visualizations_pb2.PlaneCorners:
    """As in "wall-1 10,20 300,20 300,200 10,200 2.4,0"."""
    surface, _, rest = text.strip().partition(" ")
    points = line(rest)
    if len(points) not in (4, 5):
        raise InvalidArgument("CORNERS_INVALID", f"{text!r}: give a surface, four points, and width and height or not")
    size = points[4] if len(points) == 5 else (0.0, 0.0)
    return Client.corners(surface, points[:4], *size)


def reference_of(text: str) -> visualizations_pb2.ReferenceLength | None:
    """As in "floor-1 10,20 300,20 2.4"."""
    if not text:
        return None
    parts = text.split()
    if len(parts) != 4:
        raise InvalidArgument("REFERENCE_INVALID", f"{text!r}: give a surface, two points and metres")
    return Client.reference(parts[0], line(" ".join(parts[1:3])), numbers(parts[3], 1)[0])


def designs(texts: list[str], rotate: float, have: list[str]) -> list[list[visualizations_pb2.Application]]:
    """Designs as in "floor=FLR-OAK,wall-1=PNT-SKY"."""
    out: list[list[visualizations_pb2.Application]] = []
    for text in texts:
        out.append([])
        for pair in text.split(","):
            name, _, sku = pair.strip().partition("=")
            if not name or not sku:
                raise InvalidArgument("VARIANT_INVALID", f"{text!r}: write floor=SKU, or floor=SKU,wall-1=SKU")
            if name not in KINDS and name not in have:
                raise NotFound("SURFACE_NOT_FOUND", f"the room has no surface {name}; it has {', '.join(have)}")
            kind = name in KINDS
            out[-1].append(covering(sku, "" if kind else name, name if kind else "", rotate))
    return out


def covering(
    text: str, surface_id: str, kind: str, rotate: float, layout: layouts_pb2.Layout | None = None
) -> visualizations_pb2.Application:
    """A material as in "PNT-SKY", "#a3b1c2" or "lab:52/10/-20", with a finish after it or not, as in "#a3b1c2@eggshell"."""
    name, _, finish = text.partition("@")
    if not is_color(name):
        return Client.apply(name, surface_id, kind, rotate, layout, finish)
    try:
        if re.fullmatch("#[0-9A-Fa-f]{6}", name):
            return Client.paint(int(name.removeprefix("#"), 16), surface_id, kind, finish)
        l, a, b = (float(v) for v in name.removeprefix("lab:").split("/"))
        return Client.paint((l, a, b), surface_id, kind, finish)
    except ValueError as error:
        raise InvalidArgument("COLOR_INVALID", f"{text!r}: a colour is #RRGGBB or lab:L/A/B") from error


def is_color(text: str) -> bool:
    return text.startswith(("#", "lab:"))


@app.command()
def compare(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    across: Annotated[
        list[str],
        typer.Option("--across", metavar="SURFACE=SKU[,…]", help="A design; once for each column."),
    ],
    sheet: Annotated[Path, typer.Option("--out", help="The sheet, a .jpg.")],
    down: Annotated[
        list[str] | None,
        typer.Option("--down", metavar="SURFACE=SKU[,…]", help="What each row adds to all designs; once for each row."),
    ] = None,
    tiles: Annotated[Path | None, typer.Option(help="Folder for the tiles too.")] = None,
    tile_px: Annotated[int, typer.Option("--tile-px", help="Long side of a tile in pixels.")] = 0,
    rotate: Annotated[float, typer.Option(help="Turn the patterns, degrees.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Show designs of a room beside each other; with --down, each with each."""
    if sheet.suffix.lower() not in (".jpg", ".jpeg"):
        raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", f"{sheet}: the name must end in .jpg")
    failed: dict[int, RoomvizError] = {}
    receipt = ""
    with gateway() as client:
        found = uploaded(client, room, as_json)
        have = [s.surface_id for s in found.surfaces]
        columns, rows = designs(across, rotate, have), designs(down or [], rotate, have) or [[]]
        variants = [column + row for row in rows for column in columns]
        done = 0
        with progress("compare", as_json) as tell:
            for part in client.compare(found.room, variants, len(columns) if down else 0, tile_px):
                if part.HasField("sheet"):
                    write(sheet, part.sheet.image)
                    receipt = part.sheet.receipt
                    continue
                done += 1
                tell("render", 100 * done // len(variants))
                if part.tile.HasField("error"):
                    failed[part.tile.index] = from_status(part.tile.error)
                elif tiles is not None:
                    write(tiles / f"{part.tile.row + 1}-{part.tile.column + 1}.jpg", part.tile.image)
    if as_json:
        errors = [{"index": n, "reason": e.reason, "message": e.message} for n, e in sorted(failed.items())]
        told = {"room": found.room, "variants": len(variants), "out": str(sheet), "receipt": receipt}
        print(json.dumps(told | {"errors": errors}))
    else:
        for n, error in sorted(failed.items()):
            err.print(f"variant {n + 1}: {error.message} [dim]({error.reason})[/]", highlight=False)
        out.print(str(sheet), highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def batch(
    room: Annotated[Path | None, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")] = None,
    surface: Annotated[str, typer.Option(help="floor (default), wall, ceiling …, or the id of one.")] = "",
    material: Annotated[list[str] | None, typer.Option("--material", help="SKU. Once for each product.")] = None,
    skus: Annotated[Path | None, typer.Option(help="A file with a SKU a line.")] = None,
    category: Annotated[str, typer.Option(help="All of it, such as flooring, that can be laid, or placed.")] = "",
    place: Annotated[bool, typer.Option("--place", help="They are things: each goes where it has most room.")] = False,
    rotate: Annotated[float, typer.Option(help="Turn the patterns, or the things, degrees.")] = 0.0,
    format: Annotated[str, typer.Option(help="jpeg, png, webp or avif.")] = "jpeg",
    long_side: Annotated[int, typer.Option("--long-side", help="Of the pictures, in pixels; 0: a preview's.")] = 0,
    resume: Annotated[str, typer.Option(metavar="OPERATION", help="Go on with a batch: operations/…")] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="With --resume: end it; keep what is rendered.")] = False,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Folder for the pictures, named by their SKU.")] = None,
    as_json: Json = False,
) -> None:
    """Render each of many products on one room. It goes on when this command is interrupted: see --resume."""
    if (room is None) == (not resume) or (cancel and not resume):
        raise InvalidArgument("BATCH_INVALID", "give a photo to begin a batch, or --resume OPERATION to go on with one")
    if format not in FORMATS.values():
        raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "--format is jpeg, png, webp or avif")
    if place and surface in KINDS:
        raise InvalidArgument("BATCH_INVALID", "a thing knows its kind of surface: with --place, --surface is an id")
    with gateway() as client:
        operation = resume
        if room is not None:
            wanted = [*(material or []), *(read(skus).decode(errors="replace").split() if skus else [])]
            sort = "cutout" if place else "material"
            wanted += [p.sku for p in client.products(category) if p.HasField(sort)] if category else []
            found = uploaded(client, room, as_json)
            target: visualizations_pb2.Application | visualizations_pb2.Placement
            if place:
                target = client.place("", surface_id=surface, rotation_deg=rotate)
            else:
                surface = surface or "floor"
                kind = surface in KINDS
                target = client.target("" if kind else surface, surface if kind else "", rotate)
            operation = client.start_batch(found.room, target, list(dict.fromkeys(wanted)), format, long_side)
            err.print(f"{operation} runs; if this is interrupted: roomviz batch --resume {operation}", highlight=False)
        if cancel:
            client.cancel(operation)
        else:
            with progress("batch", as_json) as tell:
                client.finish_batch(operation, tell)
        items = list(client.batch_items(operation))
        if out_dir is not None:
            fetch_pictures(client, items, out_dir)
    tell_batch(operation, items, as_json)


def fetch_pictures(client: Client, items: list[visualizations_pb2.BatchItem], folder: Path) -> None:
    """Write the pictures of a batch that are not there yet."""
    for item in items:
        if not item.visualization:
            continue
        made = client.visualization(item.visualization)
        format = visualizations_pb2.ImageFormat.Name(made.format).removeprefix("IMAGE_FORMAT_").lower()
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in item.product.removeprefix("products/"))
        path = folder / f"{name}.{ {'jpeg': 'jpg'}.get(format, format) }"
        if not path.exists() or hashlib.sha256(read(path)).hexdigest() != made.content_digest:
            write(path, client.picture(made.name))


def tell_batch(operation: str, items: list[visualizations_pb2.BatchItem], as_json: bool) -> None:
    failed = [(i.product, from_status(i.error)) for i in items if i.HasField("error")]
    pictures = sum(bool(i.visualization) for i in items)
    if as_json:
        print(json.dumps({"operation": operation, "items": [plain(i) for i in items]}))
    else:
        for product, error in failed:
            err.print(f"{product}: {error.message} [dim]({error.reason})[/]", highlight=False)
        rest = len(items) - pictures - len(failed)
        out.print(
            f"{operation}: {pictures} pictures, {len(failed)} errors" + (f", {rest} not rendered" if rest else "")
        )
    if failed:
        raise typer.Exit(1)


@app.command()
def quantity(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    material: Annotated[str, typer.Option("--material", help="SKU.")],
    surface: Annotated[str, typer.Option(help="The id of a surface.")] = "floor-1",
    outline: Annotated[
        str, typer.Option(metavar='"X,Y X,Y …"', help="Instead of what is seen: metres on the surface's plane.")
    ] = "",
    hole: Annotated[
        list[str] | None, typer.Option(metavar='"X,Y X,Y …"', help="What to leave out; once for each.")
    ] = None,
    rotate: Annotated[float, typer.Option(help="Turn the pattern, degrees.")] = 0.0,
    coats: Annotated[int, typer.Option(help="Of paint; 0: two.")] = 0,
    true_scale: Annotated[float, typer.Option("--true-scale", help="A measured length over the estimated one.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Tell how much of a material to buy."""
    with gateway() as client:
        found = uploaded(client, room, as_json)
        made = client.quantity(
            found.room,
            surface,
            material,
            line(outline),
            [line(h) for h in hole or []],
            rotate,
            coats,
            true_scale,
        )
    if as_json:
        print(json.dumps({"room": found.room} | plain(made)))
        return

    def between(i: Any, unit: str, digits: int = 0) -> str:
        return f"{i.value:.{digits}f} {unit} ({i.low:.{digits}f} to {i.high:.{digits}f})"

    out.print(f"area: {between(made.area_m2, 'm²', 1)}", highlight=False)
    if made.HasField("boxes"):
        b = made.boxes
        out.print(f"boxes: {between(b.boxes, 'boxes')}", highlight=False)
        out.print(
            f"{b.pieces} pieces: {b.whole} whole, {b.cut} cut ({b.from_offcuts} of them from offcuts), waste {b.waste:.0%}",
            highlight=False,
        )
        if made.HasField("border"):
            edge = made.border
            out.print(f"border: {between(edge.boxes, 'boxes')}, {edge.whole} whole, {edge.cut} cut", highlight=False)
    elif made.HasField("rolls"):
        out.print(f"rolls: {between(made.rolls.rolls, 'rolls')}, {made.rolls.drops} drops", highlight=False)
    elif made.HasField("paint"):
        paint = made.paint
        out.print(f"paint: {between(paint.litres, 'l', 1)}, {between(paint.cans, 'cans')}", highlight=False)
    if made.open_border > 0.02:
        out.print("the surface goes on beyond the picture: only what is seen was counted; --outline counts all of it")
    for warning in made.warnings:
        out.print(f"[yellow]{warning.rule}[/]: {warning.message}", highlight=False)


@app.command()
def rerender(
    receipt: Annotated[str, typer.Argument(help="The receipt of a picture; `roomviz verify` tells it.")],
    picture: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    as_json: Json = False,
) -> None:
    """Render a picture again from its receipt: the same bytes."""
    with gateway() as client:
        data = client.rerender(receipt)
    write(picture, data)
    if as_json:
        print(json.dumps({"receipt": receipt, "out": str(picture), "size_bytes": len(data)}))
    else:
        out.print(str(picture), highlight=False)


@app.command()
def verify(
    picture: Annotated[Path, typer.Argument(help="A picture that roomviz may have made.")], as_json: Json = False
) -> None:
    """Tell whether a picture is untouched. Ends with 1 where it is not one of yours or shows something else."""
    with gateway() as client:
        found = client.verify(read(picture))
    verdict = visualizations_pb2.RenderVerdict.Name(found.verdict).removeprefix("RENDER_VERDICT_").lower()
    if as_json:
        print(json.dumps(plain(found) | {"verdict": verdict, "altered_px": list(found.altered_px)}))
    else:
        out.print(f"{verdict}: {VERDICTS[verdict]}", highlight=False)
        for name, value in (
            ("receipt", found.receipt),
            ("room", found.room),
            ("differs at", " ".join(map(str, found.altered_px))),
            ("generated", "yes" if found.generated else ""),
        ):
            if value:
                out.print(f"{name} {value}", highlight=False)
    if verdict not in ("untouched", "rewritten"):
        raise typer.Exit(1)


@app.command()
def generate(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    surface: Annotated[str, typer.Argument(help="The id of a surface, such as wall-1.")],
    prompt: Annotated[str, typer.Argument(help="What it shall look like.")],
    after: Annotated[Path, typer.Option("--out", help="The picture: .jpg, .png, .webp or .avif.")],
    seed: Annotated[int, typer.Option(help="Another one, another picture.")] = 0,
    as_json: Json = False,
) -> None:
    """Have a generative model make a surface up, where one is set up. The picture is marked as generated."""
    kind = FORMATS.get(after.suffix.lower(), "")
    if not kind:
        raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", f"{after}: the name must end in {', '.join(FORMATS)}")
    with gateway() as client:
        found = uploaded(client, room, as_json)
        with progress("generate", as_json) as tell:
            made = client.generate(found.room, surface, prompt, seed, kind, tell)
        write(after, client.picture(made.name))
    if as_json:
        print(json.dumps({"room": found.room, "visualization": made.name, "out": str(after)}))
    else:
        out.print(str(after), highlight=False)


@app.command()
def materials(
    category: Annotated[str, typer.Option(help="Such as flooring or wall.wallpaper.")] = "",
    search: Annotated[str, typer.Option(help="Words to look for.")] = "",
    as_json: Json = False,
) -> None:
    """List the catalogue: materials, and things to place."""
    with gateway() as client:
        found = client.products(category, search)
    if as_json:
        print(json.dumps([MessageToDict(p, preserving_proto_field_name=True) for p in found]))
        return
    table = named("SKU", "name", "category", "size", "finish or mount", "price")
    for p in found:
        m, thing = p.material, p.cutout
        piece = f"{m.piece_width_m:g} x {m.piece_length_m:g} m" if m.piece_width_m else ""
        how = products_pb2.Finish.Name(m.finish).removeprefix("FINISH_").lower()
        if p.HasField("cutout"):
            piece = f"{thing.width_m:.3g} x {thing.height_m:.3g} m"
            how = products_pb2.Mount.Name(thing.mount).removeprefix("MOUNT_").lower()
        price = f"{p.price.units + p.price.nanos / 1e9:.2f} {p.price.currency_code}"
        price = "" if p.price.currency_code == "XXX" else price  # a customer's own, which is not for sale
        table.add_row(
            p.sku,
            p.display_name,
            p.category,
            piece,
            how,
            price,
        )
    out.print(table)
    out.print(f"{len(found)} products")


@app.command("import-pattern")
def import_pattern(
    url: Annotated[str, typer.Argument(help="Where the picture is; on the public internet.")],
    width: Annotated[float, typer.Option(help="Width in metres of what the picture shows.")],
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    seamless: Annotated[bool, typer.Option(help="Make it repeat without a seam.")] = False,
    as_json: Json = False,
) -> None:
    """Make a wallpaper of a pattern of your own; what is told is its SKU."""
    with gateway() as client:
        made = client.import_pattern(url, width, name, seamless)
    if as_json:
        print(json.dumps(MessageToDict(made, preserving_proto_field_name=True)))
    else:
        m = made.material
        out.print(f"{made.sku}  repeats every {m.repeat_width_m:.3g} x {m.repeat_height_m:.3g} m", highlight=False)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tell how each server and service is."""
    try:
        with gateway() as client:
            found = [
                MessageToDict(c, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
                for c in client.status()
            ]
    except Unavailable as error:
        reason = f"{error.message}; start the stack with `make up`"
        found = [{"component": "gateway", "version": "", "reachable": False, "ready": False, "reason": reason}]
    if as_json:
        print(json.dumps(found))
    else:
        table = Table("component", "version", "reachable", "ready", "why not")
        for c in found:
            sign = {True: "[green]yes[/]", False: "[red]no[/]"}
            table.add_row(c["component"], c["version"], sign[c["reachable"]], sign[c["ready"]], c["reason"])
        out.print(table)
    if not all(c["ready"] for c in found):
        raise typer.Exit(1)


@app.command()
def propose(
    room: Annotated[Path, typer.Argument(help="A photo: JPEG, PNG, WebP, AVIF or HEIC.")],
    out_file: Annotated[Path, typer.Option("--out", help="A picture of the masks.")],
    point: Annotated[list[str] | None, typer.Option(help="x,y in pixels: in the object.")] = None,
    outside: Annotated[list[str] | None, typer.Option("--not", help="x,y in pixels: outside of it.")] = None,
    box: Annotated[str, typer.Option(help="x0,y0,x1,y1 in pixels: around it.")] = "",
    words: Annotated[str, typer.Option(help="What it is called; needs a CLIP model.")] = "",
    as_json: Json = False,
) -> None:
    """Find things in a room: all of them, or those that points, a box or words mean."""
    positive, negative = (line(" ".join(given or [])) for given in (point, outside))
    corners = numbers(box, 4) if box else None
    with gateway() as client:
        analyzed = uploaded(client, room, as_json)
        photo = codec.decode_rgb(client.photo(analyzed.room))
        frame = (corners[0], corners[1], corners[2], corners[3]) if corners else None
        found = client.propose(analyzed.room, positive, negative, frame, words)
    mixed = photo.astype(np.float32)
    for i, m in enumerate(sorted(found.masks, key=lambda m: -m.area_fraction)):
        x, y, w, h = m.bbox_px
        inside = codec.decode_grey(m.png) > 0
        mixed[y : y + h, x : x + w][inside] = 0.5 * photo[y : y + h, x : x + w][inside] + 0.5 * COLORS[1 + i % 6]
    write(out_file, codec.encode(np.asarray(mixed, np.uint8), out_file.suffix or ".jpg"))
    rows = [
        {"score": round(m.score, 4), "bbox": list(m.bbox_px), "area_fraction": round(m.area_fraction, 5)}
        for m in found.masks
    ]
    if as_json:
        print(json.dumps({"model": found.model, "masks": rows}))
        return
    out.print(f"{len(rows)} masks by {found.model}: {out_file}", highlight=False)


@app.command()
def models(
    pin: Annotated[str, typer.Option(help="Use this version from now on, such as models/roomseg/versions/3.")] = "",
    follow: Annotated[bool, typer.Option("--follow-newest", help="Take back a pin.")] = False,
    as_json: Json = False,
) -> None:
    """Show the networks that are served, or pin this tenant to a version."""
    with gateway() as client:
        if pin or follow:
            client.pin_model("" if follow else pin)
        found = [MessageToDict(m, preserving_proto_field_name=True) for m in client.models()]
    if as_json:
        print(json.dumps(found))
        return
    table = named("model", "served", "newest", "licence", "data", "MB")
    for m in found:
        size = f"{int(m.get('size_bytes', 0)) / 1e6:.1f}"
        marks = ["yes" if m.get(k) else "" for k in ("ready", "newest")]
        table.add_row(m["name"], *marks, m.get("licence", ""), m.get("training_data", ""), size)
    out.print(table)


# Here, as they use what stands above.
from roomviz import cli_rooms  # noqa: E402

app.add_typer(cli_rooms.rooms, name="rooms")
app.add_typer(cli_rooms.pictures, name="pictures")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


# Here, as they use what stands above.
from roomviz import cli_accounts, cli_insights, cli_usage, cli_webhooks  # noqa: E402

app.add_typer(cli_webhooks.app, name="webhooks")
app.add_typer(cli_insights.app, name="insights")
app.command()(cli_usage.usage)


def main() -> None:
    """Exit 0 when done, 1 on a failure, told in one line; 2 on wrong usage."""
    stamina.instrumentation.set_on_retry_hooks([])  # a command says what came of it, not how often it tried
    try:
        app()
    except RoomvizError as error:
        if "--json" in sys.argv:
            print(
                json.dumps(
                    {
                        "error": {
                            "code": error.kind,
                            "reason": error.reason,
                            "message": error.message,
                            "metadata": error.metadata,
                        }
                    }
                )
            )
        err.print(f"[red]error:[/] {error.message} [dim]({error.reason})[/]", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
