"""The composition root of the segmentation service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import cv2
import grpc

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.personal.v1 import personal_pb2_grpc
from roomviz.internal.segmentation.v1 import segmentation_pb2_grpc
from roomviz.internal.status.v1 import status_pb2_grpc
from roomviz.runtime import bus, database, migrations, objects, rpc, tls
from roomviz.runtime.fair_threads import FairThreads
from roomviz.runtime.health import OPEN_METHODS, Health
from roomviz.runtime.outbox import Outbox
from roomviz.runtime.personal import PostgresPersonal, PostgresPurged, forget_purged
from roomviz.runtime.personal_rpc import LONGER, PersonalDataService
from roomviz.runtime.worker import Worker
from roomviz.v1 import models_pb2_grpc, proposals_pb2_grpc, refinements_pb2_grpc
from services.segmentation.adapters.cards import RepositoryCards
from services.segmentation.adapters.postgres import PostgresAnalyses, PostgresModelPins, PostgresRefinements
from services.segmentation.adapters.triton import (
    TritonNetwork,
    TritonPrompter,
    TritonProposer,
    TritonTextEncoder,
    triton_client,
)
from services.segmentation.domain.personal import HOLDINGS
from services.segmentation.settings import Settings
from services.segmentation.transport.jobs import AnalyzeJob
from services.segmentation.transport.models import ModelService
from services.segmentation.transport.proposals import ProposalService
from services.segmentation.transport.rpc import RefinementService, SegmentationService
from services.segmentation.usecases.analyze import AnalyzeRoom
from services.segmentation.usecases.models import ModelCases
from services.segmentation.usecases.personal import PersonalCases
from services.segmentation.usecases.prompted import PromptedMasks
from services.segmentation.usecases.proposals import ProposalCases
from services.segmentation.usecases.refinements import RefinementCases

SCHEMA, MIGRATIONS = "segmentation", Path(__file__).parent / "migrations"


@asynccontextmanager
async def segmentation(settings: Settings) -> AsyncIterator[grpc.aio.Server]:
    # The thread pool is the parallelism; OpenCV's own threads would only fight with it.
    cv2.setNumThreads(1)
    await migrations.upgrade(settings, SCHEMA, MIGRATIONS)
    async with AsyncExitStack() as stack:
        cpu = stack.enter_context(FairThreads(settings.cpu_threads, "cpu"))
        store = await stack.enter_async_context(objects.connect(settings))
        pool = await stack.enter_async_context(database.pool(settings, SCHEMA))
        queue = await stack.enter_async_context(bus.connect(settings))
        server_client = await stack.enter_async_context(triton_client(settings.triton_address))
        network = TritonNetwork(server_client, settings.model)
        proposer = TritonProposer(server_client, settings.proposal_model)
        encoder = None
        if settings.text_model and settings.text_tokenizer:
            encoder = TritonTextEncoder(server_client, settings.text_model, settings.text_tokenizer)
        analyses, pins = PostgresAnalyses(pool), PostgresModelPins(pool)
        await pins.named(settings.model)
        models = ModelCases(settings.model, RepositoryCards(settings.model_repository), pins, network)
        # No network is handed to corrections, and jobs do not keep them waiting: they have threads of their own.
        clicks = stack.enter_context(FairThreads(settings.cpu_threads, "click"))
        refinements = RefinementCases(store, PostgresRefinements(pool), clicks, settings.refine_memory_bytes_max)
        prompted = None
        if settings.prompt_model:
            prompter = TritonPrompter(server_client, settings.prompt_model)
            prompted = PromptedMasks(prompter, store, clicks, settings.prompt_memory_bytes_max)
        proposals = ProposalCases(store, analyses, encoder, clicks, prompted)
        personal = PersonalCases(pool, PostgresPersonal(pool, HOLDINGS), PostgresPurged(pool), store)
        await forget_purged(queue, [refinements, prompted] if prompted else [refinements])
        outbox = await stack.enter_async_context(Outbox(pool, queue).running())
        probes = {
            "postgresql": lambda: database.probe(pool),
            "nats": queue.probe,
            "s3": store.probe,
            "triton": network.probe,
        }
        health = await stack.enter_async_context(Health(probes).running())

        def register(server: grpc.aio.Server) -> list[str]:
            segmentation_pb2_grpc.add_SegmentationServiceServicer_to_server(SegmentationService(refinements), server)
            refinements_pb2_grpc.add_RefinementServiceServicer_to_server(RefinementService(refinements), server)
            proposals_pb2_grpc.add_ProposalServiceServicer_to_server(ProposalService(proposals), server)
            models_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)
            personal_pb2_grpc.add_PersonalDataServiceServicer_to_server(PersonalDataService(personal), server)
            status_pb2_grpc.add_StatusServiceServicer_to_server(health, server)
            internal = [
                "segmentation.v1.SegmentationService",
                "personal.v1.PersonalDataService",
                "status.v1.StatusService",
            ]
            public = [f"roomviz.v1.{name}Service" for name in ("Refinement", "Proposal", "Model")]
            return [*public, *(f"roomviz.internal.{name}" for name in internal)]

        server = await stack.enter_async_context(
            rpc.serve(
                f"{settings.host}:{settings.segmentation_port}",
                register,
                rpc.trusted_tenant,
                settings.default_deadline_s,
                settings.shutdown_grace_s,
                settings.environment == "development",
                health.servicer,
                OPEN_METHODS,
                LONGER,
                tls=tls.for_services(settings),
            )
        )
        work = AnalyzeJob(
            AnalyzeRoom(network, proposer, store, analyses, pins, cpu, settings.proposals_long_side), personal
        )
        await stack.enter_async_context(
            Worker(
                queue,
                pool,
                outbox,
                "segmentation",
                "analyze",
                "events.room.analyzed",
                jobs_pb2.AnalyzeRoomJob,
                work,
                settings.job_concurrency,
                work.discard,
            ).running()
        )
        yield server
