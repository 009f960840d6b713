"""Generate Python from the protos, or write them as one image for `buf`.

python protos/build.py            writes roomviz/v1 and roomviz/internal
python protos/build.py IMAGE      writes a descriptor set with comments and imports
"""

import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SITE = Path(sysconfig.get_paths()["purelib"])


def main() -> int:
    files = sorted(str(p.relative_to(HERE)) for p in HERE.glob("roomviz/**/*.proto"))
    with tempfile.TemporaryDirectory() as extra:
        # googleapis-common-protos ships this file under another name than the one it is known by.
        target = Path(extra, "google", "longrunning", "operations.proto")
        target.parent.mkdir(parents=True)
        shutil.copy(SITE / "google" / "longrunning" / "operations_proto.proto", target)
        well_known = Path(grpc_tools.__file__).parent / "_proto"
        command = ["protoc", f"-I{HERE}", f"-I{extra}", f"-I{SITE}", f"-I{well_known}"]
        if len(sys.argv) > 1:
            command += ["--include_imports", "--include_source_info", f"--descriptor_set_out={sys.argv[1]}"]
        else:
            for name in ("v1", "internal"):
                shutil.rmtree(ROOT / "roomviz" / name, ignore_errors=True)
            command += [f"--python_out={ROOT}", f"--pyi_out={ROOT}", f"--grpc_python_out={ROOT}"]
        status = int(protoc.main(command + files))
    if status == 0 and len(sys.argv) == 1:
        for folder in (ROOT / "roomviz" / "v1", ROOT / "roomviz" / "internal"):
            for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
                (path / "__init__.py").touch()
    return status


if __name__ == "__main__":
    sys.exit(main())
