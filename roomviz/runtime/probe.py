"""Asks a service how it is, from beside it: for orchestrators whose own probes can show no certificate.

python -m roomviz.runtime.probe catalog 8453            succeeds when the service works, with all that it depends on
python -m roomviz.runtime.probe catalog 8453 --alive    succeeds when it answers at all

It runs every few seconds next to the service, so it imports little: the settings stand in the environment.
"""

import argparse
import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

LIMIT_S = 3.0
FILES = ("ROOMVIZ_TLS_CA_FILE", "ROOMVIZ_TLS_KEY_FILE", "ROOMVIZ_TLS_CERTIFICATE_FILE")


def opened(service: str, port: int) -> grpc.Channel:
    """A channel that shows the service its own certificate; plaintext where it has none."""
    address = f"127.0.0.1:{port}"
    files = [os.environ.get(name) for name in FILES]
    if not all(files):
        return grpc.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(*(Path(f).read_bytes() for f in files if f))
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", service)])


def works(service: str, port: int, alive: bool = False) -> bool:
    """Whether it works, or (`alive`) answers; what is wrong goes to standard error."""
    with opened(service, port) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_S)
        except grpc.RpcError as error:
            print(f"{service}: {error.code().name}: {error.details()}", file=sys.stderr)
            return False
    if alive or answer.status == health_pb2.HealthCheckResponse.SERVING:
        return True
    print(f"{service}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}", file=sys.stderr)
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("service")
    parser.add_argument("port", type=int)
    parser.add_argument("--alive", action="store_true")
    a = parser.parse_args()
    sys.exit(not works(a.service, a.port, a.alive))
