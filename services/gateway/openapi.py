"""Write the OpenAPI document of the HTTP API.

python -m services.gateway.openapi > docs/openapi.json
"""

import json
from typing import Any

from services.gateway.settings import Settings
from services.gateway.transport.http.app import Cases, api, openapi
from services.gateway.transport.http.files import Links


def document() -> str:
    """The document as it is served, for a server whose settings say nothing else."""
    nothing: Any = None
    cases = Cases(*[nothing] * len(Cases.__dataclass_fields__))
    upload, watch, wait = (Settings.model_fields[n].default for n in ("upload_limit_s", "watch_limit_s", "http_wait_s"))
    app = api(nothing, nothing, cases, Links(b"", "", 1), upload, watch, wait)
    return json.dumps(openapi(app), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(document(), end="")
