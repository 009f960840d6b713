"""The main job on the sample photos, for `make demo`: a photo in, the same room with another floor out."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.local.settings import ROOT, LocalSettings

JOBS = (
    ("living-room", ["--surface", "floor", "--material", "FLR-HERRINGBONE-OAK"]),
    ("dining-room", ["--surface", "floor", "--material", "TIL-CHECKER", "--surface", "wall", "--material", "PNT-SAGE"]),
)


def main() -> int:
    settings = LocalSettings()
    out = settings.home / "demo"
    out.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "ROOMVIZ_STATE": str(settings.home),
        "ROOMVIZ_HOST": settings.host,
        "ROOMVIZ_GATEWAY_PORT": str(settings.gateway_port),
    }
    roomviz = Path(sys.executable).with_name("roomviz")
    for name, arguments in JOBS:
        photo = ROOT / "samples" / f"{name}.jpg"
        commands = [
            ["analyze", str(photo), "--out", str(out / name)],
            [
                "render",
                str(photo),
                *arguments,
                "--out",
                str(out / f"{name}-after.jpg"),
                "--compare",
                str(out / f"{name}-before-after.jpg"),
            ],
        ]
        for command in commands:
            status = subprocess.run([roomviz, *command], env=environment, cwd=ROOT, check=False).returncode
            if status:
                return status
    print(f"\nLook at {out / 'living-room-before-after.jpg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
