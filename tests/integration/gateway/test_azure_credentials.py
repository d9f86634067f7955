"""How Azure is told who asks: a key, or a token out of a file or a command."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import openai
import pytest

from tests.integration.gateway.recorder import recording
from tests.integration.gateway.running import (
    SECRET,
    Installation,
    endpoint,
    route,
    running_gateway,
    variant,
)

TOKEN = "eyJ-canary-string-3"
GOOD = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[]}'


def printing(path: Path) -> str:
    return shlex.join([sys.executable, "-S", "-c", f"print(open({str(path)!r}).read())"])


@pytest.mark.parametrize(
    ("how", "auth", "sent"),
    [
        ("env", "default", {"api-key": SECRET}),
        ("file", "bearer", {"authorization": f"Bearer {TOKEN}"}),
        ("command", "bearer", {"authorization": f"Bearer {TOKEN}"}),
        ("command", "default", {"api-key": TOKEN}),
    ],
)
async def test_what_azure_gets(
    installation: Installation, tmp_path: Path, how: str, auth: str, sent: dict[str, str]
) -> None:
    printed, plain = tmp_path / "printed", tmp_path / "plain"
    printed.write_text(json.dumps({"accessToken": TOKEN, "expiresOn": "2100-01-01 00:00:00.000000"}))
    plain.write_text(f"{TOKEN}\n")
    references = {"file": f"file:{plain}", "command": "command:entra"}
    changes = {"secret": references[how]} if how in references else {}
    commands = {"entra": printing(printed)}
    async with (
        recording() as azure,
        running_gateway(installation.kafka, tmp_path / "state", secret_commands=commands) as gateway,
    ):
        azure.answer = GOOD
        only = endpoint("only", azure.url, endpoint_kind="azure_openai", auth=auth, **changes)
        await installation.publish(only, route("support", variant("stable", "only")))
        await gateway.until(lambda state: state["checks"]["config"]["routes"] == 1)
        await gateway.until(lambda state: state["checks"]["secrets"]["ok"])
        async with gateway.client() as client:
            await client.chat.completions.create(model="support", messages=[])
        headers = azure.asked[0].headers
        assert {name: headers[name] for name in ("api-key", "authorization") if name in headers} == sent
        assert TOKEN not in str(await gateway.readiness())


async def test_a_command_that_fails_is_shown_and_its_endpoint_is_not_asked(
    installation: Installation, tmp_path: Path
) -> None:
    commands = {"entra": printing(tmp_path / "missing")}
    async with running_gateway(installation.kafka, tmp_path / "state", secret_commands=commands) as gateway:
        only = endpoint("only", "http://127.0.0.1:9", endpoint_kind="azure_openai", secret="command:entra")
        await installation.publish(only, route("support", variant("stable", "only")))
        await gateway.knows_routes(1)
        state = await gateway.until(
            lambda state: "exit status" in str(state["checks"]["secrets"]["failing_commands"])
        )
        assert state["checks"]["secrets"] == {
            "ok": False,
            "missing": ["only"],
            "failing_commands": {"entra": "ended with exit status 1"},
        }
        async with gateway.client() as client:
            with pytest.raises(openai.InternalServerError) as raised:
                await client.chat.completions.create(model="support", messages=[])
        assert raised.value.code == "no_healthy_endpoints"
        assert "only has no secret here" in raised.value.message
