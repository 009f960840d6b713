"""Tokens of shares."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.tokens import sign, verified

KEY, SHARE = b"k" * 32, "0123456789abcdef0123456789abcd"


@given(st.text(alphabet="0123456789abcdef", min_size=1, max_size=40))
def test_a_token_leads_to_what_it_was_made_for_under_its_key_alone(share_id: str):
    assert verified(KEY, sign(KEY, share_id)) == share_id
    assert verified(b"x" * 32, sign(KEY, share_id)) is None


@given(st.integers(0, 73), st.characters(min_codepoint=33, max_codepoint=255))
def test_a_token_with_any_character_changed_is_refused(at: int, put: str):
    token = sign(KEY, SHARE)
    changed = token[:at] + put + token[at + 1 :]

    assert len(token) == 74
    assert (verified(KEY, changed) is None) == (changed != token)


@given(st.text(max_size=80))
def test_what_nobody_signed_is_refused(text: str):
    assert verified(KEY, text) is None
    assert verified(KEY, f"{SHARE}.{text}") is None


def test_the_signature_is_for_shares_alone():
    import hashlib
    import hmac

    plain = base64.urlsafe_b64encode(hmac.new(KEY, SHARE.encode(), hashlib.sha256).digest()).decode().rstrip("=")
    assert verified(KEY, f"{SHARE}.{plain}") is None
