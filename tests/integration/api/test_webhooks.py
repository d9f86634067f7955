"""Webhooks and their deliveries through a running control plane."""

from typing import Any

import pytest

from tests.integration.api.conftest import Client

HOOK = {"key": "hook", "url": "https://hooks.test/headgate/", "secret": "env:HOOK_SECRET"}


async def test_a_webhook_is_created_changed_and_deleted(client: Client) -> None:
    created = await client.made("/v1/webhooks", HOOK)
    assert created == HOOK | {"url": "https://hooks.test/headgate", "events": [], "enabled": True}
    assert (await client.post("/v1/webhooks", HOOK)).status == 409

    after = {name: HOOK[name] for name in ("url", "secret")} | {"events": ["route.*"]}
    replaced = await client.put("/v1/webhooks/hook", after)
    assert replaced.body["events"] == ["route.*"]
    assert (await client.get("/v1/webhooks/hook")).body == replaced.body

    assert (await client.call("DELETE", "/v1/webhooks/hook")).body == replaced.body
    assert (await client.get("/v1/webhooks/hook")).status == 404
    assert (await client.get("/v1/webhooks/hook/deliveries")).status == 404
    trail = (await client.get("/v1/audit?subject=webhook/hook")).body["items"]
    assert [one["action"] for one in trail] == ["delete", "replace", "create"]
    assert trail[1]["before"]["events"] == []


async def test_deliveries_are_listed_and_sent_again(client: Client) -> None:
    await client.made("/v1/webhooks", HOOK)
    await client.made("/v1/endpoints", {"key": "e", "kind": "openai", "base_url": "https://llm.test"})

    path = "/v1/webhooks/hook/deliveries"
    newest, oldest = (await client.get(path)).body["items"]
    assert (newest["event"], oldest["event"]) == ("endpoint.create", "webhook.create")
    assert newest["body"]["data"]["after"]["key"] == "e"
    assert (newest["state"], newest["tries"], newest["last_error"]) == ("waiting", 0, None)
    assert (await client.get(f"{path}?state=delivered")).body["items"] == []
    assert (await client.get(f"{path}?event=webhook.create")).body["items"] == [oldest]
    retried = await client.post(f"{path}/{newest['delivery_id']}/retry")
    assert (retried.status, retried.body["delivery_id"]) == (202, newest["delivery_id"])
    missing = await client.post(f"{path}/0192e4a0-0000-7000-8000-000000000000/retry")
    assert missing.status == 404
    assert path in missing.body["detail"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "secret"),
        ({"secret": "command:x"}, "secret"),
        ({"url": "ftp://hooks.test"}, "url"),
        ({"url": "https://user:password@hooks.test"}, "url"),
        ({"events": ["everything"]}, "events[0]"),
        ({"events": ["route.*", "route.*"]}, "events"),
        ({"key": "Not A Key"}, "key"),
    ],
)
async def test_a_bad_webhook_names_the_field(client: Client, changes: dict[str, Any], field: str) -> None:
    answer = await client.post("/v1/webhooks", HOOK | changes)

    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert "whsec_" not in str(answer.body)
