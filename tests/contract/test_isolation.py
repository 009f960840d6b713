"""Nobody reaches what is another's: every public RPC, read from the descriptors, with the names of a tenant's things.

A new RPC needs one line here: in NAMES a request that names a thing of `a` (the tenant whose things they are), or in
NAMES_NOTHING one that names none. The RPCs of NAMES answer strangers with NOT_FOUND or PERMISSION_DENIED, as if there was
nothing; those of NAMES_NOTHING answer with nothing of `a` in what they say.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2 as longrunning
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from roomviz.client import Client
from roomviz.errors import NotFound, PermissionDenied, RoomvizError
from roomviz.runtime.rpc import from_call
from roomviz.v1 import (
    accounts_pb2,
    api_keys_pb2,
    insights_pb2,
    models_pb2,
    operations_pb2,
    privacy_pb2,
    products_pb2,
    proposals_pb2,
    quantities_pb2,
    refinements_pb2,
    rooms_pb2,
    shares_pb2,
    system_pb2,
    tenants_pb2,
    uploads_pb2,
    usage_pb2,
    visualizations_pb2,
    webhooks_pb2,
)
from services.gateway.app import PUBLIC
from tests.conftest import Running
from tests.contract.test_api import small_room


@dataclass(frozen=True)
class Theirs:
    """Things of a tenant, made by its owner."""

    room: str
    surface: str
    picture: str
    operation: str
    spare: str  # another operation
    batch: str
    upload: str
    share: str
    receipt: str
    user: str
    key: str
    spare_key: str
    endpoint: str
    spare_endpoint: str
    delivery: str
    experiment: str
    export: str
    photo: bytes
    file: bytes  # of the picture

    @property
    def ids(self) -> list[bytes]:
        named = (self.room, self.picture, self.operation, self.spare, self.batch, self.upload, self.share)
        more = (self.user, self.key, self.endpoint, self.delivery, self.export)
        return [n.rpartition("/")[2].encode() for n in (*named, *more)] + [self.receipt.encode()]


def paint() -> list[visualizations_pb2.Application]:
    return [Client.apply("PNT-SAGE", kind="wall")]


DAY = Date(year=2026, month=1, day=1)

Build = Callable[[Theirs], Any]  # a request, or a list of them where the RPC takes a stream

NAMES: dict[str, Build] = {
    "RoomService/UploadRoom": lambda a: [
        rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader(upload=a.upload)),
        rooms_pb2.UploadRoomRequest(chunk=b"x"),
    ],
    "RoomService/GetRoom": lambda a: rooms_pb2.GetRoomRequest(name=a.room),
    "RoomService/UpdateRoom": lambda a: rooms_pb2.UpdateRoomRequest(room=rooms_pb2.Room(name=a.room, display_name="x")),
    "RoomService/DeleteRoom": lambda a: rooms_pb2.DeleteRoomRequest(name=a.room, validate_only=True),
    "RoomService/UndeleteRoom": lambda a: rooms_pb2.UndeleteRoomRequest(name=a.room),
    "RoomService/AnalyzeRoom": lambda a: rooms_pb2.AnalyzeRoomRequest(name=a.room),
    "RoomService/ListSurfaces": lambda a: rooms_pb2.ListSurfacesRequest(parent=a.room),
    "RoomService/FetchMask": lambda a: rooms_pb2.FetchMaskRequest(name=a.surface),
    "RoomService/DownloadPhoto": lambda a: rooms_pb2.DownloadPhotoRequest(name=a.room),
    "UploadService/GetUpload": lambda a: uploads_pb2.GetUploadRequest(name=a.upload),
    "RefinementService/RefineSurface": lambda a: refinements_pb2.RefineSurfaceRequest(
        name=a.surface, strokes=[Client.point(5, 5)]
    ),
    "RefinementService/UndoRefinement": lambda a: refinements_pb2.UndoRefinementRequest(parent=a.room),
    "RefinementService/RedoRefinement": lambda a: refinements_pb2.RedoRefinementRequest(parent=a.room),
    "RefinementService/ResetRefinements": lambda a: refinements_pb2.ResetRefinementsRequest(parent=a.room),
    "RefinementService/ListRefinements": lambda a: refinements_pb2.ListRefinementsRequest(parent=a.room),
    "RefinementService/ReplayRefinements": lambda a: refinements_pb2.ReplayRefinementsRequest(parent=a.room),
    "ProposalService/ProposeMasks": lambda a: proposals_pb2.ProposeMasksRequest(
        room=a.room, everything=proposals_pb2.EverythingPrompt()
    ),
    "VisualizationService/PreviewVisualization": lambda a: visualizations_pb2.PreviewVisualizationRequest(
        room=a.room, applications=paint()
    ),
    "VisualizationService/ExportVisualization": lambda a: visualizations_pb2.ExportVisualizationRequest(
        room=a.room, applications=paint()
    ),
    "VisualizationService/GenerateVisualization": lambda a: visualizations_pb2.GenerateVisualizationRequest(
        room=a.room, surface_id="wall-1", prompt="red"
    ),
    "VisualizationService/GetVisualization": lambda a: visualizations_pb2.GetVisualizationRequest(name=a.picture),
    "VisualizationService/SaveVisualization": lambda a: visualizations_pb2.SaveVisualizationRequest(name=a.picture),
    "VisualizationService/UpdateVisualization": lambda a: visualizations_pb2.UpdateVisualizationRequest(
        visualization=visualizations_pb2.Visualization(name=a.picture, favorite=True)
    ),
    "VisualizationService/DeleteVisualization": lambda a: visualizations_pb2.DeleteVisualizationRequest(
        name=a.picture, validate_only=True
    ),
    "VisualizationService/UndeleteVisualization": lambda a: visualizations_pb2.UndeleteVisualizationRequest(
        name=a.picture
    ),
    "VisualizationService/DownloadVisualization": lambda a: visualizations_pb2.DownloadVisualizationRequest(
        name=a.picture
    ),
    "VisualizationService/CompareVisualizations": lambda a: visualizations_pb2.CompareVisualizationsRequest(
        room=a.room, variants=[visualizations_pb2.Variant(applications=paint())]
    ),
    "VisualizationService/BatchVisualizations": lambda a: visualizations_pb2.BatchVisualizationsRequest(
        room=a.room, application=Client.target(kind="wall"), products=["products/PNT-SKY"]
    ),
    "VisualizationService/ListBatchItems": lambda a: visualizations_pb2.ListBatchItemsRequest(parent=a.batch),
    "VisualizationService/RerenderVisualization": lambda a: visualizations_pb2.RerenderVisualizationRequest(
        receipt=a.receipt
    ),
    "ShareService/ShareVisualization": lambda a: shares_pb2.ShareVisualizationRequest(parent=a.picture),
    "ShareService/ListShares": lambda a: shares_pb2.ListSharesRequest(parent=a.picture),
    "ShareService/RevokeShare": lambda a: shares_pb2.RevokeShareRequest(name=a.share),
    # Whoever has the token may; whoever knows the share without it may not.
    "ShareService/GetSharedVisualization": lambda a: shares_pb2.GetSharedVisualizationRequest(token=forged(a)),
    "ShareService/DownloadSharedVisualization": lambda a: shares_pb2.DownloadSharedVisualizationRequest(
        token=forged(a)
    ),
    "QuantityService/EstimateQuantity": lambda a: quantities_pb2.EstimateQuantityRequest(
        room=a.room, surface_id="wall-1", product="products/PNT-SAGE"
    ),
    "ProductService/GetProduct": lambda a: products_pb2.GetProductRequest(name="products/PNT-SAGE"),
    "OperationService/WatchOperation": lambda a: operations_pb2.WatchOperationRequest(name=a.operation),
    "Operations/GetOperation": lambda a: longrunning.GetOperationRequest(name=a.operation),
    "Operations/WaitOperation": lambda a: longrunning.WaitOperationRequest(name=a.operation),
    "Operations/CancelOperation": lambda a: longrunning.CancelOperationRequest(name=a.operation),
    "Operations/DeleteOperation": lambda a: longrunning.DeleteOperationRequest(name=a.spare),
    "RoomService/GetRoomDescription": lambda a: rooms_pb2.GetRoomDescriptionRequest(name=a.room),
    "AccountService/GetUser": lambda a: accounts_pb2.GetUserRequest(name=a.user),
    "AccountService/UpdateUser": lambda a: accounts_pb2.UpdateUserRequest(
        user=accounts_pb2.User(name=a.user, display_name="x"), validate_only=True
    ),
    "AccountService/DeleteUser": lambda a: accounts_pb2.DeleteUserRequest(name=a.user, etag="of another time"),
    "ApiKeyService/GetApiKey": lambda a: api_keys_pb2.GetApiKeyRequest(name=a.key),
    "ApiKeyService/UpdateApiKey": lambda a: api_keys_pb2.UpdateApiKeyRequest(
        api_key=api_keys_pb2.ApiKey(name=a.key, display_name="x"), validate_only=True
    ),
    "ApiKeyService/RotateApiKey": lambda a: api_keys_pb2.RotateApiKeyRequest(name=a.spare_key),
    "ApiKeyService/RevokeApiKey": lambda a: api_keys_pb2.RevokeApiKeyRequest(name=a.spare_key),
    "TenantService/GetTenant": lambda a: tenants_pb2.GetTenantRequest(name="tenants/demo"),
    "TenantService/UpdateTenant": lambda a: tenants_pb2.UpdateTenantRequest(
        tenant=tenants_pb2.Tenant(name="tenants/demo", display_name="x"), validate_only=True
    ),
    "WebhookService/GetWebhookEndpoint": lambda a: webhooks_pb2.GetWebhookEndpointRequest(name=a.endpoint),
    "WebhookService/UpdateWebhookEndpoint": lambda a: webhooks_pb2.UpdateWebhookEndpointRequest(
        webhook_endpoint=webhooks_pb2.WebhookEndpoint(name=a.endpoint, etag="of another time", description="x")
    ),
    "WebhookService/DeleteWebhookEndpoint": lambda a: webhooks_pb2.DeleteWebhookEndpointRequest(name=a.spare_endpoint),
    "WebhookService/RotateWebhookSecret": lambda a: webhooks_pb2.RotateWebhookSecretRequest(name=a.endpoint),
    "WebhookService/ListWebhookDeliveries": lambda a: webhooks_pb2.ListWebhookDeliveriesRequest(parent=a.endpoint),
    "WebhookService/ReplayWebhookDelivery": lambda a: webhooks_pb2.ReplayWebhookDeliveryRequest(name=a.delivery),
    "WebhookService/ReplayWebhookDeliveries": lambda a: webhooks_pb2.ReplayWebhookDeliveriesRequest(
        parent=a.endpoint, since=Timestamp(seconds=1)
    ),
    "WebhookService/SendTestWebhook": lambda a: webhooks_pb2.SendTestWebhookRequest(name=a.endpoint),
    "InsightService/GetUplift": lambda a: insights_pb2.GetUpliftRequest(experiment=a.experiment),
    "PrivacyService/ExportPersonalData": lambda a: privacy_pb2.ExportPersonalDataRequest(subject=a.key),
    "PrivacyService/DownloadExport": lambda a: privacy_pb2.DownloadExportRequest(name=a.export),
    "PrivacyService/DeletePersonalData": lambda a: privacy_pb2.DeletePersonalDataRequest(subject=a.spare_key),
    "PrivacyService/AnonymizeSubject": lambda a: privacy_pb2.AnonymizeSubjectRequest(subject=a.spare_key),
}

NAMES_NOTHING: dict[str, Build] = {
    "RoomService/ListRooms": lambda a: rooms_pb2.ListRoomsRequest(show_deleted=True),
    "UploadService/CreateUpload": lambda a: uploads_pb2.CreateUploadRequest(
        upload=uploads_pb2.Upload(size_bytes=len(a.photo), content_digest=hashlib.sha256(a.photo).hexdigest())
    ),
    "VisualizationService/ListVisualizations": lambda a: visualizations_pb2.ListVisualizationsRequest(
        filter=f'room = "{a.room}"', show_deleted=True
    ),
    "VisualizationService/VerifyRender": lambda a: [visualizations_pb2.VerifyRenderRequest(chunk=a.file)],
    "ProductService/ListProducts": lambda a: products_pb2.ListProductsRequest(),
    "ProductService/BatchGetProducts": lambda a: products_pb2.BatchGetProductsRequest(names=["products/PNT-SAGE"]),
    "ProductService/SearchProducts": lambda a: products_pb2.SearchProductsRequest(query="sage"),
    "ProductService/ImportPattern": lambda a: products_pb2.ImportPatternRequest(),
    # The networks are everybody's, a pin is the tenant's own.
    "ModelService/ListModels": lambda a: models_pb2.ListModelsRequest(),
    "ModelService/GetModel": lambda a: models_pb2.GetModelRequest(name="models/none"),
    "ModelService/GetModelPin": lambda a: models_pb2.GetModelPinRequest(),
    "ModelService/SetModelPin": lambda a: models_pb2.SetModelPinRequest(model="models/none/versions/1"),
    "SystemService/GetSystemStatus": lambda a: system_pb2.GetSystemStatusRequest(),
    "Operations/ListOperations": lambda a: longrunning.ListOperationsRequest(filter=f'subject = "{a.room}"'),
    "AccountService/Register": lambda a: accounts_pb2.RegisterRequest(email="theirs@shop.example", password="short"),
    "AccountService/Login": lambda a: accounts_pb2.LoginRequest(email="theirs@shop.example", password="a wrong one"),
    "AccountService/RefreshTokens": lambda a: accounts_pb2.RefreshTokensRequest(refresh_token="none"),
    "AccountService/Logout": lambda a: accounts_pb2.LogoutRequest(),
    "AccountService/GetProfile": lambda a: accounts_pb2.GetProfileRequest(),
    "AccountService/UpdateProfile": lambda a: accounts_pb2.UpdateProfileRequest(user=accounts_pb2.User(name=a.user)),
    "AccountService/ChangePassword": lambda a: accounts_pb2.ChangePasswordRequest(),
    "AccountService/CreateUser": lambda a: accounts_pb2.CreateUserRequest(),
    "AccountService/ListUsers": lambda a: accounts_pb2.ListUsersRequest(),
    "ApiKeyService/CreateApiKey": lambda a: api_keys_pb2.CreateApiKeyRequest(),
    "ApiKeyService/ListApiKeys": lambda a: api_keys_pb2.ListApiKeysRequest(),
    "WebhookService/CreateWebhookEndpoint": lambda a: webhooks_pb2.CreateWebhookEndpointRequest(),
    "WebhookService/ListWebhookEndpoints": lambda a: webhooks_pb2.ListWebhookEndpointsRequest(),
    # An experiment of that name is each tenant's own.
    "InsightService/AssignHoldout": lambda a: insights_pb2.AssignHoldoutRequest(experiment=a.experiment, unit="v"),
    "InsightService/ReportEvents": lambda a: insights_pb2.ReportEventsRequest(
        events=[insights_pb2.ReportedEvent(event_id="stranger", room=a.room)]
    ),
    "InsightService/QueryInsights": lambda a: insights_pb2.QueryInsightsRequest(start_date=DAY, end_date=DAY),
    "InsightService/GetFunnel": lambda a: insights_pb2.GetFunnelRequest(start_date=DAY, end_date=DAY),
    "PrivacyService/VerifyDeletionReceipt": lambda a: privacy_pb2.VerifyDeletionReceiptRequest(),
    "UsageService/GetTenantUsage": lambda a: usage_pb2.GetTenantUsageRequest(),
}

# What is the whole tenant's: its kiosks and shoppers may see it too.
TENANT_WIDE = {"ProductService/GetProduct"}
# What not even the owner finds as it is asked for above.
NOBODYS = {"ShareService/GetSharedVisualization", "ShareService/DownloadSharedVisualization"}

METHODS = {f"{service.name}/{m.name}": m for service in PUBLIC for m in service.methods}


def forged(a: Theirs) -> str:
    return f"{a.share.rpartition('/')[2]}.{'A' * 43}"


class Caller:
    def __init__(self, channel: grpc.Channel, key: str):
        self._channel, self._metadata = channel, [("authorization", f"Bearer {key}")]

    def __call__(self, rpc: str, request: Any) -> tuple[list[Any], RoomvizError | None]:
        """The answers, and the failure after them."""
        method = METHODS[rpc]
        takes = "stream" if method.client_streaming else "unary"
        gives = "stream" if method.server_streaming else "unary"
        stub = getattr(self._channel, f"{takes}_{gives}")(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        answers: list[Any] = []
        try:
            answer = stub(iter(request) if method.client_streaming else request, timeout=60, metadata=self._metadata)
            if not method.server_streaming:
                return [answer], None
            for item in answer:
                answers.append(item)  # noqa: PERF402 - what came before a failure counts
        except grpc.RpcError as error:
            return answers, from_call(error)  # type: ignore[arg-type]
        return answers, None


@pytest.fixture(scope="module")
def a(running: Running, client: Client) -> Theirs:
    photo = small_room(1001)
    room = client.analyze(client.upload(photo, "theirs").name).room
    picture, spare = (client.export(room, paint()) for _ in range(2))
    batch = client.start_batch(room, client.target(kind="wall"), ["PNT-SAGE"])
    client.finish_batch(batch)
    upload = uploads_pb2.CreateUploadRequest(upload=uploads_pb2.Upload(size_bytes=1000))
    share = shares_pb2.ShareVisualizationRequest(parent=picture.name)
    key, spare_key = (client.keys.create("kiosk", "theirs")[0].name for _ in range(2))
    url = f"http://127.0.0.1:{running.settings.webhook_ports[0]}/isolation"
    endpoint, spare_endpoint = (client.webhooks.create(url)[0].name for _ in range(2))
    experiment = "experiments/theirs"
    client.insights.shown(experiment, "visitor", 0.5)
    return Theirs(
        room,
        f"{room}/surfaces/{client.surfaces(room)[0].surface_id}",
        picture.name,
        picture.name.replace("visualizations", "operations"),
        spare.name.replace("visualizations", "operations"),
        batch,
        client._call(client._uploads.CreateUpload, lambda: upload, lambda x: x.upload.name),
        client._call(client._shares.ShareVisualization, lambda: share, lambda x: x.share.name),
        picture.receipt,
        client.users.create("theirs@shop.example", "correct horse battery", "viewer").name,
        key,
        spare_key,
        endpoint,
        spare_endpoint,
        client.webhooks.test(endpoint).name,
        experiment,
        client.export_personal_data(key).export,
        photo,
        client.picture(picture.name),
    )


@pytest.fixture(scope="module")
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.address) as made:
        yield made


def key_of(running: Running, tenant: str, role: str) -> str:
    key = "rv_" + secrets.token_hex(16)
    running.rows("INSERT INTO gateway.tenants (tenant) VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1", tenant)
    running.rows(
        "INSERT INTO gateway.api_keys (key_hash, prefix, tenant, role) VALUES ($1, $2, $3, $4) RETURNING 1",
        hashlib.sha256(key.encode()).digest(),
        key[:6],
        tenant,
        role,
    )
    return key


@pytest.fixture(scope="module")
def owner(running: Running, channel: grpc.Channel) -> Caller:
    """Whose things they are."""
    return Caller(channel, running.key)


@pytest.fixture(scope="module")
def strangers(running: Running, channel: grpc.Channel) -> dict[str, Caller]:
    """Another tenant's owner, who may do all; and two of the same tenant who see nothing but their own."""
    return {
        "other tenant": Caller(channel, key_of(running, "stranger", "OWNER")),
        "kiosk": Caller(channel, key_of(running, "demo", "KIOSK")),
        "shopper": Caller(channel, key_of(running, "demo", "SHOPPER")),
    }


