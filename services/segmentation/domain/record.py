"""A finished analysis as it is kept: numbers and keys, no pixels."""

from dataclasses import dataclass, field

from services.segmentation.domain.quality import Quality


@dataclass(frozen=True)
class PlaneRecord:
    """normal 3 and homography 9 numbers, row by row, metres to pixels of the straight picture."""

    normal: list[float]
    homography: list[float]
    scale_source: str
    scale_low: float
    scale_high: float


@dataclass(frozen=True)
class SurfaceRecord:
    surface_id: str
    kind: str
    confidence: float
    area_fraction: float
    bbox: list[int]
    mask_key: str
    plane: PlaneRecord | None


@dataclass(frozen=True)
class AnalysisRecord:
    room: str
    model: str
    surfaces: list[SurfaceRecord]
    camera_measured: bool
    focal_length_px: float
    quality: Quality
    # Of analyses made before corrections were there: none, and not known.
    features_key: str = ""
    photo_key: str = ""
    proposals_key: str = ""
    proposals_model: str = ""
    # The room's light as a picture of a grey card; empty where the model did not tell it.
    light_key: str = ""
    height: int = 0
    width: int = 0
    # Surfaces of former analyses that are not there now, id and key of the mask, the latest first: what comes back is called as
    # it was, and nothing else is.
    retired: list[tuple[str, str]] = field(default_factory=list)
    # How the lens bends lines: see roomviz.imaging.lens.
    radial_distortion: float = 0.0
