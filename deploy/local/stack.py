"""Starts, watches and stops the stack under supervisord.

python -m deploy.local.stack up | down | status | logs | clean
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
from minio import Minio
from supervisor.xmlrpc import SupervisorTransport

from deploy import provision
from deploy.local.programs import Program, prepare
from deploy.local.settings import INTERNAL_HOST, ROOT, LocalSettings
from deploy.permissions import SERVICES
from deploy.secrets import secret

GREEN, RED, GREY, END = ("\033[32m", "\033[31m", "\033[90m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")


def say(text: str) -> None:
    print(text, flush=True)


class Supervisor:
    """supervisord's XML-RPC interface, a connection a call: its transport never closes one by itself."""

    def __init__(self, socket_path: Path):
        self._url = f"unix://{socket_path}"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            transport = SupervisorTransport(None, None, self._url)
            try:
                return getattr(xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor, name)(
                    *arguments
                )
            finally:
                if transport.connection is not None and transport.connection.sock is not None:
                    transport.connection.sock.close()

        return call


class Stack:
    def __init__(self, settings: LocalSettings):
        self.s, self.home = settings, settings.home
        self.run, self.logs = self.home / "run", self.home / "log"
        self.conf = self.run / "supervisord.conf"
        plain = self.run / "supervisor.sock"
        # A socket's path has at most 107 bytes.
        short = Path(tempfile.gettempdir()) / f"roomviz-{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}.sock"
        self.socket = plain if len(str(plain)) < 90 else short
        self.mark = f"ROOMVIZ_STACK={self.home}"

    # --- supervisord ---

    def rpc(self) -> Supervisor:
        return Supervisor(self.socket)

    def alive(self) -> bool:
        try:
            self.rpc().getPID()
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def render(self, programs: list[Program]) -> str:
        def quote(value: str) -> str:
            return '"' + value.replace("%", "%%").replace('"', '\\"') + '"'

        def setting(value: str) -> str:
            """Supervisord's environment knows no escapes, but both kinds of quotes."""
            return f"'{value.replace('%', '%%')}'" if '"' in value else quote(value)

        blocks = [
            f"[unix_http_server]\nfile={self.socket}\nchmod=0700",
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
            f"[supervisord]\nlogfile={self.logs}/supervisord.log\npidfile={self.run}/supervisord.pid\nchildlogdir={self.logs}\ndirectory={ROOT}\nminfds=1024"
            + ("\nuser=root" if os.geteuid() == 0 else ""),
        ]
        for p in programs:
            environment = {"ROOMVIZ_STACK": str(self.home), "PYTHONUNBUFFERED": "1", **p.environment}
            blocks.append(
                f"[program:{p.name}]\n"
                f"command={' '.join(quote(c) for c in p.command)}\n"
                f"environment={','.join(f'{k}={setting(v)}' for k, v in environment.items())}\n"
                f"autostart=false\nautorestart=true\nstartsecs=1\nstartretries=5\npriority={100 * (p.tier + 1)}\n"
                f"stopsignal={p.stop_signal}\nstopwaitsecs={p.stop_wait_s}\nstopasgroup=false\nkillasgroup=true\n"
                f"redirect_stderr=true\nstdout_logfile={self.logs}/{p.name}.log\nstdout_logfile_maxbytes=20MB\nstdout_logfile_backups=2"
            )
        return "\n\n".join(blocks) + "\n"

    @contextmanager
    def lock(self) -> Iterator[None]:
        self.run.mkdir(parents=True, exist_ok=True)
        with (self.run / "lock").open("w") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SystemExit("another make up or make down is at work on this stack; wait for it") from None
            yield

    def check_ports(self) -> None:
        taken: list[str] = []
        seen: dict[int, str] = {}
        for name, port in self.s.ports.items():
            if port in seen:
                raise SystemExit(f"{name} and {seen[port]} are both {port}: give one another port in .env")
            seen[port] = name
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(
                        (self.s.host if name in ("ROOMVIZ_GATEWAY_PORT", "ROOMVIZ_HTTP_PORT") else INTERNAL_HOST, port)
                    )
                except OSError:
                    taken.append(f"  port {port} ({name}) is taken by another program")
        for path in self.weed_sockets():
            try:
                path.unlink()  # left behind by a SeaweedFS of ours that was killed
            except OSError:
                taken.append(f"  {path} belongs to another user's SeaweedFS on the same ports (ROOMVIZ_S3_…)")
        if taken:
            raise SystemExit("\n".join([*taken, "free it, or set another port in .env (see .env.example)"]))

    def weed_sockets(self) -> list[Path]:
        """Sockets that SeaweedFS makes for its ports, in a place of its own choice, and leaves when killed."""
        ports = [p for n, p in self.s.ports.items() if n.startswith("ROOMVIZ_S3_")]
        return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]

    # --- up ---

    def up(self) -> None:
        began = time.monotonic()
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.lock():
            if not self.alive():
                self.kill_orphans()
                self.check_ports()
            before = self.configurations()
            programs = prepare(self.s)
            text = self.render(programs)
            changed = self.configurations() != before or (self.conf.exists() and self.conf.read_text() != text)
            if self.alive() and changed:
                say("settings changed: restarting the stack")
                self.stop()
                self.check_ports()
            self.conf.touch(mode=0o600)
            self.conf.write_text(text)
            if not self.alive():
                # A session of its own: Ctrl-C during `make up` does not take the servers down.
                subprocess.run(
                    [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.conf)],
                    env={**os.environ, "ROOMVIZ_STACK": str(self.home)},
                    check=True,
                    start_new_session=True,
                    cwd=ROOT,
                )
                self.wait_for(self.alive, 15, "supervisord")
            for tier in sorted({p.tier for p in programs}):
                batch = [p for p in programs if p.tier == tier]
                self.start(batch)
                if tier == 0:
                    asyncio.run(self.provision())
            self.seed()
        say(
            f"{GREEN}ready{END} in {time.monotonic() - began:.1f} s: gRPC on {self.s.host}:{self.s.gateway_port}, "
            f"HTTP at {self.s.web}, key in {self.s.secrets / 'api_key'}"
        )

    def configurations(self) -> dict[Path, str]:
        """What the servers read when they start."""
        return {path: path.read_text() for path in self.run.glob("*.json")}

    def wait_for(self, ready: Any, limit_s: float, what: str) -> None:
        end = time.monotonic() + limit_s
        while not ready():
            if time.monotonic() > end:
                raise SystemExit(f"{what} was not ready within {limit_s:g} s")
            time.sleep(0.1)

    def start(self, batch: list[Program]) -> None:
        rpc, began = self.rpc(), time.monotonic()
        for p in batch:
            if rpc.getProcessInfo(p.name)["statename"] not in ("RUNNING", "STARTING", "BACKOFF"):
                rpc.startProcess(p.name, False)
        waiting = list(batch)
        while waiting:
            for p in list(waiting):
                info = rpc.getProcessInfo(p.name)
                if info["statename"] in ("RUNNING", "STARTING") and p.ready():
                    say(f"  {GREEN}✓{END} {p.name:<14}{GREY}{time.monotonic() - began:5.1f} s{END}")
                    waiting.remove(p)
                elif info["statename"] == "FATAL" or time.monotonic() - began > p.start_limit_s:
                    why = (
                        "does not start" if info["statename"] == "FATAL" else f"is not ready after {p.start_limit_s} s"
                    )
                    tail = "\n".join(f"    {line}" for line in self.tail(p.name, 15))
                    raise SystemExit(f"  {RED}✗{END} {p.name} {why}; the end of {self.logs / p.name}.log:\n{tail}")
            time.sleep(0.1)

    async def provision(self) -> None:
        """What services may not make for themselves: the database with its roles, the bucket, the streams."""
        url = f"postgresql://roomviz@{INTERNAL_HOST}:{self.s.postgres_port}"
        passfile = str(self.s.secrets / "pgpass")
        connection = await asyncpg.connect(f"{url}/postgres", passfile=passfile)
        try:
            await provision.database(connection)
        finally:
            await connection.close()
        connection = await asyncpg.connect(f"{url}/roomviz", passfile=passfile)
        try:
            await provision.roles(
                connection, {name: secret(self.s.secrets, f"{name}/postgres_password") for name in SERVICES}
            )
        finally:
            await connection.close()
        store = Minio(
            f"{INTERNAL_HOST}:{self.s.s3_port}",
            access_key="roomviz",
            secret_key=secret(self.s.secrets, "s3_secret_key"),
            secure=False,
            region="us-east-1",
        )
        provision.bucket(store)
        url = f"nats://{INTERNAL_HOST}:{self.s.nats_port}"
        await provision.streams(url, "roomviz", secret(self.s.secrets, "nats_password"))

    def seed(self) -> None:
        """The demo tenant's key and catalogue; does nothing where they are there."""
        secret(self.s.secrets, "api_key")
        for module, service in (("services.gateway.keys", "gateway"), ("services.catalog.seed", "catalog")):
            arguments = ["--tenant", self.s.demo_tenant] + (
                ["--key-file", str(self.s.secrets / "api_key")] if service == "gateway" else []
            )
            subprocess.run(
                [sys.executable, "-m", module, *arguments],
                check=True,
                cwd=ROOT,
                env={**os.environ, **self.s.service_environment(service)},
            )

    # --- down ---

    def down(self) -> None:
        with self.lock():
            was_up = self.alive()
            self.stop()
        say("stopped" if was_up else "nothing was running")

    def stop(self) -> None:
        if self.alive():
            pid = self.rpc().getPID()
            self.rpc().shutdown()
            self.wait_for(lambda: not Path(f"/proc/{pid}").exists() or self.zombie(pid), 90, "the end of supervisord")
        self.kill_orphans()
        for path in self.weed_sockets():
            with suppress(OSError):
                path.unlink()

    @staticmethod
    def zombie(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

    def orphans(self) -> list[int]:
        """Processes of this stack, told by their environment: what a killed supervisor leaves behind, or one that
        lost its socket. A supervisor comes first: it would start again what is ended before it."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0") and not self.zombie(
                        int(entry.name)
                    ):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return sorted(found, key=lambda pid: (b"supervisord" not in self.command(pid), pid))

    @staticmethod
    def command(pid: int) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    def kill_orphans(self) -> None:
        for signum, wait_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            for pid in self.orphans():
                try:
                    os.kill(pid, signum)
                except ProcessLookupError:
                    continue
            end = time.monotonic() + wait_s
            while self.orphans() and time.monotonic() < end:
                time.sleep(0.1)

    # --- the rest ---

    def status(self) -> None:
        if not self.alive():
            say("not running; start it with `make up`")
            raise SystemExit(1)
        ready = {p.name: p.ready for p in prepare(self.s)}
        for info in self.rpc().getAllProcessInfo():
            ok = info["statename"] == "RUNNING" and ready[info["name"]]()
            sign = f"{GREEN}✓ ready   {END}" if ok else f"{RED}✗ {info['statename'].lower():<8}{END}"
            say(f"{sign} {info['name']:<14} {info['description']}")

    def tail(self, name: str, lines: int) -> list[str]:
        path = self.logs / f"{name}.log"
        return path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []

    def show_logs(self) -> None:
        files = sorted(str(p) for p in self.logs.glob("*.log"))
        if files:
            os.execvp("tail", ["tail", "-n", "20", "-F", *files])
        say("no logs yet")

    def clean(self) -> None:
        """Remove data, logs and secrets; what was installed stays."""
        self.down()
        for name in ("data", "log", "run", "secrets", "demo"):
            shutil.rmtree(self.home / name, ignore_errors=True)


def main() -> None:
    stack = Stack(LocalSettings())
    commands = {
        "up": stack.up,
        "down": stack.down,
        "status": stack.status,
        "logs": stack.show_logs,
        "clean": stack.clean,
    }
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(f"usage: python -m deploy.local.stack {' | '.join(commands)}")
    try:
        commands[sys.argv[1]]()
    except KeyboardInterrupt:
        raise SystemExit("interrupted; `make up` goes on where it stopped, `make down` stops what runs") from None


if __name__ == "__main__":
    main()