def test_every_public_rpc_has_a_line():
    missing = METHODS.keys() - NAMES.keys() - NAMES_NOTHING.keys()
    assert not missing, f"add a line to NAMES or NAMES_NOTHING for {sorted(missing)}"
    assert not (NAMES.keys() | NAMES_NOTHING.keys()) - METHODS.keys()
    assert not NAMES.keys() & NAMES_NOTHING.keys()


@pytest.mark.parametrize("rpc", sorted(NAMES))
def test_a_stranger_is_told_that_there_is_nothing(rpc: str, a: Theirs, owner: Caller, strangers: dict[str, Caller]):
    for who, stranger in strangers.items():
        if rpc in TENANT_WIDE and who != "other tenant":
            continue
        answers, failure = stranger(rpc, NAMES[rpc](a))
        assert not answers, (who, answers)
        assert isinstance(failure, NotFound | PermissionDenied), (who, failure)
        # A tenant's owner may do everything to its own things, so permissions are not what stood in the way.
        assert who != "other tenant" or isinstance(failure, NotFound)

    if rpc not in NOBODYS:  # the request was a good one
        assert not isinstance(owner(rpc, NAMES[rpc](a))[1], NotFound | PermissionDenied)


@pytest.mark.parametrize("rpc", sorted(NAMES_NOTHING))
def test_what_names_nothing_tells_a_stranger_nothing(rpc: str, a: Theirs, strangers: dict[str, Caller]):
    for who, stranger in strangers.items():
        answers, _ = stranger(rpc, NAMES_NOTHING[rpc](a))
        told = b"".join(answer.SerializeToString() for answer in answers)
        assert not [i for i in a.ids if i in told], who
        if rpc.startswith("ProductService/") and who == "other tenant":
            assert b"Sage" not in told


def test_the_same_photo_of_another_is_another_room(a: Theirs, strangers: dict[str, Caller]):
    parts = [
        rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader()),
        rooms_pb2.UploadRoomRequest(chunk=a.photo),
    ]
    rooms = {stranger("RoomService/UploadRoom", parts)[0][0].room.name for stranger in strangers.values()}

    assert len(rooms) == 3
    assert a.room not in rooms


def test_a_page_token_of_another_is_worth_nothing(a: Theirs, owner: Caller, strangers: dict[str, Caller]):
    asked = rooms_pb2.ListRoomsRequest(page_size=1)
    owner("RoomService/GetRoom", rooms_pb2.GetRoomRequest(name=a.room))
    (page,), _ = owner("RoomService/ListRooms", asked)
    asked.page_token = page.next_page_token

    assert page.next_page_token
    for stranger in strangers.values():
        _, failure = stranger("RoomService/ListRooms", asked)
        assert failure is not None
        assert failure.reason == "PAGE_TOKEN_INVALID"
