"""The composition root of the catalog service."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc

from roomviz.internal.catalog.v1 import catalog_pb2_grpc
from roomviz.internal.status.v1 import status_pb2_grpc
from roomviz.runtime import database, migrations, objects, rpc, tls
from roomviz.runtime.health import OPEN_METHODS, Health
from roomviz.v1 import products_pb2_grpc
from services.catalog.adapters.postgres import PostgresProducts
from services.catalog.settings import Settings
from services.catalog.transport.rpc import CatalogService, ProductService
from services.catalog.usecases import Catalog, Patterns

SCHEMA, MIGRATIONS = "catalog", Path(__file__).parent / "migrations"


@asynccontextmanager
async def catalog(settings: Settings) -> AsyncIterator[grpc.aio.Server]:
    await migrations.upgrade(settings, SCHEMA, MIGRATIONS)
    async with AsyncExitStack() as stack:
        cpu = stack.enter_context(ThreadPoolExecutor(settings.cpu_threads, thread_name_prefix="cpu"))
        store = await stack.enter_async_context(objects.connect(settings))
        pool = await stack.enter_async_context(database.pool(settings, SCHEMA))
        products = PostgresProducts(pool)
        health = await stack.enter_async_context(
            Health({"postgresql": lambda: database.probe(pool), "s3": store.probe}).running()
        )

        def register(server: grpc.aio.Server) -> list[str]:
            products_pb2_grpc.add_ProductServiceServicer_to_server(ProductService(Catalog(products)), server)
            catalog_pb2_grpc.add_CatalogServiceServicer_to_server(
                CatalogService(Patterns(products, store, cpu)), server
            )
            status_pb2_grpc.add_StatusServiceServicer_to_server(health, server)
            internal = ("catalog.v1.CatalogService", "status.v1.StatusService")
            return ["roomviz.v1.ProductService", *(f"roomviz.internal.{name}" for name in internal)]

        yield await stack.enter_async_context(
            rpc.serve(
                f"{settings.host}:{settings.catalog_port}",
                register,
                rpc.trusted_tenant,
                settings.default_deadline_s,
                settings.shutdown_grace_s,
                settings.environment == "development",
                health.servicer,
                OPEN_METHODS,
                tls=tls.for_services(settings),
            )
        )
