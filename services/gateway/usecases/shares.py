"""Shares: a picture for whoever has the token."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roomviz.errors import InvalidArgument, NotFound, Violation
from roomviz.runtime import context
from roomviz.runtime.context import current
from roomviz.v1 import shares_pb2, visualizations_pb2
from services.gateway.domain.filters import Condition, Question
from services.gateway.domain.happenings import Type
from services.gateway.domain.records import Share, Visualization
from services.gateway.domain.tokens import sign, verified
from services.gateway.ports import Objects, Shares, Visualizations
from services.gateway.usecases.caller import caller
from services.gateway.usecases.idempotency import Once
from services.gateway.usecases.lifecycle import VisualizationLifecycle
from services.gateway.usecases.listing import paged
from services.gateway.usecases.names import new_id, parse
from services.gateway.usecases.shown import stamp
from services.gateway.usecases.visualizations import VisualizationCases

DAYS, DAYS_MAX = timedelta(days=30), timedelta(days=90)


@dataclass(frozen=True)
class ShareCases:
    cases: VisualizationCases
    lifecycle: VisualizationLifecycle
    visualizations: Visualizations
    shares: Shares
    objects: Objects
    once: Once
    key: bytes

    async def share(self, request: shares_pb2.ShareVisualizationRequest) -> shares_pb2.ShareVisualizationResponse:
        seen = await self.cases.seen(request.parent)
        now = datetime.now(UTC)
        begun = Share(new_id(), seen.tenant, seen.visualization_id, caller().subject, now, _expire_time(request, now))

        async def change(connection: Any) -> shares_pb2.ShareVisualizationResponse:
            it = await self.lifecycle.there(connection, seen)
            await self.lifecycle.tell(connection, Type.VISUALIZATION_SHARED, it)
            return shares_pb2.ShareVisualizationResponse(share=_shown(await self.shares.add(connection, begun)))

        made = await self.once(request, shares_pb2.ShareVisualizationResponse, change)
        # Signed after the answer was kept: tokens are kept nowhere.
        made.share.token = sign(self.key, made.share.name.rpartition("/")[2])
        return made

    async def page(self, request: shares_pb2.ListSharesRequest) -> shares_pb2.ListSharesResponse:
        it = await self.cases.get(request.parent)
        question = Question((Condition("visualization", "=", it.visualization_id),), show_deleted=True)
        found, more = await paged(
            self.shares.page, question, request.page_size, request.page_token, "shares", request.parent
        )
        return shares_pb2.ListSharesResponse(shares=[_shown(s) for s in found], next_page_token=more)

    async def revoke(self, request: shares_pb2.RevokeShareRequest) -> shares_pb2.RevokeShareResponse:
        visualization_id, share_id = parse(request.name, "visualizations", "shares")
        # Also of a picture that was deleted, and might be brought back.
        await self.cases.seen(f"visualizations/{visualization_id}")
        share = await self.shares.revoke(current().tenant, visualization_id, share_id)
        if share is None:
            raise NotFound("SHARE_NOT_FOUND", f"there is no share {request.name}")
        return shares_pb2.RevokeShareResponse(share=_shown(share))

    # --- for whoever has the token ---

    async def shown(self, token: str) -> shares_pb2.GetSharedVisualizationResponse:
        share, it = await self._behind(token)
        of = visualizations_pb2.Visualization.FromString(it.message)
        out = shares_pb2.SharedVisualization(
            display_name=it.display_name,
            width_px=of.width_px,
            height_px=of.height_px,
            format=of.format,
            size_bytes=of.size_bytes,
            content_digest=of.content_digest,
            generated=of.generated,
        )
        stamp(out, expire_time=share.expire_time)
        return shares_pb2.GetSharedVisualizationResponse(visualization=out)

    async def picture(self, token: str) -> bytes:
        _, it = await self._behind(token)
        return await self.objects.get(it.image_key)

    async def _behind(self, token: str) -> tuple[Share, Visualization]:
        """What a token leads to. Why it leads nowhere, nobody is told."""
        share_id = verified(self.key, token)
        share = await self.shares.alive(share_id) if share_id else None
        it = await self.visualizations.get(share.tenant, share.visualization_id) if share else None
        if share is None or it is None or it.delete_time is not None:
            raise NotFound("SHARE_NOT_FOUND", "this link leads nowhere: it is over, or not one of ours")
        # The call came without a tenant; from here on it is the one whose picture it is.
        context.enter(replace(current(), tenant=share.tenant))
        return share, it


def _expire_time(request: shares_pb2.ShareVisualizationRequest, now: datetime) -> datetime:
    if not request.HasField("expire_time"):
        return now + DAYS
    message = f"a share ends in the future, at most {DAYS_MAX.days} days from now"
    try:
        asked = request.expire_time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        asked = now
    if not now < asked <= now + DAYS_MAX:
        raise InvalidArgument("EXPIRE_TIME_INVALID", message, violations=[Violation("expire_time", message)])
    return asked


def _shown(share: Share) -> shares_pb2.Share:
    out = shares_pb2.Share(name=share.name)
    stamp(out, create_time=share.create_time, expire_time=share.expire_time, revoke_time=share.revoke_time)
    return out
