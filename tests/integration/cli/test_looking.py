"""Lists, keys, freezes and webhooks by the command line, on a running control plane."""

import json

import pytest

from tests.integration.api.conftest import Client, define
from tests.integration.cli.conftest import Headgate


@pytest.fixture
async def defined(client: Client) -> Client:
    """The route ``chat``, with the canary ``canary`` drafted on it."""
    await define(client)
    await client.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"})
    return client


async def test_json_is_what_the_api_says(headgate: Headgate, defined: Client) -> None:
    listed = json.loads((await headgate("get", "variants", "--json")).stdout)
    assert listed == {"items": (await defined.get("/v1/variants")).body["items"]}
    one = json.loads((await headgate("get", "variant", "old", "--json")).stdout)
    assert one == (await defined.get("/v1/variants/old")).body
    described = json.loads((await headgate("describe", "experiment", "canary", "--json")).stdout)
    assert described == (await defined.get("/v1/experiments/canary")).body


@pytest.mark.usefixtures("defined")
async def test_lists_are_narrowed_and_cut(headgate: Headgate) -> None:
    async def keys(*arguments: str) -> list[str]:
        said = json.loads((await headgate("get", *arguments, "--json")).stdout)
        return [one["key"] for one in said["items"]]

    assert await keys("variants", "--prefix", "o") == ["old"]
    assert await keys("experiments", "--status", "running") == []
    assert await keys("experiments", "--status", "draft", "--route", "chat") == ["canary"]
    await headgate("start", "canary")
    assert await keys("experiments", "--status", "running", "--kind", "canary") == ["canary"]
    audit = json.loads((await headgate("get", "audit", "--limit", "2", "--json")).stdout)["items"]
    assert [one["subject"] for one in audit] == ["experiment/canary", "experiment/canary"]
    wrong = await headgate("get", "experiments", "--status", "asleep", exit_code=1)
    assert "status: must be " in wrong.stderr


@pytest.mark.usefixtures("defined")
async def test_a_table_has_a_row_for_each(headgate: Headgate) -> None:
    head, _, first, second = (await headgate("get", "variants")).stdout.splitlines()
    assert head.split() == ["key", "endpoints", "model", "system", "prompt", "parameters"]
    assert [first.split()[0], second.split()[0]] == ["new", "old"]
    assert (await headgate("get", "webhooks")).stdout == "no webhooks yet\n"
    shown = (await headgate("describe", "experiment", "canary")).stdout
    assert "waiting for  not started yet" in shown
    assert "ETag" in shown


@pytest.mark.usefixtures("defined")
async def test_a_key_is_alone_on_standard_output_and_can_be_revoked(headgate: Headgate) -> None:
    made = await headgate("keys", "create", "checkout", "--route", "chat")
    assert made.stdout.startswith("hg_")
    assert len(made.stdout.split()) == 1
    (listed,) = json.loads((await headgate("keys", "list", "--json")).stdout)["items"]
    assert (listed["label"], listed["routes"]) == ("checkout", ["chat"])
    assert listed["key_id"] in made.stderr
    assert "is revoked" in (await headgate("keys", "revoke", listed["key_id"])).stdout
    (after,) = json.loads((await headgate("keys", "list", "--json")).stdout)["items"]
    assert after["revoked_at"]


