"""What the HTTP API takes and gives, field by field."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from services.gateway.domain.sessions import Stage

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class Camel(BaseModel):
    """camelCase outside, snake_case inside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False)


# --- photos and their surfaces ---


class SessionMask(Camel):
    """One surface of the room."""

    id: str = Field(description="Such as `floor-1`; what `maskId` of other requests names.")
    label: str = Field(description="floor, wall, ceiling, furniture, window, door or other.")
    color: str = Field(description="To draw it with, `#RRGGBB`; the same for all of a kind.")
    mask_url: str = Field(description="8-bit PNG of the photo's size, 255 on the surface. A short-lived link.")
    area_percent: float = Field(description="Of the photo, 0 to 100.")
    confidence: float = Field(description="0 to 1.")


class Uploaded(Camel):
    """A photo that was taken in."""

    session_id: str
    image_url: str = Field(description="The photo, upright and without metadata. A short-lived link.")
    image_width: int = Field(description="Pixels; coordinates of other requests are in these.")
    image_height: int


class AnalyzeAsked(Camel):
    session_id: Id


class Analyzed(Uploaded):
    """A photo with its surfaces."""

    masks: list[SessionMask]


class SessionDetail(Camel):
    """A session as it stands; the picture and the masks once they are there."""

    session_id: str
    status: Stage
    progress: int = Field(description="Percent, as the workers tell it.")
    message: str
    file_name: str
    image_url: str | None
    image_width: int | None
    image_height: int | None
    masks: list[SessionMask]
    created_at: datetime


class PointAsked(Camel):
    """A place in the photo, in its pixels."""

    x: float
    y: float


class RefineAsked(Camel):
    """A click (`point`: each point is one) or a line drawn with a brush (`scribble`: the points in their order)."""

    session_id: Id
    mask_id: Id
    type: Literal["point", "scribble"]
    points: list[PointAsked] = Field(min_length=1, max_length=4096)
    width: float = Field(default=16.0, description="Diameter of the brush in pixels.")
    erase: bool = Field(default=False, description="Whether it is taken from the surface instead of given to it.")


# --- visualizations ---


Finish = Literal["matte", "eggshell", "satin", "gloss", "polished"]


class ApplicationAsked(Camel):
    """A product, or paint of any colour, on one surface (`maskId`) or on all of a kind (`surfaceLabel`)."""

    product_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    color: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$", description="sRGB, in place of a product.")] | None = None
    finish: Finish | None = Field(default=None, description="Absent: the product's own; of a colour, matte.")
    mask_id: Id | None = None
    surface_label: Literal["floor", "wall", "ceiling", "furniture", "window", "door", "other"] | None = None
    rotation: float = Field(default=0.0, description="Degrees.")

    @model_validator(mode="after")
    def _one_target(self) -> "ApplicationAsked":
        if (self.mask_id is None) == (self.surface_label is None):
            raise ValueError("name either maskId or surfaceLabel")
        if (self.product_id is None) == (self.color is None):
            raise ValueError("name either productId or color")
        return self


class VisualizeAsked(Camel):
    session_id: Id
    applications: list[ApplicationAsked] = Field(min_length=1, max_length=16)
    format: Literal["jpeg", "png", "webp"] = "jpeg"


class AppliedProduct(Camel):
    """A product as the picture shows it. The name, the price and the picture of one that is gone are absent."""

    product_id: str = Field(description="Empty for paint of a colour of its own.")
    color: str | None = Field(description="That colour, #RRGGBB.")
    surface_label: str = Field(description="The surface, such as `floor-1`, or all of a kind, such as `floor`.")
    product_name: str | None
    product_price: float | None
    product_image: str | None = Field(description="A short-lived link; absent for paint.")


class VisualizationDetail(Camel):
    """A picture of a room with other materials."""

    visualization_id: str
    name: str
    image_url: str
    image_width: int
    image_height: int
    applied_products: list[AppliedProduct]
    is_favorite: bool
    created_at: datetime
    saved_at: datetime | None


