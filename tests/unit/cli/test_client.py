"""`services/cli/control/client.py` and `refusals.py`, against a server that says what it is told to."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner

from services.cli.control.client import Api, address
from services.cli.control.refusals import Refused, Unreachable, in_commands
from services.cli.main import main
from services.embedded.ports import free_port


@dataclass
class Scripted:
    """Answers in turn with (status, body, headers); ``asked`` has what came."""

    url: str = ""
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def will_say(self, status: int, body: Any, **headers: str) -> None:
        self.answers.append((status, body, headers))


@pytest.fixture
def server() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            script.asked.append((self.command, self.path, dict(self.headers), body))
            status, said, headers = script.answers.pop(0)
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names http.server calls

        def log_message(self, *_: object) -> None:
            """Nobody wants to read it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        script.url = f"http://127.0.0.1:{serving.server_port}"
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield script
        serving.shutdown()
        thread.join()


@pytest.fixture
def api(server: Scripted) -> Iterator[Api]:
    with Api(server.url, "key") as api:
        yield api


def problem(status: int, detail: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "detail": detail, "code": "x", **more}


def run(server: Scripted, *arguments: str) -> Any:
    return CliRunner().invoke(
        main, list(arguments), env={"HEADGATE_API_URL": server.url, "HEADGATE_ADMIN_KEY": "key"}
    )


def test_lists_are_followed_to_their_end(server: Scripted, api: Api) -> None:
    server.will_say(200, {"items": [1, 2], "next_cursor": "c+/="})
    server.will_say(200, {"items": [3], "next_cursor": None})
    assert list(api.items("/v1/audit", {"subject": "route/a b", "actor": None})) == [1, 2, 3]
    assert [path for _, path, _, _ in server.asked] == [
        "/v1/audit?subject=route/a+b",
        "/v1/audit?subject=route/a+b&cursor=c%2B/%3D",
    ]


def test_a_list_ends_at_its_limit(server: Scripted, api: Api) -> None:
    server.will_say(200, {"items": [1, 2], "next_cursor": "c"})
    server.will_say(200, {"items": [3, 4], "next_cursor": "d"})
    assert list(api.items("/v1/audit", limit=3)) == [1, 2, 3]
    assert [path for _, path, _, _ in server.asked] == ["/v1/audit?limit=3", "/v1/audit?cursor=c&limit=1"]


def test_a_list_without_pages_is_one_page(server: Scripted, api: Api) -> None:
    server.will_say(200, {"items": [1]})
    assert list(api.items("/v1/keys")) == [1]


def test_what_was_seen_is_sent_back_and_each_post_has_a_key_of_its_own(server: Scripted, api: Api) -> None:
    server.will_say(200, {}, ETag='"abc"')
    for status in (200, 201, 201):
        server.will_say(status, {})
    seen = api.get("/v1/variants/x")
    api.put("/v1/variants/x", {"model": "m"}, if_match=seen.etag)
    api.post("/v1/variants", {"key": "y"})
    api.post("/v1/variants", {"key": "z"})

    _, put, first, second = server.asked
    assert put[2]["If-Match"] == '"abc"'
    assert put[3] == {"model": "m"}
    assert "Idempotency-Key" not in put[2]
    assert first[2]["Authorization"] == "Bearer key"
    assert first[2]["Idempotency-Key"] != second[2]["Idempotency-Key"]


def test_keys_with_slashes_stay_one_part() -> None:
    assert address("routes", "openai/gpt 4") == "/v1/routes/openai%2Fgpt%204"


def test_only_what_is_not_there_is_not_found(server: Scripted, api: Api) -> None:
    server.will_say(404, problem(404, "there is no variant 'x'"))
    server.will_say(409, problem(409, "no"))
    assert api.find("/v1/variants/x") is None
    with pytest.raises(Refused, match="no"):
        api.find("/v1/variants/x")