@pytest.mark.usefixtures("defined")
async def test_a_key_of_a_team_is_changed_and_rotated(headgate: Headgate, defined: Client) -> None:
    await defined.made("/v1/teams", {"key": "checkout", "label": "Checkout"})
    limits = ("--limit", "requests_per_minute=600", "--limit", "dollars_per_day=2.5")
    made = await headgate("keys", "create", "pay", "--team", "checkout", *limits, "--expires", "90d")
    (shown,) = json.loads((await headgate("get", "keys", "--team", "checkout", "--json")).stdout)["items"]
    assert shown["expires_at"] is not None
    assert shown["limits"]["dollars_per_day"] == 2.5
    key_id = shown["key_id"]
    table = (await headgate("get", "keys", "--state", "active")).stdout
    assert "requests_per_minute 600, dollars_per_day 2.5" in table

    bounds = ("--limit", "requests_per_minute=1200", "--limit", "concurrency=4")
    await headgate(
        "keys", "change", key_id, *bounds, "--limit", "dollars_per_day=none", "--scope", "force_variant"
    )
    more = (await defined.get(f"/v1/keys/{key_id}")).body
    assert [name for name, bound in more["limits"].items() if bound] == ["requests_per_minute", "concurrency"]
    assert more["scopes"] == ["force_variant"]
    changed = await headgate(
        "keys", "change", key_id, "--no-limits", "--no-scopes", "--expires", "never", "--route", "chat"
    )
    assert f"{key_id} (pay) is changed" in changed.stdout
    after = (await defined.get(f"/v1/keys/{key_id}")).body
    assert (after["limits"], after["expires_at"], after["routes"]) == (None, None, ["chat"])
    assert (after["scopes"], after["team"]) == ([], "checkout")
    rotated = await headgate("keys", "rotate", key_id, "--overlap", "12h")
    assert rotated.stdout.startswith("hg_")
    assert rotated.stdout != made.stdout
    assert f"replaces {key_id}" in rotated.stderr
    refused = await headgate("delete", "team", "checkout", exit_code=1)
    assert "has 2 keys that can be used" in refused.stderr
    await headgate("keys", "create", "x", "--limit", "requests=1", exit_code=2)
    await headgate("keys", "rotate", key_id, "--overlap", "a while", exit_code=2)
    await headgate("keys", "change", key_id, exit_code=2)
    both = await headgate("keys", "change", key_id, "--team", "checkout", "--no-team", exit_code=2)
    assert "--no-team and --team contradict each other" in both.stderr


async def test_a_role_that_is_too_low_is_told(headgate: Headgate, client: Client) -> None:
    viewer = (await client.made("/v1/keys", {"label": "ada", "role": "viewer"}))["key"]
    assert (await headgate("get", "routes", "--key", viewer)).stdout == "no routes yet\n"
    refused = await headgate("keys", "create", "x", "--key", viewer, exit_code=1)
    assert "takes the role admin" in refused.stderr
    unknown = await headgate("get", "routes", "--key", "hg_nobodys", exit_code=4)
    assert "refuses the key" in unknown.stderr


async def test_an_endpoint_is_drained_and_comes_back(headgate: Headgate, defined: Client) -> None:
    await headgate("drain", "openai", "--reason", "it moves")
    assert (await defined.get("/v1/endpoints/openai")).body["drained"] is True
    await headgate("undrain", "openai")
    assert (await defined.get("/v1/endpoints/openai")).body["drained"] is False


@pytest.mark.usefixtures("defined")
async def test_a_route_is_frozen_and_thawed(headgate: Headgate) -> None:
    said = await headgate("freeze", "chat", "--reason", "release weekend")
    assert "`headgate unfreeze chat` lifts it" in said.stdout
    assert "release weekend" in (await headgate("get", "route", "chat")).stdout
    await headgate("unfreeze", "chat")
    assert "release weekend" not in (await headgate("get", "route", "chat")).stdout
    await headgate("freeze", "--reason", "everything")
    await headgate("unfreeze")
    actions = json.loads((await headgate("get", "audit", "--json")).stdout)["items"][:4]
    assert [one["reason"] for one in actions].count("everything") == 1


@pytest.mark.usefixtures("defined")
async def test_what_was_seen_by_one_is_not_changed_by_another(headgate: Headgate) -> None:
    lines = (await headgate("describe", "experiment", "canary")).stdout.splitlines()
    etag = next(line.split()[1] for line in lines if line.startswith("ETag"))
    await headgate("start", "canary", "--if-match", etag)
    refused = await headgate("share", "canary", "20%", "--if-match", etag, exit_code=1)
    assert "somebody else changed it in the meantime" in refused.stderr
    present = (await headgate("get", "experiment", "canary")).stdout
    assert "old 95 %, new 5 %" in present


async def test_a_metric_and_a_webhook_are_deleted(headgate: Headgate, client: Client) -> None:
    metric = {"key": "solved", "source": "feedback:solved", "kind": "proportion"}
    await client.made("/v1/metrics", metric)
    await client.made("/v1/webhooks", {"key": "x", "url": "https://hooks.test", "secret": "env:SECRET"})
    assert (await headgate("delete", "metric", "solved")).stdout == "metric solved is deleted\n"
    await headgate("delete", "webhook", "x")
    assert (await client.get("/v1/webhooks")).body["items"] == []
    again = await headgate("delete", "webhook", "x", exit_code=1)
    assert "there is no webhook 'x'" in again.stderr
