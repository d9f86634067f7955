"""Keys: what they may do, how they are changed, rotated and revoked, and where they never are."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.domain.configuration import Config, CredentialConfig
from services.domain.limits import Limits
from services.storage.tables import credentials, outbox
from tests.integration.api.conftest import ADMIN_KEY, Answer, Client, served

FUTURE = "2099-01-31T00:00:00Z"
LIMITS = {"requests_per_minute": 600, "dollars_per_day": 20.5}


async def published(engine: AsyncEngine) -> list[CredentialConfig]:
    """The keys that gateways were told of, in order."""
    async with engine.connect() as connection:
        rows = (await connection.execute(sa.select(outbox).order_by(outbox.c.outbox_id))).all()
    states = [msgspec.json.decode(row.value, type=Config) for row in rows if row.value is not None]
    return [state for state in states if isinstance(state, CredentialConfig)]


async def ends(engine: AsyncEngine, key_id: str, ago: timedelta = timedelta(seconds=1)) -> None:
    """Let a key have expired a while ago."""
    ended = sa.update(credentials).where(credentials.c.key_id == key_id)
    async with engine.begin() as connection:
        await connection.execute(ended.values(expires_at=sa.func.now() - ago))


async def call_with(client: Client, key: str, method: str, path: str, **options: Any) -> Answer:
    """Ask with another key than the admin's."""
    return await client.call(method, path, headers={"Authorization": f"Bearer {key}"}, **options)


async def ids(client: Client, query: str = "") -> list[str]:
    return [one["key_id"] for one in (await client.get(f"/v1/keys{query}")).body["items"]]


async def test_a_key_has_all_that_was_asked_for(defined: Client, engine: AsyncEngine) -> None:
    await defined.made("/v1/teams", {"key": "checkout", "label": "Checkout"})
    body = {
        "label": "checkout service",
        "team": "checkout",
        "routes": ["chat"],
        "scopes": ["force_variant"],
        "limits": LIMITS,
        "expires_at": "2099-01-31T01:00:00+01:00",
    }
    made = await defined.made("/v1/keys", body)

    shown = (await defined.get(f"/v1/keys/{made['key_id']}")).body
    assert made == shown | {"key": made["key"]}
    assert {name: shown[name] for name in body} == body | {
        "limits": dict.fromkeys(Limits.__struct_fields__) | LIMITS,
        "expires_at": FUTURE,
    }
    assert (shown["role"], shown["state"], shown["last_used_at"]) == ("client", "active", None)
    (state,) = await published(engine)
    assert (state.team, state.routes, state.scopes) == ("checkout", ("chat",), ("force_variant",))
    assert state.limits == Limits(requests_per_minute=600, dollars_per_day=20.5)
    assert state.expires_at == datetime(2099, 1, 31, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:00"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": 4_102_444_800}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"role": "owner"}, "role"),
        ({"role": "editor", "routes": ["chat"]}, "routes"),
        ({"role": "viewer", "scopes": ["force_variant"]}, "scopes"),
        ({"role": "admin", "limits": LIMITS}, "limits"),
        ({"team": "nobody"}, "team"),
        ({"routes": ["chat", "nowhere"]}, "routes[1]"),
        ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"limits": {"concurrency": 1.5}}, "limits.concurrency"),
        ({"limits": {"dollars_per_day": -1}}, "limits.dollars_per_day"),
        ({"limits": {"requests_per_day": 1}}, "limits.requests_per_day"),
    ],
)
async def test_a_bad_key_names_the_field(defined: Client, body: dict[str, Any], field: str) -> None:
    answer = await defined.post("/v1/keys", {"label": "x"} | body)

    assert (answer.status, [error["field"] for error in answer.body["errors"]]) == (422, [field])


async def test_keys_are_found_by_team_role_and_state(defined: Client, engine: AsyncEngine) -> None:
    await defined.made("/v1/teams", {"key": "checkout", "label": "Checkout"})
    soon = (datetime.now(UTC) + timedelta(days=6)).isoformat()
    bodies: Sequence[dict[str, Any]] = (
        {"label": "mine", "team": "checkout"},
        {"label": "soon over", "expires_at": soon},
        {"label": "over"},
        {"label": "revoked", "role": "viewer"},
    )
    first, expiring, expired, revoked = [(await defined.made("/v1/keys", body))["key_id"] for body in bodies]
    await ends(engine, expired)
    await defined.call("DELETE", f"/v1/keys/{revoked}")

    assert await ids(defined, "?team=checkout") == [first]
    assert await ids(defined, "?role=viewer") == [revoked]
    assert await ids(defined, "?role=client") == [first, expiring, expired]
    states = ("active", "expiring", "expired", "revoked")
    found = {state: await ids(defined, f"?state={state}") for state in states}
    assert found == {"active": [first], "expiring": [expiring], "expired": [expired], "revoked": [revoked]}
    page = (await defined.get("/v1/keys?role=client&limit=2")).body
    assert await ids(defined, f"?role=client&cursor={page['next_cursor']}") == [expired]


