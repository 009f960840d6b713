"""The composition root of the gateway."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
from google.longrunning import operations_pb2_grpc as longrunning_grpc

from roomviz.internal.catalog.v1 import catalog_pb2_grpc
from roomviz.internal.compositor.v1 import compositor_pb2_grpc
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.personal.v1 import personal_pb2_grpc
from roomviz.internal.segmentation.v1 import segmentation_pb2_grpc
from roomviz.internal.status.v1 import status_pb2, status_pb2_grpc
from roomviz.runtime import bus, database, migrations, objects, rpc, tls
from roomviz.runtime.admission import Turns
from roomviz.runtime.health import Health
from roomviz.runtime.outbox import Outbox
from roomviz.runtime.personal import PostgresPersonal
from roomviz.runtime.sandbox import sandbox
from roomviz.runtime.worker import Worker
from roomviz.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    api_keys_pb2,
    api_keys_pb2_grpc,
    insights_pb2,
    insights_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    privacy_pb2,
    privacy_pb2_grpc,
    products_pb2,
    products_pb2_grpc,
    proposals_pb2,
    proposals_pb2_grpc,
    quantities_pb2,
    quantities_pb2_grpc,
    refinements_pb2,
    refinements_pb2_grpc,
    rooms_pb2,
    rooms_pb2_grpc,
    shares_pb2,
    shares_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    tenants_pb2,
    tenants_pb2_grpc,
    uploads_pb2,
    uploads_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
    visualizations_pb2,
    visualizations_pb2_grpc,
    webhooks_pb2,
    webhooks_pb2_grpc,
)
from services.gateway.adapters.accounts import PostgresSessions, PostgresTenants, PostgresTries, PostgresUsers
from services.gateway.adapters.api_keys import PostgresApiKeys
from services.gateway.adapters.decoder import SandboxedDecoder
from services.gateway.adapters.descriptions import PostgresDescriptions
from services.gateway.adapters.fetcher import fetcher
from services.gateway.adapters.happenings import PostgresHappenings
from services.gateway.adapters.insights import PostgresInsights
from services.gateway.adapters.passwords import passwords
from services.gateway.adapters.poster import poster
from services.gateway.adapters.postgres import PostgresOperations
from services.gateway.adapters.privacy import PostgresErasures, PostgresExports
from services.gateway.adapters.quotas import PostgresQuotas
from services.gateway.adapters.requests import PostgresRequests
from services.gateway.adapters.rooms import PostgresRooms
from services.gateway.adapters.sessions import PostgresPhotoSessions, PostgresVisitors, link_secret
from services.gateway.adapters.shares import PostgresShares
from services.gateway.adapters.spool import spool
from services.gateway.adapters.tokens import JwtTokens, SigningKeys
from services.gateway.adapters.uploads import PostgresUploads
from services.gateway.adapters.vault import Vault
from services.gateway.adapters.visualizations import PostgresVisualizations
from services.gateway.adapters.webhooks import PostgresWebhooks
from services.gateway.domain.addresses import Rules
from services.gateway.domain.ingest import Limits
from services.gateway.domain.personal import HOLDINGS
from services.gateway.domain.receipt import Signer
from services.gateway.ports import DescriptionProvider
from services.gateway.settings import Settings
from services.gateway.transport.accounts import AccountService
from services.gateway.transport.admission import Admission, Weight, weights
from services.gateway.transport.api_keys import ApiKeyService
from services.gateway.transport.connect import Connect
from services.gateway.transport.courier import Courier
from services.gateway.transport.events import Events
from services.gateway.transport.housekeeping import Housekeeping
from services.gateway.transport.http import app as web
from services.gateway.transport.http.files import Links
from services.gateway.transport.http.server import serve
from services.gateway.transport.identity import Credentials, Gate
from services.gateway.transport.insights import InsightService
from services.gateway.transport.keeper import Keeper
from services.gateway.transport.permissions import OPERATIONS, permissions
from services.gateway.transport.permissions import PUBLIC as PUBLIC_PERMISSION
from services.gateway.transport.privacy import EraseJob, GatherJob, PrivacyService
from services.gateway.transport.rooms import RoomService
from services.gateway.transport.rpc import (
    ModelService,
    Operations,
    OperationService,
    ProductService,
    ProposalService,
    QuantityService,
    RefinementService,
    SystemService,
)
from services.gateway.transport.shares import ShareService
from services.gateway.transport.tenants import TenantService
from services.gateway.transport.uploads import UploadService
from services.gateway.transport.usage import UsageService
from services.gateway.transport.visualizations import VisualizationService
from services.gateway.transport.webhooks import WebhookService
from services.gateway.usecases.accounts import AccountCases
from services.gateway.usecases.api_keys import ApiKeyCases
from services.gateway.usecases.batches import BatchCases, BatchItems
from services.gateway.usecases.comparisons import ComparisonCases
from services.gateway.usecases.deliveries import DeliveryCases
from services.gateway.usecases.descriptions import DescriptionCases
from services.gateway.usecases.erasing import Erase
from services.gateway.usecases.gathering import Gather
from services.gateway.usecases.generations import GenerationCases
from services.gateway.usecases.idempotency import Once
from services.gateway.usecases.insights import InsightCases
from services.gateway.usecases.lifecycle import RoomLifecycle, VisualizationLifecycle
from services.gateway.usecases.operations import OperationCases, ProgressBoard
from services.gateway.usecases.patterns import PatternCases
from services.gateway.usecases.photo_sessions import PhotoSessionCases
from services.gateway.usecases.privacy import PrivacyCases, Retention
from services.gateway.usecases.quantities import QuantityCases
from services.gateway.usecases.quotas import QuotaCases
from services.gateway.usecases.refinements import RefinementCases
from services.gateway.usecases.rooms import RoomCases
from services.gateway.usecases.shares import ShareCases
from services.gateway.usecases.system import SystemCases
from services.gateway.usecases.tenants import TenantCases
from services.gateway.usecases.uploads import UploadCases
from services.gateway.usecases.users import UserCases
from services.gateway.usecases.visitors import Turnstile, VisitorCases
from services.gateway.usecases.visualizations import VisualizationCases
from services.gateway.usecases.webhooks import WebhookCases

SCHEMA, MIGRATIONS = "gateway", Path(__file__).parent / "migrations"
# Every service of the public API.
PUBLIC = (
    rooms_pb2.DESCRIPTOR.services_by_name["RoomService"],
    uploads_pb2.DESCRIPTOR.services_by_name["UploadService"],
    refinements_pb2.DESCRIPTOR.services_by_name["RefinementService"],
    proposals_pb2.DESCRIPTOR.services_by_name["ProposalService"],
    visualizations_pb2.DESCRIPTOR.services_by_name["VisualizationService"],
    shares_pb2.DESCRIPTOR.services_by_name["ShareService"],
    quantities_pb2.DESCRIPTOR.services_by_name["QuantityService"],
    products_pb2.DESCRIPTOR.services_by_name["ProductService"],
    models_pb2.DESCRIPTOR.services_by_name["ModelService"],
    operations_pb2.DESCRIPTOR.services_by_name["OperationService"],
    privacy_pb2.DESCRIPTOR.services_by_name["PrivacyService"],
    system_pb2.DESCRIPTOR.services_by_name["SystemService"],
    accounts_pb2.DESCRIPTOR.services_by_name["AccountService"],
    api_keys_pb2.DESCRIPTOR.services_by_name["ApiKeyService"],
    tenants_pb2.DESCRIPTOR.services_by_name["TenantService"],
    usage_pb2.DESCRIPTOR.services_by_name["UsageService"],
    webhooks_pb2.DESCRIPTOR.services_by_name["WebhookService"],
    insights_pb2.DESCRIPTOR.services_by_name["InsightService"],
    OPERATIONS,
)
BEHIND = ("catalog", "segmentation", "compositor")
# Those of them that keep something of rooms; who works on them first, so that it has nothing to work on any more.
KEEPERS = ("compositor", "segmentation")


@dataclass(frozen=True)
class ServiceCalls:
    segmentation: Any
    refinements: Any
    proposals: Any
    compositor: Any
    products: Any
    catalog: Any
    models: Any


def public_certificate(settings: Settings) -> tls.Certificate | None:
    """What anybody who connects is shown, over gRPC and HTTP; None: plaintext. Who calls, the credential tells."""
    if settings.public_tls_certificate_file and settings.public_tls_key_file:
        return tls.Certificate(settings.public_tls_certificate_file, settings.public_tls_key_file)
    return None


def turns_of(settings: Settings) -> dict[Weight, Turns]:
    return {
        Weight.LIGHT: Turns(
            "light", settings.light_slots, settings.light_share, settings.light_waiting, settings.light_wait_s
        ),
        Weight.HEAVY: Turns(
            "heavy", settings.heavy_slots, settings.heavy_share, settings.heavy_waiting, settings.heavy_wait_s
        ),
    }


def longer_limits(settings: Settings) -> dict[str, float]:
    """How long the methods may take that may take longer than the others."""
    return {
        "/roomviz.v1.OperationService/WatchOperation": settings.watch_limit_s,
        "/google.longrunning.Operations/WaitOperation": settings.watch_limit_s,
        "/roomviz.v1.VisualizationService/CompareVisualizations": settings.compare_limit_s,
        "/roomviz.v1.PrivacyService/DownloadExport": settings.watch_limit_s,
        "/roomviz.v1.RoomService/UploadRoom": settings.upload_limit_s,
        "/roomviz.v1.VisualizationService/RerenderVisualization": settings.rerender_limit_s,
        "/roomviz.v1.VisualizationService/VerifyRender": settings.rerender_limit_s,
    }


@asynccontextmanager
async def describing(settings: Settings) -> AsyncIterator[DescriptionProvider | None]:
    """Who describes rooms instead of us; None where nobody is set up."""
    if not settings.gemini_key:
        yield None
        return
    # Google's client is large: only who uses it waits for it.
    from services.gateway.adapters.gemini import gemini

    async with gemini(
        settings.gemini_key,
        settings.gemini_model,
        settings.gemini_base_url,
        settings.gemini_limit_s,
        settings.gemini_failures_max,
        settings.gemini_rest_s,
    ) as provider:
        yield provider


def privacy_workers(
    queue: bus.Bus, pool: asyncpg.Pool, outbox: Outbox, erase: EraseJob, gather: GatherJob
) -> tuple[Worker, Worker]:
    """The jobs that the gateway does itself: removing what is kept of somebody, and gathering it."""
    return (
        Worker(queue, pool, outbox, "gateway", "erase", "events.personal.erased", jobs_pb2.EraseJob, erase),
        Worker(
            queue,
            pool,
            outbox,
            "gateway",
            "gather",
            "events.personal.gathered",
            jobs_pb2.GatherJob,
            gather,
            discard=gather.discard,
        ),
    )


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[grpc.aio.Server]:
    await migrations.upgrade(settings, SCHEMA, MIGRATIONS)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(objects.connect(settings))
        pool = await stack.enter_async_context(database.pool(settings, SCHEMA))
        queue = await stack.enter_async_context(bus.connect(settings))
        limits = Limits(settings.upload_bytes_max, settings.upload_megapixels_max)
        box = await stack.enter_async_context(
            sandbox(
                settings.decode_workers,
                settings.decode_limit_s,
                settings.decode_memory_bytes,
                ["services.gateway.domain.ingest"],
            )
        )
        turns = turns_of(settings)
        quotas = PostgresQuotas(pool, settings.allowance)
        quota_cases = QuotaCases(quotas, settings.gateways, settings.rate_waiting, settings.rate_wait_s)
        decode = SandboxedDecoder(box, limits, turns[Weight.HEAVY])
        rules = Rules(settings.fetch_schemes, settings.fetch_ports, settings.fetch_hosts, settings.fetch_networks)
        fetch = await stack.enter_async_context(fetcher(rules, settings.upload_bytes_max, settings.fetch_limit_s))
        own_certificate, public = tls.own_certificate(settings), public_certificate(settings)
        channels = {
            name: await stack.enter_async_context(rpc.channel(settings.address(name), name, own_certificate))
            for name in BEHIND
        }
        statuses = {name: status_pb2_grpc.StatusServiceStub(c) for name, c in channels.items()}
        calls = ServiceCalls(
            segmentation_pb2_grpc.SegmentationServiceStub(channels["segmentation"]),
            refinements_pb2_grpc.RefinementServiceStub(channels["segmentation"]),
            proposals_pb2_grpc.ProposalServiceStub(channels["segmentation"]),
            compositor_pb2_grpc.CompositorServiceStub(channels["compositor"]),
            products_pb2_grpc.ProductServiceStub(channels["catalog"]),
            catalog_pb2_grpc.CatalogServiceStub(channels["catalog"]),
            models_pb2_grpc.ModelServiceStub(channels["segmentation"]),
        )
        outbox = await stack.enter_async_context(Outbox(pool, queue).running())
        operations = PostgresOperations(pool, outbox, quotas, settings.jobs_ahead)
        happenings = PostgresHappenings(pool)
        webhooks, insights, vault = (
            PostgresWebhooks(pool, happenings),
            PostgresInsights(pool, happenings),
            Vault(settings.webhook_key_file),
        )
        hook_rules = Rules(
            settings.webhook_schemes, settings.webhook_ports, settings.webhook_hosts, settings.webhook_networks
        )
        post = await stack.enter_async_context(poster(hook_rules, settings.webhook_limit_s))
        operation_cases = OperationCases(operations, ProgressBoard(), happenings)
        rooms, visualizations = PostgresRooms(pool, quotas, happenings), PostgresVisualizations(pool)
        requests, photo_sessions = PostgresRequests(pool), PostgresPhotoSessions(pool)
        once, kept = Once(requests), timedelta(days=settings.undelete_days)
        room_cases = RoomCases(
            rooms,
            operations,
            store,
            decode,
            calls,
            stack.enter_context(spool(settings.spool_folder)),
            quota_cases,
            settings.upload_bytes_max,
            settings.job_limit_s,
        )
        provider = await stack.enter_async_context(describing(settings))
        description_cases = DescriptionCases(room_cases, store, PostgresDescriptions(pool), provider)
        upload_cases = UploadCases(
            room_cases,
            PostgresUploads(pool),
            store,
            once,
            settings.upload_bytes_max,
            timedelta(hours=settings.upload_kept_hours),
        )
        refinement_cases = RefinementCases(room_cases, calls)
        batch_items = BatchItems(room_cases, operations, calls)
        visualization_cases = VisualizationCases(
            room_cases,
            operations,
            visualizations,
            store,
            calls,
            settings.job_limit_s,
            batch_items.visualization,
            happenings,
        )
        visualization_lifecycle = VisualizationLifecycle(visualization_cases, visualizations, once, kept, happenings)
        share_cases = ShareCases(
            visualization_cases,
            visualization_lifecycle,
            visualizations,
            PostgresShares(pool),
            store,
            once,
            settings.share_key,
        )
        comparison_cases = ComparisonCases(room_cases, visualization_cases, calls)
        batch_cases = BatchCases(
            room_cases,
            visualization_cases,
            operations,
            store,
            calls,
            settings.job_limit_s,
            settings.batch_item_limit_s,
        )
        keys = PostgresApiKeys(pool)
        users, sessions = PostgresUsers(pool), PostgresSessions(pool, timedelta(days=settings.refresh_token_days))
        tokens = JwtTokens(
            SigningKeys(settings.token_keys_dir),
            settings.token_issuer,
            settings.token_audience,
            settings.access_token_s,
        )
        hashing = await stack.enter_async_context(passwords(settings.password_workers))
        account_cases = AccountCases(users, sessions, hashing, tokens, PostgresTries(pool), settings.public_tenant)
        asked = permissions(PUBLIC)
        grantable = frozenset(asked.values()) - {PUBLIC_PERMISSION}
        generation_cases = GenerationCases(room_cases, operations, settings.job_limit_s)
        signer = Signer(settings.receipt_key_file.read_bytes()) if settings.receipt_key_file else None
        keepers = {name: personal_pb2_grpc.PersonalDataServiceStub(channels[name]) for name in KEEPERS}
        tables, exports = PostgresPersonal(pool, HOLDINGS), PostgresExports(pool)
        erasures = PostgresErasures(pool, tables)
        privacy_cases = PrivacyCases(operations, erasures, tables, exports, store, signer, settings.privacy_limit_s)
        erase = Erase(erasures, store, keepers, queue, signer)
        gather = Gather(erasures, tables, exports, store, keepers, settings.export_kept_days)
        retention = Retention(operations, erasures, exports, store, settings.privacy_limit_s)
        # Ready means that the gateway can do its own part: a service behind it that is down fails its own calls only.
        health = await stack.enter_async_context(
            Health({"postgresql": lambda: database.probe(pool), "nats": queue.probe, "s3": store.probe}).running()
        )

        insight_cases = InsightCases(insights)

        async def own() -> status_pb2.GetStatusResponse:
            return health.answer()

        def register(server: grpc.aio.Server) -> list[str]:
            rooms_pb2_grpc.add_RoomServiceServicer_to_server(
                RoomService(
                    room_cases,
                    RoomLifecycle(rooms, once, kept, happenings),
                    upload_cases,
                    operation_cases,
                    description_cases,
                ),
                server,
            )
            uploads_pb2_grpc.add_UploadServiceServicer_to_server(UploadService(upload_cases), server)
            refinements_pb2_grpc.add_RefinementServiceServicer_to_server(RefinementService(refinement_cases), server)
            visualizations_pb2_grpc.add_VisualizationServiceServicer_to_server(
                VisualizationService(
                    visualization_cases,
                    visualization_lifecycle,
                    generation_cases,
                    comparison_cases,
                    batch_cases,
                    batch_items,
                    operation_cases,
                ),
                server,
            )
            shares_pb2_grpc.add_ShareServiceServicer_to_server(ShareService(share_cases), server)
            quantities_pb2_grpc.add_QuantityServiceServicer_to_server(
                QuantityService(QuantityCases(room_cases, calls)), server
            )
            products_pb2_grpc.add_ProductServiceServicer_to_server(
                ProductService(calls.products, PatternCases(fetch, decode, store, calls)), server
            )
            proposals_pb2_grpc.add_ProposalServiceServicer_to_server(
                ProposalService(room_cases, calls.proposals), server
            )
            models_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(calls.models), server)
            accounts_pb2_grpc.add_AccountServiceServicer_to_server(
                AccountService(account_cases, UserCases(users, sessions, hashing, grantable)), server
            )
            api_keys_pb2_grpc.add_ApiKeyServiceServicer_to_server(ApiKeyService(ApiKeyCases(keys, grantable)), server)
            tenants_pb2_grpc.add_TenantServiceServicer_to_server(
                TenantService(TenantCases(PostgresTenants(pool))), server
            )
            operations_pb2_grpc.add_OperationServiceServicer_to_server(OperationService(operation_cases), server)
            longrunning_grpc.add_OperationsServicer_to_server(Operations(operation_cases), server)
            webhooks_pb2_grpc.add_WebhookServiceServicer_to_server(
                WebhookService(WebhookCases(webhooks, vault, hook_rules)), server
            )
            insights_pb2_grpc.add_InsightServiceServicer_to_server(InsightService(insight_cases), server)
            privacy_pb2_grpc.add_PrivacyServiceServicer_to_server(
                PrivacyService(privacy_cases, operation_cases), server
            )
            system_pb2_grpc.add_SystemServiceServicer_to_server(SystemService(SystemCases(statuses, own)), server)
            usage_pb2_grpc.add_UsageServiceServicer_to_server(UsageService(quota_cases), server)
            return [service.full_name for service in PUBLIC]

        credentials = Credentials(keys, sessions, tokens)
        gate = Gate(credentials, asked)
        longer = longer_limits(settings)
        admission = Admission(quota_cases, turns, weights(PUBLIC))
        # Before the servers, which end before it: a call that waits for a job still hears of its end.
        await stack.enter_async_context(Events(queue, operation_cases, settings.republish_after_s).running())
        server = await stack.enter_async_context(
            rpc.serve(
                f"{settings.host}:{settings.gateway_port}",
                register,
                gate,
                settings.default_deadline_s,
                settings.shutdown_grace_s,
                settings.environment == "development",
                health.servicer,
                frozenset(),
                longer,
                tls.ServerTls(public.server()) if public else None,
                admission,
                settings.calls_max,
                settings.streams_per_connection,
            )
        )
        web_cases = web.Cases(
            PhotoSessionCases(
                photo_sessions, room_cases, operation_cases, store, description_cases, turns[Weight.HEAVY]
            ),
            refinement_cases,
            visualization_lifecycle,
            VisitorCases(
                PostgresVisitors(pool),
                Turnstile(settings.demo_sessions_per_hour),
                settings.public_tenant,
                settings.demo_session_s,
            ),
            account_cases,
            calls,
            store,
            health,
            tokens.jwks,
            insight_cases,
        )
        links = Links(await link_secret(pool), settings.http_url.rstrip("/"), settings.http_link_s)
        limits_s = (settings.upload_limit_s, settings.watch_limit_s, settings.http_wait_s)
        edge = rpc.EdgeInterceptor(gate, settings.default_deadline_s, longer=longer, admit=admission)
        await stack.enter_async_context(
            serve(
                web.application(
                    web.api(credentials, admission, web_cases, links, *limits_s),
                    Connect(PUBLIC, register, edge),
                    settings.http_origins,
                ),
                settings.host,
                settings.http_port,
                settings.shutdown_grace_s,
                settings.http_proxies,
                public.context() if public else None,
            )
        )
        await stack.enter_async_context(
            Housekeeping(
                "housekeeping",
                settings.housekeeping_s,
                requests.forget,
                upload_cases.sweep,
                photo_sessions.forget,
                quotas.forget,
            ).running()
        )
        await stack.enter_async_context(
            Keeper(
                happenings, webhooks, insights, settings.event_months, settings.webhook_days, settings.insight_period_s
            ).running()
        )
        if settings.webhook_key_file is not None:
            deliveries = DeliveryCases(
                webhooks, post, vault, settings.webhook_schedule_s, settings.webhook_disable_after_s
            )
            courier = Courier(webhooks, deliveries, settings.webhooks_at_once, 2 * settings.webhook_limit_s)
            await stack.enter_async_context(courier.running())
        for worker in privacy_workers(queue, pool, outbox, EraseJob(operations, erase), GatherJob(operations, gather)):
            await stack.enter_async_context(worker.running())
        await stack.enter_async_context(
            Housekeeping("retention", settings.retention_sweep_s, retention.sweep).running()
        )
        yield server
