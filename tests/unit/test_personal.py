"""The lists of what is kept of people, and what is made of them.

python -m tests.unit.test_personal writes the table in docs/privacy.md anew.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomviz.personal import Holdings, Scope, bound, pseudonym
from roomviz.runtime.memory import Memory
from roomviz.runtime.personal import mentions
from services.catalog.domain.personal import HOLDINGS as CATALOG
from services.compositor.domain.personal import HOLDINGS as COMPOSITOR
from services.gateway.domain.personal import HOLDINGS as GATEWAY
from services.segmentation.domain.personal import HOLDINGS as SEGMENTATION

PAGE = Path(__file__).resolve().parents[2] / "docs" / "privacy.md"
BEGIN, END = "<!-- registry -->\n", "<!-- end of registry -->"
ALL = (GATEWAY, SEGMENTATION, COMPOSITOR, CATALOG)
ROOM, OTHER = "0123456789abcdef0123456789abcd", "f" * 30


def registry() -> str:
    lines = ["| | what | personal | kept |", "|---|---|---|---|"]
    for holdings in ALL:
        for t in holdings.tables:
            name = f"`{holdings.schema}.{t.name}`"
            lines.append(f"| {name} | {t.what} | {'yes' if t.where else 'no'} | {t.kept} |")
        lines += [f"| objects `{o.prefix}` | {o.what} | {_personal(o.prefix)} | {o.kept} |" for o in holdings.objects]
    return "\n".join(lines) + "\n"


def _personal(prefix: str) -> str:
    return "yes" if "{" in prefix else "no"


def with_registry(page: str) -> str:
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    return page[:begin] + registry() + page[end:]


def test_the_page_has_the_registry_as_it_is():
    page = PAGE.read_text()

    assert page == with_registry(page), "run python -m tests.unit.test_personal"


@pytest.mark.parametrize("holdings", ALL, ids=lambda h: h.schema)
def test_what_is_personal_is_bound_to_a_tenant_or_to_random_ids(holdings: Holdings):
    for table in holdings.tables:
        if table.where:
            assert ":tenant" in table.where or ":operations" in table.where, table.name


def test_nobody_without_a_name_owns_anything():
    for table in GATEWAY.tables:
        assert ":subject" not in table.where or ":subject <> ''" in table.where or table.stays, table.name


def test_a_condition_takes_its_arguments_once_each_in_their_order():
    scope = Scope("demo", "users/x", ("rooms/a", "rooms/b"), ("o",))

    sql, arguments = bound("t = :tenant AND (r = ANY (:room_ids) OR u = :subject) AND t = :tenant::text", scope)

    assert sql == "t = $1::text AND (r = ANY ($2::text[]) OR u = $3::text) AND t = $1::text::text"
    assert arguments == ["demo", ["a", "b"], "users/x"]


def test_a_pseudonym_is_of_one_subject_of_one_tenant():
    assert len({pseudonym(t, s) for t in ("a", "b") for s in ("users/x", "users/y")}) == 4
    assert "x" not in pseudonym("a", "users/x").removeprefix("subjects/")


@given(before=st.text("0123456789abcdef/-\0"), after=st.text("0123456789abcdef/-\0"))
def test_an_id_is_found_wherever_it_stands(before: str, after: str):
    assert mentions([ROOM])(before + ROOM + after)


def test_other_ids_are_not_found():
    assert not mentions([ROOM])(OTHER)
    assert not mentions([])(ROOM)


class Plate:
    nbytes = 10


def test_a_memory_forgets_what_is_of_a_room_and_has_its_bytes_back():
    memory, kept, gone = Memory[Plate](25), Plate(), Plate()
    memory.put(("photo", (f"masks/{ROOM}/1/floor.png",)), gone)
    memory.put(("photo", (f"masks/{OTHER}/1/floor.png",)), kept)

    memory.forget(mentions([ROOM]))

    assert memory.get(("photo", (f"masks/{ROOM}/1/floor.png",))) is None
    memory.put("another", Plate())
    assert memory.get(("photo", (f"masks/{OTHER}/1/floor.png",))) is kept


if __name__ == "__main__":
    PAGE.write_text(with_registry(PAGE.read_text()))