async def test_what_is_sent_of_a_key_is_changed(defined: Client, engine: AsyncEngine) -> None:
    await defined.made("/v1/teams", {"key": "checkout", "label": "Checkout"})
    made = await defined.made("/v1/keys", {"label": "old", "routes": ["chat"], "limits": LIMITS})
    path = f"/v1/keys/{made['key_id']}"
    before = await defined.get(path)

    changed = await defined.call("PATCH", path, json={"label": "new", "team": "checkout", "limits": None})
    assert changed.status == 200
    assert (changed.body["label"], changed.body["team"], changed.body["limits"]) == ("new", "checkout", None)
    assert (changed.body["routes"], changed.body["expires_at"]) == (["chat"], None)
    first, second = await published(engine)
    assert second == msgspec.structs.replace(
        first, version=second.version, label="new", team="checkout", limits=None
    )
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": before.headers["etag"]}
    assert (await defined.call("PATCH", path, json={"label": "newer"}, headers=headers)).status == 412
    for wrong in (
        {"role": "admin"},
        {"key": "hg_x"},
        {"label": None},
        {"expires_at": "2020-01-01T00:00:00Z"},
    ):
        assert (await defined.call("PATCH", path, json=wrong)).status == 422
    same = await defined.call("PATCH", path, json={"label": "new"})
    assert same.body == changed.body
    assert len(await published(engine)) == 2
    trail = (await defined.get(f"/v1/audit?subject=key/{made['key_id']}")).body["items"]
    assert [one["action"] for one in trail] == ["replace", "create"]
    assert (trail[0]["before"]["label"], trail[0]["after"]["label"]) == ("old", "new")


async def test_limits_of_a_key_change_one_by_one(defined: Client) -> None:
    made = await defined.made("/v1/keys", {"label": "x", "limits": LIMITS})
    path = f"/v1/keys/{made['key_id']}"

    async def after(limits: dict[str, float | None] | None) -> dict[str, float] | None:
        changed = await defined.call("PATCH", path, json={"limits": limits})
        assert changed.status == 200, changed.body
        bounds: dict[str, float | None] | None = changed.body["limits"]
        return (
            None if bounds is None else {name: bound for name, bound in bounds.items() if bound is not None}
        )

    assert await after({"requests_per_minute": 30}) == LIMITS | {"requests_per_minute": 30}
    assert await after({"concurrency": 2, "requests_per_minute": None}) == {
        "dollars_per_day": 20.5,
        "concurrency": 2,
    }
    assert await after({}) == {"dollars_per_day": 20.5, "concurrency": 2}
    assert await after({"concurrency": None, "dollars_per_day": None}) is None
    assert await after({"tokens_per_day": 5}) == {"tokens_per_day": 5}
    assert await after(None) is None


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_what_is_over_stays_over(defined: Client, engine: AsyncEngine, how: str) -> None:
    made = await defined.made("/v1/keys", {"label": "over"})
    path = f"/v1/keys/{made['key_id']}"
    if how == "revoked":
        await defined.call("DELETE", path)
    else:
        await ends(engine, made["key_id"])
    for answer in (
        await defined.call("PATCH", path, json={"expires_at": FUTURE}),
        await defined.post(f"{path}/rotate"),
    ):
        assert (answer.status, answer.body["code"]) == (409, "conflict")
        assert how in answer.body["detail"]


async def test_revoking_is_safe_to_repeat(defined: Client, engine: AsyncEngine) -> None:
    made = await defined.made("/v1/keys", {"label": "lost"})
    path = f"/v1/keys/{made['key_id']}"
    first, second = await defined.call("DELETE", path), await defined.call("DELETE", path)

    assert (first.status, first.body) == (second.status, second.body) == (200, second.body)
    assert [state.revoked for state in await published(engine)] == [False, True]
    trail = (await defined.get(f"/v1/audit?subject=key/{made['key_id']}")).body["items"]
    assert [one["action"] for one in trail] == ["revoke", "create"]