class SaveAsked(Camel):
    visualization_id: Id
    name: Annotated[str, Field(max_length=200)] = ""


class Saved(Camel):
    visualization_id: str
    name: str
    saved_at: datetime


class VisualizationPage(Camel):
    visualizations: list[VisualizationDetail]
    skip: int
    limit: int
    has_more: bool


# --- products ---


class ProductDetail(Camel):
    """A material or a thing of the catalogue."""

    id: str = Field(description="The SKU.")
    name: str
    category: str = Field(description="Dotted path, such as `flooring.plank`.")
    type: Literal["material", "thing"] = Field(description="What covers a surface, or what is placed in a room.")
    price: float | None
    currency: str | None
    image: str | None = Field(description="A short-lived link; absent for paint.")
    color: str | None = Field(description="Mean colour, `#RRGGBB`; absent for things.")
    width_m: float | None = Field(description="Metres of what the picture shows.")
    height_m: float | None


class ProductPage(Camel):
    products: list[ProductDetail]
    skip: int
    limit: int
    has_more: bool


# --- batches ---


class BatchFile(Camel):
    """One file of a batch."""

    session_id: str
    file_name: str
    status: Stage
    progress: int = Field(description="Percent, as the workers tell it.")
    message: str
    reason: str | None = Field(description="Why it failed, UPPER_SNAKE.")
    download_url: str | None = Field(description="Its result, once it is there; needs a credential.")


class Batch(Camel):
    batch_id: str
    files: list[BatchFile]
    events_url: str = Field(description="Server-Sent Events; needs a credential.")
    download_url: str = Field(description="All results as one ZIP; needs a credential.")


# --- demo sessions: snake_case throughout ---


class DemoSession(BaseModel):
    session_id: str
    token: str = Field(description="Send it as `Authorization: Bearer TOKEN`; it sees what it made and nothing else.")
    expires_at: datetime


class SessionPhoto(BaseModel):
    session_id: str
    name: str
    input_image_url: str
    width: int
    height: int
    status: Stage


class SegmentationAsked(BaseModel):
    session_id: Id


class SessionStatus(BaseModel):
    status: Stage
    progress: int = Field(description="Percent, as the workers tell it.")
    message: str


class Segment(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    kind: str = Field(alias="class", description="floor, wall, ceiling, furniture, window, door or other.")
    label: str = Field(description="Such as `floor-1`.")
    confidence: float = Field(description="0 to 1.")
    mask: str = Field(description="8-bit PNG of the photo's size, 255 on the surface. A short-lived link.")
    area: float = Field(description="Pixels.")
    bbox: list[int] = Field(description="x, y, width, height in pixels.")


class SessionResults(BaseModel):
    model_config = ConfigDict(protected_namespaces=())
    session_id: str
    input_image_url: str
    output_image_url: str = Field(description="The photo with its surfaces tinted.")
    segments: list[Segment]
    ai_description: str = Field(description="The room in a sentence or two, for people.")
    technical_summary: str = Field(description="What was measured, for people who know.")
    processing_time: float = Field(description="Seconds that the analysis took, whenever it was done.")
    model_used: str
    confidence_score: float = Field(description="0 to 1.")


# --- accounts and the platform ---


class RegisterAsked(Camel):
    email: Annotated[str, Field(max_length=320)]
    password: Annotated[str, Field(max_length=1024)]
    name: Annotated[str, Field(max_length=200)] = ""


class LoginAsked(Camel):
    email: Annotated[str, Field(max_length=320)]
    password: Annotated[str, Field(max_length=1024)]


class Profile(Camel):
    id: str
    email: str
    name: str
    role: str
    created_at: datetime


class SignedIn(Camel):
    """`token` goes into `Authorization: Bearer TOKEN` until it expires; the refresh token gives the next one, once."""

    token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_at: datetime
    refresh_token: str
    user: Profile


class HealthCheck(Camel):
    name: str
    ok: bool
    reason: str


class HealthReport(Camel):
    """Whether the server can do its part; 503 where it cannot."""

    status: Literal["ok", "unavailable"]
    version: str
    checks: list[HealthCheck]
