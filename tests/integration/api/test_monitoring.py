"""``/metrics`` of the api: open, and labelled by what we define, not by what callers send."""

from __future__ import annotations

from tests.integration.api.conftest import Client


async def test_requests_are_counted_by_the_route_they_met(client: Client) -> None:
    await client.get("/v1/routes/some-secret-name")
    await client.get("/v1/routes/another")
    await client.get("/v1/nothing-here")
    await client.get("/v1/routes", headers={})
    async with client.session.get(f"{client.url}/metrics", headers={}) as response:
        page = await response.text()
    route = 'method="GET",route="/v1/routes/{key:path}",status="404"'
    assert f"headgate_api_requests_total{{{route}}} 2.0" in page
    assert 'headgate_api_requests_total{method="GET",route="unknown",status="404"} 1.0' in page
    assert 'status="401"} 1.0' in page
    assert "some-secret-name" not in page
    assert "headgate_api_requests_active 1.0" in page