async def test_a_rotated_key_goes_on_for_the_overlap(defined: Client, engine: AsyncEngine) -> None:
    body = {"label": "checkout", "routes": ["chat"], "limits": LIMITS, "scopes": ["force_variant"]}
    old = await defined.made("/v1/keys", body)
    rotated = await defined.post(f"/v1/keys/{old['key_id']}/rotate", {"overlap_seconds": 3_600})

    assert rotated.status == 201
    new = rotated.body
    assert new["key"].startswith("hg_")
    assert (new["key"] == old["key"], new["rotated_from"], new["expires_at"]) == (False, old["key_id"], None)
    assert {name: new[name] for name in ("label", "routes", "limits", "scopes", "role")} == {
        name: old[name] for name in ("label", "routes", "limits", "scopes", "role")
    }
    after = (await defined.get(f"/v1/keys/{old['key_id']}")).body
    assert (after["state"], after["successor"]) == ("expiring", new["key_id"])
    left = datetime.fromisoformat(after["expires_at"]) - datetime.fromisoformat(new["created_at"])
    assert timedelta(minutes=59) < left < timedelta(minutes=61)
    created, successor, retired = await published(engine)
    assert (successor.key_id, successor.expires_at, successor.revoked) == (new["key_id"], None, False)
    assert retired.key_hash == created.key_hash
    assert retired.expires_at == pytest.approx(datetime.fromisoformat(after["expires_at"]).timestamp())

    trail = (await defined.get("/v1/audit?limit=2")).body["items"]
    assert [(one["action"], one["subject"]) for one in trail] == [
        ("rotate", f"key/{old['key_id']}"),
        ("create", f"key/{new['key_id']}"),
    ]
    assert (trail[0]["before"]["successor"], trail[0]["after"]["successor"]) == (None, new["key_id"])

    again = await defined.post(f"/v1/keys/{old['key_id']}/rotate")
    assert (again.status, new["key_id"] in again.body["detail"]) == (409, True)
    await defined.call("DELETE", f"/v1/keys/{new['key_id']}")
    assert (await defined.post(f"/v1/keys/{old['key_id']}/rotate")).status == 201


async def test_without_an_overlap_the_old_key_is_revoked(defined: Client) -> None:
    old = await defined.made("/v1/keys", {"label": "stolen"})
    new = await defined.post(f"/v1/keys/{old['key_id']}/rotate", {"overlap_seconds": 0})

    assert new.status == 201
    assert (await defined.get(f"/v1/keys/{old['key_id']}")).body["state"] == "revoked"


async def test_a_successor_lives_as_long_as_the_old_key_was_given_to(defined: Client) -> None:
    expires_at = datetime.now(UTC) + timedelta(days=90)
    old = await defined.made("/v1/keys", {"label": "x", "expires_at": expires_at.isoformat()})
    path = f"/v1/keys/{old['key_id']}/rotate"
    first = (await defined.post(path)).body
    await defined.call("DELETE", f"/v1/keys/{first['key_id']}")
    second = (await defined.post(path)).body

    for one in (first, second):
        lifetime = datetime.fromisoformat(one["expires_at"]) - datetime.fromisoformat(one["created_at"])
        assert timedelta(days=89) < lifetime < timedelta(days=91)
    assert (await defined.post(f"/v1/keys/{second['key_id']}/rotate", {"expires_at": FUTURE})).body[
        "expires_at"
    ] == FUTURE


async def test_rotation_never_lengthens_a_life(defined: Client) -> None:
    expires_at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    old = await defined.made("/v1/keys", {"label": "x", "expires_at": expires_at})
    await defined.post(f"/v1/keys/{old['key_id']}/rotate", {"overlap_seconds": 86_400})

    assert (await defined.get(f"/v1/keys/{old['key_id']}")).body["expires_at"] == old["expires_at"]


async def test_rotated_at_once_it_has_one_successor(defined: Client) -> None:
    old = await defined.made("/v1/keys", {"label": "x"})
    answers = await asyncio.gather(*(defined.post(f"/v1/keys/{old['key_id']}/rotate") for _ in range(6)))

    assert sorted(answer.status for answer in answers) == [201, *[409] * 5]
    assert len(await ids(defined)) == 2


async def test_a_new_secret_is_not_kept_for_a_repeat(defined: Client) -> None:
    old = await defined.made("/v1/keys", {"label": "x"})
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": "rotate-once"}
    path = f"/v1/keys/{old['key_id']}/rotate"
    first, again = [await defined.call("POST", path, json={}, headers=headers) for _ in range(2)]

    assert again.headers["idempotency-replayed"] == "true"
    assert again.body == first.body | {"key": None}


