"""Make an API key valid for a tenant.

python -m services.gateway.keys --tenant demo --key-file .local/secrets/api_key
"""

import argparse
import asyncio
from pathlib import Path

from roomviz.runtime import database
from services.gateway.adapters.api_keys import PostgresApiKeys
from services.gateway.settings import Settings


async def add(tenant: str, key: str) -> None:
    async with database.pool(Settings(), "gateway") as pool:
        await PostgresApiKeys(pool).make_valid(key, tenant)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    a = parser.parse_args()
    asyncio.run(add(a.tenant, a.key_file.read_text().strip()))