@pytest.mark.parametrize(
    ("status", "body", "exit_code", "said"),
    [
        (401, problem(401, "send a key"), 4, "refuses the key; set HEADGATE_API_KEY"),
        (
            404,
            problem(404, "there is no experiment 'x'; GET /v1/experiments lists them"),
            1,
            "there is no experiment 'x'; `headgate get experiments` lists them",
        ),
        (409, problem(409, "cannot start 'x': it is running"), 1, "cannot start 'x': it is running"),
        (412, problem(412, "seen another"), 1, "somebody else changed it in the meantime; look at it again"),
        (
            422,
            problem(422, "a; b", errors=[{"field": "share", "message": "must be above 0"}]),
            1,
            "refused; correct this and try again:\n  share: must be above 0",
        ),
        (
            503,
            problem(503, "the database is busy, try again"),
            3,
            "cannot answer (503): the database is busy",
        ),
        (502, b"<html>Bad Gateway</html>", 3, "answers with status 502, but not as a control plane does"),
        (200, b"<html>Welcome</html>", 3, "answers with status 200, but not as a control plane does"),
        (307, b"", 3, "answers with status 307, but not as a control plane does"),
        (404, {"detail": "Not Found"}, 3, "but not as a control plane does; see HEADGATE_API_URL"),
    ],
)
def test_an_error_says_what_to_do_and_ends_with_its_status(
    server: Scripted, status: int, body: Any, exit_code: int, said: str
) -> None:
    server.will_say(status, body)
    result = run(server, "start", "x")
    assert result.exit_code == exit_code, result.output
    assert result.stderr.startswith("headgate: ")
    assert said in result.stderr
    assert result.stdout == ""


def test_nobody_answers() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Api(url, "key") as api, pytest.raises(Unreachable, match=r"is `headgate api` running"):
        api.get("/v1/routes")


def test_without_a_key_nothing_is_asked(server: Scripted) -> None:
    result = CliRunner().invoke(
        main,
        ["get", "routes"],
        env={"HEADGATE_API_URL": server.url, "HEADGATE_ADMIN_KEY": None, "HEADGATE_API_KEY": None},
    )
    assert (result.exit_code, server.asked) == (4, [])
    assert "HEADGATE_API_KEY is not set" in result.stderr


def test_an_address_must_be_one() -> None:
    result = CliRunner().invoke(main, ["get", "routes", "--api-url", "localhost:8081", "--admin-key", "k"])
    assert result.exit_code == 2
    assert "must begin with http:// or https://" in result.stderr


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("POST /v1/experiments/first/start starts it", "`headgate start first` starts it"),
        ("GET /v1/metrics lists them", "`headgate get metrics` lists them"),
        ("GET /v1/experiments/x/results", "GET /v1/experiments/x/results"),
    ],
)
def test_advice_is_given_in_commands(text: str, commands: str) -> None:
    assert in_commands(text) == commands


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (("start", "x"), "start", None),
        (("stop", "x", "--reason", "why"), "stop", {"reason": "why"}),
        (("share", "x", "12.5%"), "share", {"share": 0.125}),
        (("share", "x", "0"), "share", {"share": 0.0}),
        (("promote", "x", "--variant", "b"), "promote", {"variant": "b"}),
        (("rollback", "x", "--override"), "rollback", {"override": True}),
        (("split", "x", "--traffic", "0.5"), "split", {"traffic_share": 0.5}),
        (
            ("split", "x", "a=80%", "b=0.2"),
            "split",
            {"variants": [{"key": "a", "weight": 0.8}, {"key": "b", "weight": 0.2}]},
        ),
    ],
)
def test_a_verb_sends_what_it_is_given(
    server: Scripted, arguments: tuple[str, ...], path: str, body: Any
) -> None:
    server.will_say(200, {"decision_id": "d", "action": path})
    result = run(server, *arguments, "--if-match", '"tag"')
    assert result.exit_code == 0, result.output
    ((method, asked, headers, sent),) = server.asked
    assert (method, asked, sent) == ("POST", f"/v1/experiments/x/{path}", body)
    assert headers["If-Match"] == '"tag"'


@pytest.mark.parametrize("share", ["20 percent", "1.5", "-1%", "120%", "5%5", "nan"])
def test_a_share_that_is_none_is_not_sent(server: Scripted, share: str) -> None:
    result = run(server, "share", "x", "--", share)
    assert (result.exit_code, server.asked) == (2, [])
    assert "say 20% or 0.2" in result.stderr


@pytest.mark.parametrize(("healthy", "exit_code"), [(True, 0), (False, 1)])
def test_health_ends_as_the_checks_do(server: Scripted, healthy: bool, exit_code: int) -> None:
    problems = [] if healthy else [{"expected": "status 200", "came": "503"}]
    attempt = {"latency_seconds": 0.25, "problems": problems}
    check = {"name": "hello", "passed": healthy, "attempts": [attempt, attempt]}
    run_ = {"variant": "new", "slot": "green", "checked_at": "2026-11-20T12:00:00Z", "checks": [check]}
    server.will_say(200, {"healthy": healthy, "sentence": "as it is", "items": [run_]})
    result = run(server, "health", "x")
    assert result.exit_code == exit_code
    assert "Checked new in slot green at 2026-11-20T12:00:00Z" in result.stdout
    assert ("expected status 200, came 503" in result.stdout) is not healthy
    assert server.asked[0][:2] == ("POST", "/v1/experiments/x/health")
