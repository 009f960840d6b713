"""The composition root of the compositor service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import cv2
import grpc

from roomviz.internal.compositor.v1 import compositor_pb2_grpc
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.personal.v1 import personal_pb2_grpc
from roomviz.internal.status.v1 import status_pb2_grpc
from roomviz.runtime import bus, database, migrations, objects, rpc, tls
from roomviz.runtime.fair_threads import FairThreads
from roomviz.runtime.health import OPEN_METHODS, Health
from roomviz.runtime.listener import listening
from roomviz.runtime.memory import Memory
from roomviz.runtime.outbox import Outbox
from roomviz.runtime.personal import PostgresPersonal, PostgresPurged, forget_purged
from roomviz.runtime.personal_rpc import LONGER, PersonalDataService
from roomviz.runtime.sandbox import sandbox
from roomviz.runtime.worker import Worker
from services.compositor.adapters.batches import PostgresBatches
from services.compositor.adapters.diffusion import diffusion
from services.compositor.adapters.judge import SandboxedJudge
from services.compositor.adapters.pictures import CachedPictures
from services.compositor.adapters.plates import StoredPlates
from services.compositor.adapters.postgres import PostgresRenders
from services.compositor.adapters.recipes import PostgresRecipes
from services.compositor.domain.kernel import Texels
from services.compositor.domain.layout_plate import LayoutPlate
from services.compositor.domain.personal import HOLDINGS
from services.compositor.domain.plate import Plate
from services.compositor.domain.splice import Tiles
from services.compositor.domain.staging.cutout import Sheet
from services.compositor.domain.staging.place import Backdrop
from services.compositor.settings import Settings
from services.compositor.transport.batches import BatchJob, BatchPullers, Cancellations
from services.compositor.transport.jobs import ExportJob
from services.compositor.transport.messages import order_from_recipe, sheet_order
from services.compositor.transport.rpc import CompositorService
from services.compositor.usecases.batch import RenderItem
from services.compositor.usecases.budget import Budget
from services.compositor.usecases.compare import Compare
from services.compositor.usecases.export import ExportPicture
from services.compositor.usecases.generate import Generate
from services.compositor.usecases.personal import PersonalCases
from services.compositor.usecases.picture import MakePicture
from services.compositor.usecases.quantity import EstimateQuantity
from services.compositor.usecases.receipts import Rerender, Verify
from services.compositor.usecases.renderer import Renderer
from services.compositor.usecases.things import Furniture, Staging

SCHEMA, MIGRATIONS = "compositor", Path(__file__).parent / "migrations"


@asynccontextmanager
async def compositor(settings: Settings) -> AsyncIterator[grpc.aio.Server]:
    # The thread pool is the parallelism; OpenCV's own threads would only fight with it.
    cv2.setNumThreads(1)
    await migrations.upgrade(settings, SCHEMA, MIGRATIONS)
    async with AsyncExitStack() as stack:
        cpu = stack.enter_context(FairThreads(settings.cpu_threads, "cpu"))
        store = await stack.enter_async_context(objects.connect(settings))
        pool = await stack.enter_async_context(database.pool(settings, SCHEMA))
        queue = await stack.enter_async_context(bus.connect(settings))
        # Photos, plates, layouts, textures and things share the budget; a plate is the smallest, and the dearest to make.
        share = settings.cache_bytes // 16
        pictures = CachedPictures(store, cpu, 4 * share)
        purged = PostgresPurged(pool)
        textures, layouts = Memory[Texels](2 * share), Memory[LayoutPlate](4 * share)
        plates = StoredPlates(Memory[Plate](2 * share), store if settings.plate_store_bytes else None, cpu, purged.has)
        await stack.enter_async_context(plates.trimmed(settings.plate_store_bytes))
        tiles = Memory[Tiles](share)
        staging = Staging(pictures, cpu, Memory[Sheet](share), Memory[Backdrop](share), Memory[Furniture](share))
        renderer = Renderer(pictures, cpu, settings.cpu_threads, plates, layouts, textures, tiles, staging)
        recipes = PostgresRecipes(pool, store, order_from_recipe)
        personal = PersonalCases(pool, PostgresPersonal(pool, HOLDINGS), purged, recipes, store)
        await forget_purged(queue, [pictures, plates, layouts, tiles, staging.backdrops, staging.furniture])
        backend = (
            await stack.enter_async_context(
                diffusion(
                    settings.generative_url,
                    settings.generative_key,
                    settings.generative_limit_s,
                    settings.generative_steps,
                    cpu,
                )
            )
            if settings.generative_url
            else None
        )
        make = MakePicture(renderer, recipes, Budget(settings.large_memory_bytes), Generate(renderer, backend, store))
        rerender = Rerender(make, recipes)
        box = await stack.enter_async_context(
            sandbox(
                settings.verify_workers,
                settings.verify_limit_s,
                settings.verify_memory_bytes,
                ["services.compositor.domain.difference"],
            )
        )
        verify = Verify(rerender, recipes, SandboxedJudge(box))
        outbox = await stack.enter_async_context(Outbox(pool, queue).running())
        batches = PostgresBatches(pool, outbox)
        probes = {"postgresql": lambda: database.probe(pool), "nats": queue.probe, "s3": store.probe}
        health = await stack.enter_async_context(Health(probes).running())

        def register(server: grpc.aio.Server) -> list[str]:
            compositor_pb2_grpc.add_CompositorServiceServicer_to_server(
                CompositorService(
                    make, rerender, verify, Compare(make, sheet_order), batches, EstimateQuantity(pictures, cpu)
                ),
                server,
            )
            personal_pb2_grpc.add_PersonalDataServiceServicer_to_server(PersonalDataService(personal), server)
            status_pb2_grpc.add_StatusServiceServicer_to_server(health, server)
            names = ("compositor.v1.CompositorService", "personal.v1.PersonalDataService", "status.v1.StatusService")
            return [f"roomviz.internal.{name}" for name in names]

        server = await stack.enter_async_context(
            rpc.serve(
                f"{settings.host}:{settings.compositor_port}",
                register,
                rpc.trusted_tenant,
                settings.default_deadline_s,
                settings.shutdown_grace_s,
                settings.environment == "development",
                health.servicer,
                OPEN_METHODS,
                {
                    f"/roomviz.internal.compositor.v1.CompositorService/{m}": settings.rerender_limit_s
                    for m in ("Rerender", "Verify")
                }
                | {"/roomviz.internal.compositor.v1.CompositorService/Compare": settings.compare_limit_s}
                | LONGER,
                tls=tls.for_services(settings),
            )
        )
        work = ExportJob(ExportPicture(make, pictures, PostgresRenders()), personal)
        await stack.enter_async_context(
            Worker(
                queue,
                pool,
                outbox,
                "compositor",
                "export",
                "events.visualization.exported",
                jobs_pb2.ExportJob,
                work,
                settings.job_concurrency,
                work.discard,
            ).running()
        )
        await stack.enter_async_context(
            Worker(
                queue,
                pool,
                outbox,
                "compositor",
                "batch",
                "events.batch.accepted",
                jobs_pb2.BatchJob,
                BatchJob(batches, store),
            ).running()
        )
        await stack.enter_async_context(
            BatchPullers(
                batches, RenderItem(make, pictures), personal, queue, settings.batch_lease_s, settings.batch_pullers
            ).running()
        )
        await stack.enter_async_context(
            listening(queue, "events.operation.cancelled", "compositor", Cancellations(batches))
        )
        yield server
