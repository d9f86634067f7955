"""Signatures of messages to webhooks, checked against the standard's own library."""

import base64
import json
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from services.domain.errors import InvalidDefinition
from services.domain.webhook import RETRY_AFTER, next_try_after, signature, signing_key

keys = st.binary(min_size=24, max_size=64)
identifiers = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1)
bodies = st.dictionaries(st.text(), st.text() | st.integers() | st.none()).map(
    lambda one: json.dumps(one).encode()
)


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@given(keys, identifiers, bodies)
def test_a_receiver_accepts_what_is_signed(key: bytes, message_id: str, body: bytes) -> None:
    secret, now = secret_of(key), int(time.time())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(signing_key(secret), message_id, now, body),
    }
    receiver = Receiver(secret)

    assert receiver.verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        receiver.verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        receiver.verify(body, headers | {"webhook-timestamp": str(now + 1)})
    with pytest.raises(WebhookVerificationError):
        receiver.verify(body, headers | {"webhook-id": message_id + "x"})


def test_the_example_of_the_standard() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


def test_a_secret_from_a_file_may_end_in_a_line_break() -> None:
    key = bytes(range(32))
    assert signing_key(secret_of(key) + "\n") == key


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_abc", "secret", "whsec_" + "A" * 20, "A" * 44, "whsec_é"]
)
def test_what_is_no_signing_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(InvalidDefinition, match="openssl rand") as refused:
        signing_key(secret)
    if len(secret) > len("whsec_"):
        assert secret not in str(refused.value)


def test_the_pauses_between_tries_grow_and_end() -> None:
    pauses = [next_try_after(tries) for tries in range(1, len(RETRY_AFTER) + 2)]

    assert pauses[:-1] == sorted(RETRY_AFTER)
    assert pauses[-1] is None
    assert timedelta(hours=24) < sum(RETRY_AFTER, timedelta()) < timedelta(days=3)
