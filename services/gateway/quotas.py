"""Set or show what a tenant may use. A limit of -1 goes back to the gateway's own setting.

python -m services.gateway.quotas --tenant demo --megapixels-day 5000 --requests-per-s 20
"""

import argparse
import asyncio
import sys

from roomviz.errors import RoomvizError
from roomviz.runtime import database
from services.gateway.adapters.quotas import PostgresQuotas
from services.gateway.domain.quotas import Allowance
from services.gateway.settings import Settings


async def change(tenant: str, limits: dict[str, float | None]) -> Allowance:
    settings = Settings()
    async with database.pool(settings, "gateway") as pool:
        return await PostgresQuotas(pool, settings.allowance).set_limits(tenant, limits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenant", required=True)
    kinds = {n: int if f.type is int else float for n, f in Allowance.__dataclass_fields__.items()}
    for name, kind in kinds.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    given = vars(parser.parse_args())
    limits = {n: None if given[n] < 0 else given[n] for n in kinds if given[n] is not None}
    try:
        allowed = asyncio.run(change(given["tenant"], limits))
    except RoomvizError as error:
        sys.exit(f"{error.reason}: {error.message}")
    for name, value in vars(allowed).items():
        print(f"{name} {value:g}")


if __name__ == "__main__":
    main()
