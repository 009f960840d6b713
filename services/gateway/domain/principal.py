"""Who calls, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Role(StrEnum):
    OWNER = "OWNER"
    EDITOR = "EDITOR"
    VIEWER = "VIEWER"
    KIOSK = "KIOSK"
    SHOPPER = "SHOPPER"


# What a role is granted: patterns of permissions (`noun.verb`, the proto option `roomviz.v1.permission`).
_OWN_ROOMS = (
    "rooms.create rooms.get rooms.list rooms.analyze rooms.refine visualizations.preview visualizations.create "
    "visualizations.get visualizations.list visualizations.update visualizations.share visualizations.verify "
    "products.get products.list operations.get operations.cancel models.get system.get insights.report insights.assign"
)
_READ = (
    "rooms.get rooms.list visualizations.get visualizations.list visualizations.verify products.get products.list "
    "operations.get models.get insights.get system.get tenants.get profile.*"
)
_WRITE = "rooms.* visualizations.* products.* operations.* insights.*"
GRANTS: dict[Role, frozenset[str]] = {
    Role.OWNER: frozenset({"*"}),
    Role.EDITOR: frozenset(f"{_READ} {_WRITE}".split()),
    Role.VIEWER: frozenset(_READ.split()),
    # A screen in a store that anybody may touch: it makes pictures, and deletes nothing.
    Role.KIOSK: frozenset(_OWN_ROOMS.split()),
    Role.SHOPPER: frozenset(f"{_OWN_ROOMS} rooms.* visualizations.delete profile.* privacy.self".split()),
}
# These see what they made themselves and nothing else of their tenant.
_OWN_ONLY = frozenset({Role.KIOSK, Role.SHOPPER})


@dataclass(frozen=True)
class Principal:
    """A caller as its credential has it. `subject` is a resource name: `users/{user}` or `apiKeys/{api_key}`.

    `scopes` narrow what the role grants; none narrow nothing. `session` is that of a user who signed in.
    """

    tenant: str
    subject: str
    role: Role
    scopes: tuple[str, ...] = ()
    store: str = ""
    session: str = ""

    def may(self, permission: str) -> bool:
        return _matches(GRANTS[self.role], permission) and (not self.scopes or _matches(self.scopes, permission))

    def may_grant(self, role: Role, scopes: tuple[str, ...], store: str, permissions: Iterable[str]) -> bool:
        """Whether a credential of this role, scopes and store could do nothing that this one cannot."""
        made = Principal(self.tenant, "", role, scopes)
        return (
            all(self.may(p) for p in permissions if made.may(p))
            and (made.own_only or not self.own_only)
            and (not self.store or self.store == store)
        )

    @property
    def own_only(self) -> bool:
        return self.role in _OWN_ONLY

    def may_see(self, owner: str) -> bool:
        """Whether a thing of this tenant, made by `owner`, is there for the caller."""
        return not self.own_only or owner == self.subject

    @property
    def sees(self) -> str:
        """The owner whose things alone are there for the caller; empty: everybody's."""
        return self.subject if self.own_only else ""


def _matches(patterns: Iterable[str], permission: str) -> bool:
    return any(fnmatchcase(permission, p) for p in patterns)
