"""The composition root of the segmentation service."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import cv2
import grpc

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.segmentation.v1 import segmentation_pb2_grpc
from roomviz.internal.status.v1 import status_pb2_grpc
from roomviz.runtime import bus, database, migrations, objects, rpc
from roomviz.runtime.health import OPEN_METHODS, Health
from roomviz.runtime.outbox import Outbox
from roomviz.runtime.worker import Worker
from roomviz.v1 import models_pb2_grpc
from services.segmentation.adapters.cards import RepositoryCards
from services.segmentation.adapters.postgres import PostgresAnalyses, PostgresPins
from services.segmentation.adapters.triton import TritonNetwork
from services.segmentation.settings import Settings
from services.segmentation.transport.jobs import AnalyzeJob
from services.segmentation.transport.models import ModelService
from services.segmentation.transport.rpc import SegmentationService
from services.segmentation.usecases import AnalyzeRoom, ModelCases

SCHEMA, MIGRATIONS = "segmentation", Path(__file__).parent / "migrations"


@asynccontextmanager
async def segmentation(settings: Settings) -> AsyncIterator[grpc.aio.Server]:
    # The thread pool is the parallelism; OpenCV's own threads would only fight with it.
    cv2.setNumThreads(1)
    await migrations.upgrade(settings, SCHEMA, MIGRATIONS)
    async with AsyncExitStack() as stack:
        cpu = stack.enter_context(ThreadPoolExecutor(settings.cpu_threads, thread_name_prefix="cpu"))
        store = await stack.enter_async_context(objects.connect(settings))
        pool = await stack.enter_async_context(database.pool(settings, SCHEMA))
        queue = await stack.enter_async_context(bus.connect(settings.nats_url, "segmentation"))
        network = TritonNetwork(settings.triton_address, settings.model)
        stack.push_async_callback(network.close)
        analyses, pins = PostgresAnalyses(pool), PostgresPins(pool)
        models = ModelCases(settings.model, RepositoryCards(settings.model_repository), pins, network)
        outbox = await stack.enter_async_context(Outbox(pool, queue).running())
        probes = {
            "postgresql": lambda: database.probe(pool),
            "nats": queue.probe,
            "s3": store.probe,
            "triton": network.probe,
        }
        health = await stack.enter_async_context(Health(probes).running())

        def register(server: grpc.aio.Server) -> list[str]:
            segmentation_pb2_grpc.add_SegmentationServiceServicer_to_server(SegmentationService(analyses), server)
            models_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)
            status_pb2_grpc.add_StatusServiceServicer_to_server(health, server)
            internal = ["segmentation.v1.SegmentationService", "status.v1.StatusService"]
            return ["roomviz.v1.ModelService", *(f"roomviz.internal.{name}" for name in internal)]

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
            )
        )
        work = AnalyzeJob(AnalyzeRoom(network, store, analyses, pins, cpu))
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
            ).running()
        )
        yield server
