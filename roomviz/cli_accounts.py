"""`roomviz login`, `logout`, `users …` and `keys …`."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from roomviz.accounts import ROLES, Accounts, ends_soon
from roomviz.cli import HOME, CliSettings, Json, app, authorities, gateway, out
from roomviz.client import Client
from roomviz.errors import Unauthenticated
from roomviz.tables import named
from roomviz.v1 import accounts_pb2

users = typer.Typer(no_args_is_help=True, help="Who has an account, and what they may do.")
keys = typer.Typer(no_args_is_help=True, help="API keys of programs.")
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")

Role = Annotated[str, typer.Option(help=", ".join(ROLES))]


class KeptSession:
    """The session of who signed in with the command, in a private file.

    Commands at once take turns, as a refresh token that two of them use would end the session.
    """

    def __init__(self, path: Path, accounts: Accounts | None = None):
        self._path, self._accounts = path, accounts

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        with self._path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    @staticmethod
    def _write(file: IO[str], text: str) -> None:
        file.seek(0)
        file.truncate()
        file.write(text)
        file.flush()

    def keep(self, session: accounts_pb2.Session) -> None:
        with self._locked() as file:
            self._write(file, json.dumps(MessageToDict(session)))

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    def __call__(self) -> str:
        """An access token that is good now."""
        with self._locked() as file:
            try:
                session = ParseDict(json.load(file), accounts_pb2.Session())
            except (ValueError, ParseError) as error:
                raise Unauthenticated("SESSION_OVER", "this session is over; run roomviz login again") from error
            if ends_soon(session) and self._accounts is not None:
                session = self._accounts.refresh(session.refresh_token)
                self._write(file, json.dumps(MessageToDict(session)))
            return session.access_token


def session_file(settings: CliSettings) -> Path:
    return HOME / settings.state / "secrets" / "session.json"


def local(at: Any) -> str:
    """A time for people; empty where there is none."""
    return at.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M") if at.seconds else ""


def tell(as_json: bool, message: Any, words: str, **more: Any) -> None:
    """Say what was made or changed."""
    if as_json:
        print(json.dumps(MessageToDict(message, preserving_proto_field_name=True) | more))
    else:
        out.print(words, highlight=False, soft_wrap=True)


@app.command("login")
def login_command(
    email: Annotated[str, typer.Argument(help="The address of your account.")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="ROOMVIZ_PASSWORD")],
    key: Annotated[str, typer.Option(help="An API key of the shop, where it is not the public one.")] = "",
    as_json: Json = False,
) -> None:
    """Sign in. Other commands then run as you, until `roomviz logout`."""
    settings = CliSettings()
    with Client(f"{settings.host}:{settings.gateway_port}", key, tls=authorities(settings)) as client:
        session = client.accounts.login(email, password)
    KeptSession(session_file(settings)).keep(session)
    tell(as_json, session.user, f"signed in as {session.user.email}")


@app.command("logout")
def logout_command(
    everywhere: Annotated[bool, typer.Option("--everywhere", help="On other devices too.")] = False,
) -> None:
    """Sign out."""
    path = session_file(CliSettings())
    if not path.exists():
        out.print("nobody is signed in")
        return
    try:
        with gateway() as client:
            client.accounts.logout(everywhere)
    except Unauthenticated:
        pass  # it was over already
    finally:
        KeptSession(path).forget()
    out.print("signed out")


@users.command("list")
def list_users(as_json: Json = False) -> None:
    """All users of the tenant."""
    with gateway() as client:
        found = client.users.all()
    if as_json:
        print(json.dumps([MessageToDict(u, preserving_proto_field_name=True) for u in found]))
        return
    table = named("user", "e-mail", "name", "role", "since", "")
    for u in found:
        role = accounts_pb2.Role.Name(u.role).removeprefix("ROLE_").lower()
        table.add_row(u.name, u.email, u.display_name, role, local(u.create_time), "disabled" if u.disabled else "")
    out.print(table)


@users.command("create")
def create_user(
    email: str,
    role: Role,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="ROOMVIZ_NEW_PASSWORD")
    ],
    name: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: Json = False,
) -> None:
    """Make an account for somebody."""
    with gateway() as client:
        user = client.users.create(email, password, role, name)
    tell(as_json, user, user.name)


@users.command("update")
def update_user(
    user: Annotated[str, typer.Argument(help="users/…")],
    role: Annotated[str | None, typer.Option(help=", ".join(ROLES))] = None,
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
    disable: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Take access away, or give it back.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change a user's role or name, or take their access away."""
    with gateway() as client:
        changed = client.users.update(user, role, name, disable)
    tell(as_json, changed, f"{changed.name} changed")


@users.command("delete")
def delete_user(user: Annotated[str, typer.Argument(help="users/…")]) -> None:
    """Delete a user; what they made stays."""
    with gateway() as client:
        client.users.delete(user)
    out.print(f"{user} deleted", highlight=False)


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """All keys of the tenant; of a key only how it begins is known."""
    with gateway() as client:
        found = client.keys.all()
    if as_json:
        print(json.dumps([MessageToDict(k, preserving_proto_field_name=True) for k in found]))
        return
    table = named("key", "begins with", "name", "role", "scopes", "store", "expires", "revoked")
    for k in found:
        role = accounts_pb2.Role.Name(k.role).removeprefix("ROLE_").lower()
        table.add_row(
            k.name,
            k.prefix,
            k.display_name,
            role,
            " ".join(k.scopes),
            k.store,
            local(k.expire_time),
            local(k.revoke_time),
        )
    out.print(table)


@keys.command("create")
def create_key(
    role: Role,
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="Such as rooms.* or visualizations.get; narrows the role.")
    ] = None,
    store: Annotated[str, typer.Option(help="Your id of the store that uses it.")] = "",
    days: Annotated[float, typer.Option(help="Ends by itself after so many days; 0: never.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown here and nowhere else."""
    expire_time = datetime.now(UTC) + timedelta(days=days) if days else None
    with gateway() as client:
        key, secret = client.keys.create(role, name, scope or (), store, expire_time)
    tell(as_json, key, secret, secret=secret)


@keys.command("rotate")
def rotate_key(
    key: Annotated[str, typer.Argument(help="apiKeys/…")],
    overlap_hours: Annotated[float, typer.Option(help="How long the old secret still works.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Give a key a new secret, shown here and nowhere else."""
    with gateway() as client:
        rotated, secret = client.keys.rotate(key, timedelta(hours=overlap_hours))
    tell(as_json, rotated, secret, secret=secret)


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="apiKeys/…")]) -> None:
    """End a key for good."""
    with gateway() as client:
        client.keys.revoke(key)
    out.print(f"{key} revoked", highlight=False)
