"""`docs/errors.md` has every reason that the code raises, under its code."""

import ast
import re
from pathlib import Path

from roomviz import errors

ROOT = Path(__file__).resolve().parents[3]
_REASON = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|INTERNAL")
_ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| ([A-Z_]+) \| (.+) \|$", re.MULTILINE)
KINDS = {kind.__name__: name for name, kind in errors.KINDS.items()}


def raised() -> dict[str, set[str]]:
    """Reason → the codes it is raised with, as far as its call says: the words in the first arguments of calls."""
    found: dict[str, set[str]] = {}
    for folder in ("roomviz", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            if {"v1", "internal", "migrations"} & set(path.parts):
                continue
            for call in (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and n.args):
                name = getattr(call.func, "id", getattr(call.func, "attr", ""))
                for word in ast.walk(call.args[0]):
                    if isinstance(word, ast.Constant) and isinstance(word.value, str) and _REASON.fullmatch(word.value):
                        found.setdefault(word.value, set()).update({KINDS[name]} if name in KINDS else ())
    return found


def catalogue() -> dict[str, str]:
    return {reason: code for reason, code, _ in _ROW.findall((ROOT / "docs" / "errors.md").read_text())}


def test_every_reason_is_in_the_catalogue():
    missing = raised().keys() - catalogue().keys()
    assert not missing, f"say in docs/errors.md what these mean: {sorted(missing)}"


def test_the_catalogue_has_no_reason_that_nobody_raises():
    assert not catalogue().keys() - raised().keys()


def test_each_stands_there_with_a_code_that_it_is_raised_with():
    code_of = catalogue()
    wrong = {r: (code_of[r], codes) for r, codes in raised().items() if codes and code_of.get(r) not in codes}
    assert not wrong


def test_reasons_are_in_order_and_short():
    reasons = list(catalogue())
    assert reasons == sorted(reasons)
    assert all(len(r) <= 63 for r in reasons)  # AIP-193
