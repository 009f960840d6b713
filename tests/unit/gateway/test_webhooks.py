"""How webhooks are signed, when they are tried again, and what they carry."""

import base64
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.fernet import Fernet
from standardwebhooks import Webhook, WebhookVerificationError

from roomviz.errors import FailedPrecondition
from services.gateway.adapters.vault import Vault
from services.gateway.domain.happenings import Event, Type, cloud_event
from services.gateway.domain.webhooks import RETRY_AFTER_MAX_S, delay_s, headers, new_secret, retry_after_s
from services.gateway.settings import Settings

# The test vector of the reference libraries (standard-webhooks/standard-webhooks, "sign function works").
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIME, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
SCHEDULE = Settings.model_fields["webhook_schedule_s"].default


def test_the_reference_vector():
    made = headers(ID, datetime.fromtimestamp(TIME, UTC), BODY, [KEY])

    assert made["webhook-id"] == ID
    assert made["webhook-timestamp"] == str(TIME)
    assert made["webhook-signature"] == SIGNATURE


def test_two_secrets_sign_with_a_space_between_and_either_verifies():
    old, new = new_secret(), new_secret()

    made = headers("m", datetime.now(UTC), BODY, [new, old])

    assert len(made["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        assert Webhook(secret).verify(BODY, made) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, made)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(BODY + b" ", made)


def test_secrets_are_long_enough_and_never_the_same():
    made = {new_secret() for _ in range(100)}

    assert len(made) == 100
    assert all(24 <= len(base64.b64decode(s.removeprefix("whsec_"))) <= 64 for s in made)


def test_the_schedule_is_that_of_the_specification_and_takes_three_days():
    waits = [delay_s(n, SCHEDULE, Random(1)) for n in range(len(SCHEDULE) + 1)]

    assert waits[0] == 0
    assert waits[-1] is None
    assert all(s <= w <= 1.1 * s for s, w in zip(SCHEDULE, waits, strict=False))
    assert 3 * 86_400 < sum(SCHEDULE) < 4 * 86_400


def test_what_failed_together_does_not_come_back_together():
    random = Random(2)

    waits = {delay_s(2, SCHEDULE, random) for _ in range(50)}

    assert len(waits) == 50


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120.0), ("", 0.0), ("-1", 0.0), ("soon", 0.0), ("9" * 12, 0.0), ("١٢", 0.0)]
)
def test_retry_after(text: str, seconds: float):
    assert retry_after_s({"retry-after": text}) == seconds


def test_retry_after_is_waited_up_to_a_day():
    assert delay_s(1, SCHEDULE, Random(1), 600) == 600
    assert delay_s(1, SCHEDULE, Random(1), 1e9) == RETRY_AFTER_MAX_S


def test_an_event_has_what_cloudevents_requires_and_nothing_empty():
    event = Event(
        Type.CART_ADDED,
        "shop/1",
        "apiKeys/k",
        "products/OAK",
        product="products/OAK",
        value=Decimal("12.500000000"),
        currency="EUR",
        data={"n": 1},
        time=datetime(2026, 11, 21, 12, 0, 0, 250_000, UTC),
    )

    told = cloud_event(event)

    assert told["specversion"] == "1.0"
    assert told["id"] == event.event_id
    assert told["source"] == "/tenants/shop%2F1"
    assert told["type"] == "dev.roomviz.cart.added"
    assert told["subject"] == "products/OAK"
    assert told["time"] == "2026-11-21T12:00:00.250Z"
    assert told["data"] == {
        "product": "products/OAK",
        "value": "12.5",
        "currency_code": "EUR",
        "owner": "apiKeys/k",
        "n": 1,
    }
    # 3.1.1: attribute names are lower-case letters and digits.
    assert all(name.isalnum() and name.islower() for name in told)
    json.dumps(told)


def test_types_are_told_apart_from_the_receiver_s_other_senders():
    assert all(t.startswith("dev.roomviz.") for t in Type)


def test_the_example_of_the_documentation_verifies():
    page = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
    example: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], example)
    receive, seen = example["receive"], set[str]()
    secret = new_secret()
    body = json.dumps(cloud_event(Event(Type.WEBHOOK_TEST, "shop", "", "webhookEndpoints/e"))).encode()
    made = headers("m", datetime.now(UTC), body, [secret])

    assert receive(made, body, secret, seen) == 204
    assert len(seen) == 1
    assert receive(made, body, new_secret(), seen) == 400
    assert receive(headers("m", datetime.now(UTC) - timedelta(minutes=6), body, [secret]), body, secret, seen) == 400


def test_every_type_is_in_the_documentation():
    page = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()

    for t in Type:
        _, _, last = t.rpartition(".")
        assert t.removeprefix("dev.roomviz.") in page or f"`.{last}`" in page, t


def test_a_vault_reads_what_older_keys_wrote(tmp_path):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    (tmp_path / "old").write_text(old)
    (tmp_path / "both").write_text(f"{new}\n{old}\n")
    kept = Vault(tmp_path / "old").encrypt("whsec_x")

    assert b"whsec_x" not in kept
    assert Vault(tmp_path / "both").decrypt(kept) == "whsec_x"
    (tmp_path / "new").write_text(new)
    with pytest.raises(FailedPrecondition) as lost:
        Vault(tmp_path / "new").decrypt(kept)
    assert lost.value.reason == "SECRET_UNREADABLE"
    with pytest.raises(FailedPrecondition):
        Vault(None).encrypt("whsec_x")
