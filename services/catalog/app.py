"""The composition root of the catalog service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc

from roomviz.internal.status.v1 import status_pb2_grpc
from roomviz.runtime import database, migrations, rpc
from roomviz.runtime.health import OPEN_METHODS, Health
from roomviz.v1 import products_pb2_grpc
from services.catalog.adapters.postgres import PostgresProducts
from services.catalog.settings import Settings
from services.catalog.transport.rpc import ProductService
from services.catalog.usecases import Catalog

SCHEMA, MIGRATIONS = "catalog", Path(__file__).parent / "migrations"


@asynccontextmanager
async def catalog(settings: Settings) -> AsyncIterator[grpc.aio.Server]:
    await migrations.upgrade(settings, SCHEMA, MIGRATIONS)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(database.pool(settings, SCHEMA))
        health = await stack.enter_async_context(Health({"postgresql": lambda: database.probe(pool)}).running())

        def register(server: grpc.aio.Server) -> list[str]:
            products_pb2_grpc.add_ProductServiceServicer_to_server(
                ProductService(Catalog(PostgresProducts(pool))), server
            )
            status_pb2_grpc.add_StatusServiceServicer_to_server(health, server)
            return ["roomviz.v1.ProductService", "roomviz.internal.status.v1.StatusService"]

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
            )
        )
