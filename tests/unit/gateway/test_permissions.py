"""Who may do what, read from the protos."""

import pytest

from roomviz.errors import PermissionDenied
from services.gateway.app import PUBLIC
from services.gateway.domain.principal import GRANTS, Principal, Role
from services.gateway.transport.identity import require
from services.gateway.transport.permissions import permissions

ASKED = permissions(PUBLIC)


def caller(role: Role, *scopes: str) -> Principal:
    return Principal("shop", "apiKeys/k", role, scopes)


def allowed(principal: Principal) -> set[str]:
    return {p for p in set(ASKED.values()) if principal.may(p)}


def test_every_public_rpc_asks_for_a_permission():
    assert all(p == "public" or p.count(".") == 1 for p in ASKED.values())
    assert ASKED["/roomviz.v1.RoomService/UploadRoom"] == "rooms.create"
    assert ASKED["/google.longrunning.Operations/CancelOperation"] == "operations.cancel"


def test_every_pattern_of_a_role_grants_something_or_is_spelled_wrong():
    nouns = {p.partition(".")[0] for p in ASKED.values()}
    for role, patterns in GRANTS.items():
        for pattern in patterns:
            assert pattern == "*" or pattern.partition(".")[0] in nouns | {
                "profile",
                "insights",
                "tenants",
                "privacy",
            }, (
                role,
                pattern,
            )


def test_roles_go_from_everything_to_little():
    everything = set(ASKED.values())
    assert allowed(caller(Role.OWNER)) == everything
    assert allowed(caller(Role.VIEWER)) < allowed(caller(Role.EDITOR)) < everything
    assert "rooms.create" not in allowed(caller(Role.VIEWER))
    assert not {p for p in allowed(caller(Role.KIOSK)) if p.endswith(".delete")}


def test_scopes_narrow_a_role_and_never_widen_it():
    assert allowed(caller(Role.OWNER, "rooms.*")) == {p for p in ASKED.values() if p.startswith("rooms.")}
    assert "rooms.create" not in allowed(caller(Role.VIEWER, "rooms.*"))


def test_kiosks_and_shoppers_see_their_own_alone():
    assert caller(Role.EDITOR).may_see("users/other")
    assert not caller(Role.KIOSK).may_see("users/other")
    assert caller(Role.SHOPPER).may_see("apiKeys/k")


def test_a_refusal_names_the_permission():
    with pytest.raises(PermissionDenied) as caught:
        require(caller(Role.VIEWER), "rooms.create")
    assert (caught.value.reason, caught.value.metadata["permission"]) == ("PERMISSION_MISSING", "rooms.create")


def test_a_method_that_nobody_knows_is_the_owners_alone():
    with pytest.raises(PermissionDenied):
        require(caller(Role.EDITOR), "")
    require(caller(Role.OWNER), "")
