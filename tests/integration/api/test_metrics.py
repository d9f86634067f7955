"""Metrics: built-in ones that stay, and those of the installation."""

from typing import Any

import pytest

from services.domain.metric import BUILT_IN
from tests.integration.api.conftest import AB_TEST, Client, define_more

SOLVED: dict[str, Any] = {
    "key": "solved",
    "source": "feedback:solved",
    "kind": "proportion",
    "per": "unit",
    "better": "higher",
}


async def test_built_in_metrics_are_listed_first_and_marked(client: Client) -> None:
    solved = await client.made("/v1/metrics", SOLVED)

    items = (await client.get("/v1/metrics")).body["items"]
    assert [item["key"] for item in items] == [*BUILT_IN, "solved"]
    assert [item["built_in"] for item in items] == [True] * len(BUILT_IN) + [False]
    assert (await client.get("/v1/metrics/solved")).body == solved
    assert (solved["unit"], solved["description"]) == ("fraction", "")
    assert (await client.get("/v1/metrics/cost")).body["unit"] == "USD"


async def test_a_metric_is_replaced_and_deleted_with_a_trail(client: Client) -> None:
    await client.made("/v1/metrics", SOLVED)
    changed = {**SOLVED, "per": "request"}
    del changed["key"]

    replaced = await client.put("/v1/metrics/solved", changed)
    deleted = await client.call("DELETE", "/v1/metrics/solved")

    assert replaced.body["per"] == deleted.body["per"] == "request"
    assert (await client.get("/v1/metrics/solved")).status == 404
    trail = (await client.get("/v1/audit?subject=metric/solved")).body["items"]
    assert [one["action"] for one in trail] == ["delete", "replace", "create"]
    assert (trail[1]["before"]["per"], trail[1]["after"]["per"]) == ("unit", "request")


async def test_a_test_keeps_the_definition_it_was_created_with(defined: Client) -> None:
    await define_more(defined)
    await defined.made("/v1/metrics", SOLVED)
    await defined.made("/v1/experiments", AB_TEST | {"goals": ["solved"]})
    await defined.post("/v1/experiments/test/start")

    await defined.call("DELETE", "/v1/metrics/solved")

    definition = (await defined.get("/v1/experiments/test")).body["definition"]
    kept = next(metric for metric in definition["metrics"] if metric["key"] == "solved")
    assert (kept["source"], kept["per"]) == ("feedback:solved", "unit")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_built_in_metrics_stay_as_they_are(client: Client, method: str) -> None:
    body = {"source": "latency"}
    if method == "POST":
        answer = await client.post("/v1/metrics", body | {"key": "cost"})
    else:
        answer = await client.call(method, "/v1/metrics/cost", **({"json": body} if method == "PUT" else {}))

    assert answer.status == 409
    assert "is a built-in metric" in answer.body["detail"]


async def test_a_taken_key_is_a_conflict(client: Client) -> None:
    await client.made("/v1/metrics", SOLVED)
    assert (await client.post("/v1/metrics", SOLVED)).status == 409


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": "mood"}, "source"),
        ({"source": "feedback:Über"}, "source"),
        ({"source": "latency"}, "source"),
        ({"kind": "ratio"}, "denominator"),
        ({"kind": "quantile", "quantile": 2}, "quantile"),
        ({"kind": "mode"}, "kind"),
        ({"cap": 1}, "cap"),
        ({"kind": "mean", "cap": 5}, "cap"),
        ({"kind": "mean", "per": "request", "cap": 1e-7}, "cap"),
        ({"kind": "ratio", "denominator": "requests"}, "per"),
        ({"per": "month"}, "per"),
        ({"key": "A B"}, "key"),
    ],
)
async def test_a_metric_that_is_none_names_the_field(
    client: Client, changes: dict[str, Any], field: str
) -> None:
    answer = await client.post("/v1/metrics", SOLVED | changes)

    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]