async def test_keys_of_people_are_none_of_the_gateways(defined: Client, engine: AsyncEngine) -> None:
    made = await defined.made("/v1/keys", {"label": "ada", "role": "editor"})
    await defined.call("PATCH", f"/v1/keys/{made['key_id']}", json={"label": "ada l."})
    await defined.post(f"/v1/keys/{made['key_id']}/rotate")
    await defined.call("DELETE", f"/v1/keys/{made['key_id']}")

    assert await published(engine) == []


async def test_the_audit_names_whose_key_it_was(defined: Client) -> None:
    made = await defined.made("/v1/keys", {"label": "ada", "role": "editor"})
    await call_with(defined, made["key"], "PUT", "/v1/freeze", json={"reason": "launch"})

    (newest,) = (await defined.get("/v1/audit?limit=1")).body["items"]
    assert newest["actor"] == f"{made['key_id']} (ada)"
    assert (await defined.get("/v1/freeze")).body["freezes"][0]["actor"] == newest["actor"]


async def test_a_use_is_noted_once_a_minute(defined: Client, engine: AsyncEngine) -> None:
    made = await defined.made("/v1/keys", {"label": "ada", "role": "viewer"})
    path = f"/v1/keys/{made['key_id']}"

    async def used() -> Answer:
        return await call_with(defined, made["key"], "GET", path)

    first, second = await used(), await used()
    assert first.body["last_used_at"] == second.body["last_used_at"] is not None
    assert first.headers["etag"] == (await defined.get(path)).headers["etag"]
    async with engine.begin() as connection:
        long_ago = sa.func.now() - timedelta(minutes=2)
        await connection.execute(sa.update(credentials).values(last_used_at=long_ago))
    assert (await used()).body["last_used_at"] > first.body["last_used_at"]


async def test_a_use_waits_for_nobody_who_changes_the_key(defined: Client, engine: AsyncEngine) -> None:
    made = await defined.made("/v1/keys", {"label": "ada", "role": "viewer"})
    async with engine.begin() as connection:
        await connection.execute(sa.select(credentials).with_for_update())
        answer = await call_with(defined, made["key"], "GET", "/v1/routes")

    assert answer.status == 200


async def test_secrets_are_nowhere(
    engine: AsyncEngine, defined: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": "create-once"}
    body = {"label": "x", "role": "admin"}
    made = (await defined.call("POST", "/v1/keys", json=body, headers=headers)).body
    rotated = (await defined.post(f"/v1/keys/{made['key_id']}/rotate")).body
    client = (await defined.made("/v1/keys", {"label": "y"}))["key"]
    for key in (made["key"], rotated["key"], client, "hg_unknown-to-everybody"):
        await call_with(defined, key, "GET", "/v1/routes")
        await call_with(defined, key, "DELETE", f"/v1/keys/{made['key_id']}")

    tables: dict[str, str] = {}
    async with engine.connect() as connection:
        names = await connection.scalars(sa.text("SELECT tablename FROM pg_tables WHERE schemaname='public'"))
        for name in names.all():
            rows = await connection.scalars(sa.text(f'SELECT t::text FROM "{name}" t'))  # noqa: S608
            tables[name] = "\n".join(rows.all())
        for table, column in (("outbox", "value"), ("idempotency_keys", "body")):
            query = f"SELECT convert_from({column}, 'UTF8') FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
            tables[f"{table}, decoded"] = "\n".join((await connection.scalars(sa.text(query))).all())
    assert made["key_id"] in tables["idempotency_keys, decoded"]
    places = tables | {"log": caplog.text}
    secrets = (made["key"], rotated["key"], client, "hg_unknown-to-everybody", ADMIN_KEY)
    assert [(name, key) for name, text in places.items() for key in secrets if key in text] == []


async def test_without_the_database_only_the_admin_key_is_known() -> None:
    nowhere = create_async_engine("postgresql+psycopg://headgate@127.0.0.1:1/headgate")
    async with served(nowhere) as client:
        stored = await call_with(client, "hg_of-somebody", "GET", "/v1/routes")
        assert (stored.status, stored.body["code"]) == (503, "database_unavailable")
        assert stored.headers["content-type"] == "application/problem+json"
        assert (await client.get("/v1/nothing")).status == 404


async def test_with_a_key_of_an_admin_the_admin_key_may_be_left_out(
    defined: Client, engine: AsyncEngine
) -> None:
    made = await defined.made("/v1/keys", {"label": "root", "role": "admin"})
    async with served(engine, admin_key=SecretStr("")) as alone:
        assert (await call_with(alone, made["key"], "GET", "/v1/keys")).status == 200
        for nobodys in ("", ADMIN_KEY):
            assert (await call_with(alone, nobodys, "GET", "/v1/keys")).status == 401
