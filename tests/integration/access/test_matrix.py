"""Who may do what: every address of the control plane and of the gateway, asked with every kind of key.

The tables of docs/roles.md are what comes out. ``make roles`` writes them anew.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import BaseRoute, Route

from services.api.app import create_app
from services.api.settings import ApiSettings
from services.api.transactions import ROLE
from services.domain.access import ControlRole, Role, may
from services.gateway.app import Application
from tests.integration.access.conftest import Installation
from tests.integration.api.conftest import ADMIN_KEY
from tests.integration.api.test_document import bodies

DOCUMENT = Path(__file__).parents[3] / "docs" / "roles.md"
WRITE = "HEADGATE_WRITE_ROLES"
YES = "yes"
ROLES: tuple[Role, ...] = ("client", "viewer", "editor", "admin")

Address = tuple[str, str]
"""Method and path."""
Keys = Mapping[str, str | None]
"""Keys by the column that they are asked with; None is no key."""
Cells = dict[Address, dict[str, str]]
Ask = Callable[[Address, str | None], Any]


def api_addresses(routes: Iterable[BaseRoute]) -> Iterator[Address]:
    """Everything that the control plane serves, whether or not its document tells of it."""
    for route in routes:
        assert isinstance(route, Route)
        path = route.path.replace(":path}", "}")
        yield from ((method, path) for method in sorted((route.methods or set()) - {"HEAD"}))


def gateway_addresses() -> list[Address]:
    return Application(MagicMock(), MagicMock(), MagicMock(), MagicMock()).addresses()


@dataclass(frozen=True)
class Prober:
    """Asks an address with a key, and says whether the key will do."""

    installation: Installation
    examples: Mapping[Address, Any]

    async def api(self, address: Address, key: str | None) -> str:
        method, path = address
        path = re.sub(r"{delivery_id}", "0192e4a0-0000-7000-8000-000000000000", path)
        url = self.installation.api.url + re.sub(r"{\w+}", "nothing", path)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        status, text = await self._ask(method, url, headers, self.examples.get(address))
        # What is there is asked for rightly: nothing but the key may be in the way.
        assert status < 500, (url, text)
        assert status != 405, (url, text)
        return str(status) if status in (401, 403) else YES

    async def gateway(self, address: Address, key: str | None) -> str:
        method, path = address
        url = self.installation.gateways[0].url + re.sub(r"{\w+}", "chat", path)
        asked = {"model": "chat", "messages": [], "input": "hello", "prompt": "hello"}
        name, scheme = ("api-key", "") if path.startswith("/openai/") else ("Authorization", "Bearer ")
        headers = {} if key is None else {name: scheme + key}
        status, text = await self._ask(method, url, headers, asked if method == "POST" else None)
        # What was asked is no feedback, and everything else is served.
        assert status in (401, 403, 400 if path.endswith("/outcomes") else 200), (url, text)
        return str(status) if status in (401, 403) else YES

    async def _ask(self, method: str, url: str, headers: dict[str, str], body: Any) -> tuple[int, str]:
        session = self.installation.session
        async with session.request(method, url, headers=headers, json=body, allow_redirects=False) as answer:
            return answer.status, await answer.text()


async def asked(addresses: Iterable[Address], keys: Keys, ask: Ask) -> Cells:
    """Ask each address with each key, the mightiest last: it may change what the others would meet."""
    return {
        address: {column: await ask(address, key) for column, key in keys.items()} for address in addresses
    }


async def make_keys(installation: Installation) -> tuple[Keys, Keys]:
    """Return the keys for the control plane and for the gateway, which has learnt what has become of them."""
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    (gateway,) = installation.gateways
    revoked_ids: list[str] = []

    async def make(**body: object) -> str:
        return (await installation.make_key(**body))[1]

    async def make_revoked(role: str) -> str:
        key_id, key = await installation.make_key(role=role)
        revoked_ids.append(key_id)
        return key

    by_role = {role: await make(role=role) for role in ROLES}
    restricted = await make(routes=["other"])
    revoked = {role: await make_revoked(role) for role in ("admin", "client")}
    expired = {role: await make(role=role, expires_at=soon) for role in ("admin", "client")}
    for key in (by_role["client"], restricted):
        await installation.until_taken(gateway, key)
    for key_id in revoked_ids:
        await installation.revoke(key_id)
    await installation.until_refused(gateway, revoked["client"], "was revoked")
    await installation.until_refused(gateway, expired["client"], "has expired")
    await _until_expired(installation, expired["admin"])

    nobodys = {"no key": None, "unknown": "hg_nobody-has-this-one"}
    people = {role: by_role[role] for role in ("viewer", "editor", "admin")} | {"admin key": ADMIN_KEY}
    api = {"revoked": revoked["admin"], "expired": expired["admin"], "client": by_role["client"]}
    clients = {"client": by_role["client"], "client of another route": restricted}
    gone = {"revoked": revoked["client"], "expired": expired["client"]}
    return {**nobodys, **api, **people}, {**nobodys, **gone, **people, **clients}


async def _until_expired(installation: Installation, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with asyncio.timeout(60):
        while (await installation.api.get("/v1/routes", headers=headers)).status != 401:
            await asyncio.sleep(0.02)


def table(cells: Cells) -> str:
    """The cells in Markdown."""
    columns = list(next(iter(cells.values())))
    rows = [["", *columns], ["---"] * (len(columns) + 1)]
    rows += [[f"`{method} {path}`", *by_key.values()] for (method, path), by_key in cells.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def filled(text: str, tables: Mapping[str, str]) -> str:
    """The document with what is between its marks replaced."""
    for name, content in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        assert rest, f"docs/roles.md has no {begin}"
        text = f"{before}{begin}\n{content}\n{end}{after}"
    return text


@pytest.fixture
def app(installation: Installation) -> FastAPI:
    return create_app(ApiSettings(admin_key=SecretStr(ADMIN_KEY)), installation.engine)


def check_declared(document: Any, cells: Cells) -> None:
    """What an operation says that it takes is what it takes."""
    for (method, path), by_key in cells.items():
        operation = document["paths"].get(path, {}).get(method.lower(), {})
        assert (ROLE in operation) == path.startswith("/v1/"), (method, path)
        if ROLE in operation:
            needed: ControlRole = operation[ROLE]
            allowed = [role for role in ROLES if by_key[role] == YES]
            assert allowed == [role for role in ROLES if may(role, needed)], (method, path)
            assert f"Takes the role `{needed}`." in operation["description"]
            assert "403" in operation["responses"]


async def test_the_tables_in_the_docs_are_what_happens(installation: Installation, app: FastAPI) -> None:
    await installation.start_gateways(1)
    document = app.openapi()
    examples = {(method.upper(), path): known[0] for method, path, known in bodies(document) if known}
    prober, (api_keys, gateway_keys) = Prober(installation, examples), await make_keys(installation)
    api = await asked(api_addresses(app.routes), api_keys, prober.api)
    gateway = await asked(gateway_addresses(), gateway_keys, prober.gateway)

    check_declared(document, api)
    found = DOCUMENT.read_text()
    expected = filled(found, {"control plane": table(api), "gateway": table(gateway)})
    if os.environ.get(WRITE):
        DOCUMENT.write_text(expected)
    else:
        assert found == expected, "the tables are others by now: look at the difference, then `make roles`"


async def test_a_refusal_says_which_role_is_needed(installation: Installation) -> None:
    key_id, key = await installation.make_key(role="viewer", label="ada")
    headers = {"Authorization": f"Bearer {key}"}
    answer = await installation.api.call("POST", "/v1/keys", headers=headers, data=b"{not json")

    assert (answer.status, answer.body["code"]) == (403, "forbidden")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "takes the role admin" in answer.body["detail"]
    assert f"{key_id} (ada) has the role viewer" in answer.body["detail"]
    _, client = await installation.make_key()
    headers = {"Authorization": f"Bearer {client}"}
    refused = await installation.api.get("/v1/routes", headers=headers)
    assert (refused.status, "which is for the gateway" in refused.body["detail"]) == (403, True)
