"""Shares, against the running services."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from roomviz.client import Client
from roomviz.errors import InvalidArgument, NotFound, Unauthenticated
from roomviz.v1 import shares_pb2_grpc
from roomviz.v1.shares_pb2 import (
    DownloadSharedVisualizationRequest,
    GetSharedVisualizationRequest,
    ListSharesRequest,
    RevokeShareRequest,
    Share,
    ShareVisualizationRequest,
)
from roomviz.v1.visualizations_pb2 import DeleteVisualizationRequest, UndeleteVisualizationRequest
from tests.conftest import Running
from tests.contract.test_api import Api, covers, parts, refusal, small_room
from tests.contract.test_lifecycle import export


@pytest.fixture(scope="module")
def api(running: Running) -> Iterator[Api]:
    made = Api(running.address, running.key)
    yield made
    made.channel.close()


@pytest.fixture(scope="module")
def stranger(running: Running) -> Iterator[Api]:
    """Somebody without a credential."""
    made = Api(running.address, None)
    yield made
    made.channel.close()


@pytest.fixture(scope="module")
def picture(api: Api, client: Client) -> str:
    room = client.analyze(api.rooms.UploadRoom(parts(small_room(901))).room.name).room
    return export(api, room).name


def share(api: Api, picture: str) -> Share:
    return api.shares.ShareVisualization(ShareVisualizationRequest(parent=picture)).share


def nowhere(stranger: Api, token: str) -> bool:
    """Whether both calls answer as to a token that never was."""
    first = refusal(lambda: stranger.shares.GetSharedVisualization(GetSharedVisualizationRequest(token=token)))
    asked = DownloadSharedVisualizationRequest(token=token)
    second = refusal(lambda: stranger.shares.DownloadSharedVisualization(asked))
    never = "this link leads nowhere: it is over, or not one of ours"
    return all(
        isinstance(f, NotFound) and (f.reason, f.message, f.metadata) == ("SHARE_NOT_FOUND", never, {})
        for f in (first, second)
    )


@covers(
    "roomviz.v1.ShareService/ShareVisualization",
    "roomviz.v1.ShareService/GetSharedVisualization",
    "roomviz.v1.ShareService/DownloadSharedVisualization",
)
def test_a_token_shows_the_picture_and_nothing_else(api: Api, stranger: Api, client: Client, picture: str):
    made = share(api, picture)

    shown = stranger.shares.GetSharedVisualization(GetSharedVisualizationRequest(token=made.token)).visualization
    asked = DownloadSharedVisualizationRequest(token=made.token)
    data = b"".join(p.chunk for p in stranger.shares.DownloadSharedVisualization(asked))

    assert data == client.picture(picture)
    assert (shown.size_bytes, shown.expire_time) == (len(data), made.expire_time)
    assert made.expire_time.seconds - made.create_time.seconds == 30 * 86400
    refused = refusal(lambda: stranger.shares.ListShares(ListSharesRequest(parent=picture)))
    assert isinstance(refused, Unauthenticated)


@covers("roomviz.v1.ShareService/GetSharedVisualization", "roomviz.v1.ShareService/DownloadSharedVisualization")
def test_a_token_that_was_tampered_with_is_refused_like_one_that_never_was(api: Api, stranger: Api, picture: str):
    a, b = share(api, picture).token, share(api, picture).token
    (share_a, signature_a), (share_b, signature_b) = a.split("."), b.split(".")

    for token in (
        "",
        ".",
        a[:-1],
        a + "x",
        a.swapcase(),
        f"{share_a}.{signature_b}",
        f"{share_b}.{signature_a}",
        share_a,
        f"{share_a}.",
        f"{uuid.uuid4().hex}.{signature_a}",
        "ü.ü",
        "x" * 10_000,
        "\0",
    ):
        assert nowhere(stranger, token), token


@covers("roomviz.v1.ShareService/RevokeShare", "roomviz.v1.ShareService/ListShares")
def test_shares_end_when_they_are_revoked_or_expire_or_their_picture_is_deleted(
    api: Api, stranger: Api, running: Running, picture: str
):
    revoked, expired, deleted = share(api, picture), share(api, picture), share(api, picture)

    first = api.shares.RevokeShare(RevokeShareRequest(name=revoked.name)).share
    again = api.shares.RevokeShare(RevokeShareRequest(name=revoked.name)).share
    running.rows(
        "UPDATE gateway.shares SET expire_time = now() WHERE share_id = $1 RETURNING 1", expired.name.split("/")[-1]
    )
    assert nowhere(stranger, revoked.token)
    assert nowhere(stranger, expired.token)
    api.visualizations.DeleteVisualization(DeleteVisualizationRequest(name=picture))
    assert nowhere(stranger, deleted.token)
    assert refusal(lambda: share(api, picture)).reason == "VISUALIZATION_NOT_FOUND"
    api.visualizations.UndeleteVisualization(UndeleteVisualizationRequest(name=picture))

    assert first.revoke_time == again.revoke_time
    assert stranger.shares.GetSharedVisualization(GetSharedVisualizationRequest(token=deleted.token)).visualization
    page = api.shares.ListShares(ListSharesRequest(parent=picture, page_size=2))
    assert [s.name for s in page.shares] == [deleted.name, expired.name]
    more = ListSharesRequest(parent=picture, page_size=2, page_token=page.next_page_token)
    assert api.shares.ListShares(more).shares[0] == first
    assert not any(s.token for s in page.shares)
    other = RevokeShareRequest(name=f"{picture}/shares/{'0' * 30}")
    assert refusal(lambda: api.shares.RevokeShare(other)).reason == "SHARE_NOT_FOUND"


@covers("roomviz.v1.ShareService/ShareVisualization")
def test_a_share_ends_within_ninety_days(api: Api, picture: str):
    for away in (timedelta(seconds=-5), timedelta(days=90, minutes=5), timedelta(days=365)):
        asked = ShareVisualizationRequest(parent=picture)
        asked.expire_time.FromDatetime(datetime.now(UTC) + away)
        refused = refusal(lambda asked=asked: api.shares.ShareVisualization(asked))
        assert isinstance(refused, InvalidArgument)
        assert [v.subject for v in refused.violations] == ["expire_time"]


@covers("roomviz.v1.ShareService/ShareVisualization")
def test_a_thousand_at_once_under_one_request_id_are_one_share(running: Running, api: Api, picture: str):
    asked = ShareVisualizationRequest(parent=picture, request_id=str(uuid.uuid4()))
    before = len(api.shares.ListShares(ListSharesRequest(parent=picture, page_size=200)).shares)

    with grpc.insecure_channel(running.address) as channel:
        stub = shares_pb2_grpc.ShareServiceStub(channel)
        metadata = [("authorization", f"Bearer {running.key}")]
        answers, left = set(), 1000
        while left:
            calls = [stub.ShareVisualization.future(asked, timeout=60, metadata=metadata) for _ in range(left)]
            for call in calls:
                try:
                    made = call.result().share
                except grpc.RpcError as error:  # more at once than the gateway takes
                    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error  # noqa: PT017
                else:
                    answers.add((made.name, made.token))
                    left -= 1

    assert len(answers) == 1
    # The SDK comes back when it is told to: the tenant's rate is used up now.
    with running.client() as client:
        after = client.shares(picture)
        again = client._call(client._shares.ShareVisualization, lambda: asked, lambda a: a.share)
    assert len(after) == before + 1
    assert answers == {(after[0].name, again.token)}
