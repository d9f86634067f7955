"""`headgate apply`, `diff` and `export` on a running control plane."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services.cli.control.client import Answer, Api
from tests.integration.api.conftest import Client
from tests.integration.cli.conftest import Headgate

EVERYTHING = """\
# yaml-language-server: $schema=experiment.schema.json
experiment:
  key: new-model
  route: chat/main
  kind: canary
  treatment: new
  plan:
    steps: [0.05, 0.5]
    holdback_share: 0
---
experiment:
  key: short-prompt
  route: chat/main
  kind: ab_test
  variants:
    - key: old
    - key: short
  goals: [solved]
---
route:
  key: chat/main
  stable: old
  unit_limits: {requests_per_minute: 30}
---
variant: {key: old, endpoints: [openai], model: gpt-old}
---
variant:
  key: short
  endpoints: [openai]
  model: gpt-old
  system_prompt: |
    Be brief.
    Be kind.
  parameters: {temperature: 1e-1, top_p: 1, logprobs: false}
---
variant: {key: new, endpoints: [openai], model: gpt-new}
---
metric: {key: solved, source: "feedback:solved", kind: proportion, per: unit, better: higher}
---
endpoint:
  key: openai
  kind: openai
  base_url: https://llm.test/v1/
  secret: env:LLM_KEY
  prices: {input_per_million: 2, output_per_million: 10}
---
webhook: {key: on-call, url: "https://hooks.test/x", secret: "env:HOOK_SECRET", events: [decision.*]}
---
team: {key: checkout, label: Checkout, limits: {dollars_per_day: 20}}
"""
NAMES = [
    "team/checkout",
    "endpoint/openai",
    "variant/old",
    "variant/short",
    "variant/new",
    "route/chat/main",
    "metric/solved",
    "experiment/new-model",
    "experiment/short-prompt",
    "webhook/on-call",
]


class File:
    """A file that a team edits."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def remove(self) -> None:
        self.path.unlink()


@pytest.fixture
def file(tmp_path: Path) -> File:
    file = File(tmp_path / "everything.yaml")
    file.write(EVERYTHING)
    return file


def outcomes(output: str) -> dict[str, str]:
    """What came of each document, in order."""
    return dict(line.split(" ", 1) for line in output.splitlines())


async def changes(client: Client) -> int:
    return len((await client.get("/v1/audit", params={"limit": 1000})).body["items"])


async def test_everything_is_created_in_order_and_a_second_time_changes_nothing(
    headgate: Headgate, client: Client, file: File
) -> None:
    first = await headgate("apply", "-f", str(file))
    assert outcomes(first.stdout) == dict.fromkeys(NAMES, "created")
    assert list(outcomes(first.stdout)) == NAMES
    made = await changes(client)
    assert made == len(NAMES)

    second = await headgate("apply", "-f", str(file))
    assert outcomes(second.stdout) == dict.fromkeys(NAMES, "unchanged")
    assert await changes(client) == made
    assert (await headgate("diff", "-f", str(file))).stdout == ""
    experiment = (await client.get("/v1/experiments/new-model")).body
    assert experiment["status"] == "draft", "a file starts nothing by itself"


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    headgate: Headgate, client: Client, file: File
) -> None:
    said = await headgate("apply", "--dry-run", "-f", str(file))
    assert outcomes(said.stdout) == dict.fromkeys(NAMES, "would be created")
    assert await changes(client) == 0


async def test_a_dry_run_asks_the_control_plane_about_experiments(
    headgate: Headgate, file: File, tmp_path: Path
) -> None:
    await headgate("apply", "-f", str(file))
    other = File(tmp_path / "other.yaml")
    other.write("experiment:\n  key: other\n  route: chat/main\n  treatment: nobody\n")
    said = await headgate("apply", "--dry-run", "-f", str(other), exit_code=1)
    assert f"{other}:4:3: document 1: experiment.treatment: there is no variant 'nobody'" in said.stderr
    assert said.stdout == "experiment/other would be refused\n"


async def test_what_changed_is_shown_and_replaced(headgate: Headgate, client: Client, file: File) -> None:
    await headgate("apply", "-f", str(file))
    file.write(
        EVERYTHING.replace("gpt-new", "gpt-newer").replace("input_per_million: 2,", "input_per_million: 3,")
    )

    shown = await headgate("diff", "-f", str(file), exit_code=1)
    assert "--- live/variant/new\n" in shown.stdout
    assert "-  model: gpt-new\n+  model: gpt-newer\n" in shown.stdout
    assert shown.stdout.count("+++ ") == 2
    assert (await client.get("/v1/variants/new")).body["model"] == "gpt-new"

    said = await headgate("apply", "--json", "-f", str(file))
    done = {one["key"]: (one["outcome"], one["note"]) for one in json.loads(said.stdout)["items"]}
    assert done["openai"] == ("replaced", "prices changed")
    assert done["new"] == ("replaced", "model changed")
    assert done["old"] == ("unchanged", "")
    assert (await client.get("/v1/variants/new")).body["model"] == "gpt-newer"


async def test_what_takes_part_in_a_running_experiment_is_not_replaced(
    headgate: Headgate, file: File
) -> None:
    await headgate("apply", "-f", str(file))
    await headgate("start", "new-model")
    file.write(EVERYTHING.replace("gpt-new", "gpt-newer"))

    said = await headgate("apply", "-f", str(file), exit_code=1)
    assert outcomes(said.stdout)["variant/new"] == "refused"
    line = EVERYTHING.splitlines().index("variant: {key: new, endpoints: [openai], model: gpt-new}") + 1
    assert f"{file}:{line}:1: document 6: variant: variant 'new' takes part in the running" in said.stderr


async def test_limits_follow_the_file(headgate: Headgate, client: Client, file: File) -> None:
    await headgate("apply", "-f", str(file))
    file.write(
        EVERYTHING.replace(
            "unit_limits: {requests_per_minute: 30}", "limits: {concurrency: 9}\n  unit_limits: null"
        ).replace("{dollars_per_day: 20}", "{}")
    )
    done = outcomes((await headgate("apply", "-f", str(file))).stdout)

    assert done["route/chat/main"] == "replaced (limits, unit_limits changed)"
    assert done["team/checkout"] == "replaced (limits changed)"
    route = (await client.get("/v1/routes/chat/main")).body
    assert (route["limits"]["concurrency"], route["unit_limits"]) == (9, None)
    assert (await client.get("/v1/teams/checkout")).body["limits"] is None
    again = outcomes((await headgate("apply", "-f", str(file))).stdout)
    assert {again["route/chat/main"], again["team/checkout"]} == {"unchanged"}


async def test_what_may_be_kept_follows_the_file(headgate: Headgate, client: Client, file: File) -> None:
    """With the limits beside it, and back again where the file says so."""
    await headgate("apply", "-f", str(file))
    limited = "  unit_limits: {requests_per_minute: 30}\n"
    file.write(EVERYTHING.replace(limited, "  unit_limits: null\n  record_content: true\n"))
    done = outcomes((await headgate("apply", "-f", str(file))).stdout)

    assert done["route/chat/main"] == "replaced (unit_limits, record_content changed)"
    route = (await client.get("/v1/routes/chat/main")).body
    assert (route["unit_limits"], route["record_content"]) == (None, True)
    head, _, row = (await headgate("get", "routes")).stdout.splitlines()
    assert row[head.index("keeps content") :].startswith("yes")

    file.write(EVERYTHING.replace(limited, "  record_content: null\n"))
    done = outcomes((await headgate("apply", "-f", str(file))).stdout)
    assert done["route/chat/main"] == "replaced (record_content changed)"
    assert (await client.get("/v1/routes/chat/main")).body["record_content"] is False


async def test_what_a_file_leaves_out_of_a_route_stays(
    headgate: Headgate, client: Client, file: File
) -> None:
    """What an admin sets goes on beside the file of a team; of what is replaced together, each by itself."""
    await headgate("apply", "-f", str(file))
    limits = {"limits": {"tokens_per_minute": 500}, "unit_limits": {"concurrency": 2}}
    await client.put("/v1/routes/chat/main/limits", limits)
    await client.put("/v1/routes/chat/main/recording", {"record_content": True})
    limited = "  unit_limits: {requests_per_minute: 30}\n"
    file.write(EVERYTHING.replace(limited, ""))
    made = await changes(client)
    assert (await headgate("diff", "-f", str(file))).stdout == ""
    assert outcomes((await headgate("apply", "-f", str(file))).stdout)["route/chat/main"] == "unchanged"
    assert await changes(client) == made

    file.write(EVERYTHING)
    shown = (await headgate("diff", "-f", str(file), exit_code=1)).stdout.splitlines()
    changed = [line for line in shown if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["-    concurrency: 2", "+    requests_per_minute: 30"]
    rehearsed = await headgate("apply", "--dry-run", "-f", str(file))
    assert outcomes(rehearsed.stdout)["route/chat/main"] == "would be replaced (unit_limits changed)"
    await headgate("apply", "-f", str(file))
    route = yaml.safe_load((await headgate("export", "route", "chat/main")).stdout)["route"]
    assert (route["limits"], route["unit_limits"], route["record_content"]) == (
        {"tokens_per_minute": 500},
        {"requests_per_minute": 30},
        True,
    )


async def test_an_editors_pipeline_applies_what_an_admin_limited(
    headgate: Headgate, client: Client, file: File
) -> None:
    """And where a file would change that, the refusal says which step it is."""
    await headgate("apply", "-f", str(file))
    made = await client.made("/v1/keys", {"label": "ci", "role": "editor"})
    limited = "  unit_limits: {requests_per_minute: 30}\n"
    file.write(EVERYTHING.replace(limited, "").replace("gpt-new", "gpt-newer"))
    done = outcomes((await headgate("apply", "-f", str(file), key=made["key"])).stdout)
    assert done.pop("variant/new") == "replaced (model changed)"
    assert set(done.values()) == {"unchanged"}

    file.write(EVERYTHING.replace(limited, "  unit_limits: null\n  record_content: true\n"))
    said = await headgate("apply", "-f", str(file), key=made["key"], exit_code=1)
    assert outcomes(said.stdout)["route/chat/main"] == "refused"
    assert "route: the limits of route chat/main: this takes the role admin, and " in said.stderr
    assert outcomes(said.stdout)["variant/new"] == "replaced (model changed)", "the others are done"
    route = (await client.get("/v1/routes/chat/main")).body
    assert route["unit_limits"]["requests_per_minute"] == 30


async def test_a_draft_is_replaced_and_started(headgate: Headgate, client: Client, file: File) -> None:
    await headgate("apply", "-f", str(file))
    changed = EVERYTHING.replace("[0.05, 0.5]", "[0.1, 0.5]")
    file.write(changed)

    rehearsed = await headgate("apply", "--dry-run", "-f", str(file))
    assert outcomes(rehearsed.stdout)["experiment/new-model"] == "would be replaced (plan changed)"
    said = await headgate("apply", "-f", str(file))
    assert outcomes(said.stdout)["experiment/new-model"] == "replaced (plan changed)"
    experiment = (await client.get("/v1/experiments/new-model")).body
    assert (experiment["status"], experiment["definition"]["plan"]["steps"]) == ("draft", [0.1, 0.5])

    file.write(
        EVERYTHING.replace("experiment:\n  key: new-model", "start: true\nexperiment:\n  key: new-model")
    )
    said = await headgate("apply", "-f", str(file))
    assert outcomes(said.stdout)["experiment/new-model"] == "replaced and started (plan changed)"
    experiment = (await client.get("/v1/experiments/new-model")).body
    assert (experiment["status"], experiment["definition"]["plan"]["steps"]) == ("running", [0.05, 0.5])


async def test_a_draft_is_deleted_and_nothing_else(headgate: Headgate, client: Client, file: File) -> None:
    await headgate("apply", "-f", str(file))
    said = await headgate("delete", "experiment", "new-model")
    assert said.stdout == "experiment new-model is deleted\n"
    assert (await client.get("/v1/experiments/new-model")).status == 404
    await headgate("apply", "-f", str(file))
    await headgate("start", "new-model")
    refused = await headgate("delete", "experiment", "new-model", exit_code=1)
    assert "cannot delete 'new-model': it is running" in refused.stderr


async def test_an_experiment_keeps_its_definition(headgate: Headgate, client: Client, file: File) -> None:
    await headgate("apply", "-f", str(file))
    await headgate("start", "new-model")
    file.write(EVERYTHING.replace("[0.05, 0.5]", "[0.1, 0.5]"))

    said = await headgate("apply", "-f", str(file), exit_code=1)
    assert outcomes(said.stdout)["experiment/new-model"] == "refused"
    assert f"{file}:7:3: document 1: experiment.plan: an experiment keeps the definition" in said.stderr
    assert "give the new one a key of its own" in said.stderr
    experiment = (await client.get("/v1/experiments/new-model")).body
    assert experiment["definition"]["plan"]["steps"] == [0.05, 0.5]


async def test_start_starts_a_draft_once_and_never_again(
    headgate: Headgate, client: Client, file: File
) -> None:
    await headgate("apply", "-f", str(file))
    file.write(
        EVERYTHING.replace("experiment:\n  key: new-model", "start: true\nexperiment:\n  key: new-model")
    )

    rehearsed = await headgate("apply", "--dry-run", "-f", str(file))
    assert outcomes(rehearsed.stdout)["experiment/new-model"] == "would be started"
    said = await headgate("apply", "-f", str(file))
    assert outcomes(said.stdout)["experiment/new-model"] == "started"
    assert outcomes(said.stdout)["experiment/short-prompt"] == "unchanged"
    started = (await client.get("/v1/experiments/new-model")).body
    assert started["status"] == "running"

    again = await headgate("apply", "-f", str(file))
    assert outcomes(again.stdout)["experiment/new-model"] == "unchanged (it is running)"
    await headgate("stop", "new-model")
    after = await headgate("apply", "-f", str(file))
    assert outcomes(after.stdout)["experiment/new-model"] == "unchanged (it is inconclusive)"
    assert (await client.get("/v1/experiments/new-model")).body["status"] == "stopped"


@pytest.mark.usefixtures("routing")
async def test_what_a_promotion_changed_is_left_alone(headgate: Headgate, client: Client, file: File) -> None:
    await headgate("apply", "-f", str(file))
    await headgate("start", "new-model")
    await headgate("promote", "new-model", "--reason", "seen enough")
    await headgate("watch", "new-model", "--interval", "0.05", "--timeout", "30", "--exit-status")

    said = await headgate("apply", "-f", str(file))
    assert outcomes(said.stdout)["route/chat/main"] == "unchanged (new is stable by now)"
    assert (await client.get("/v1/routes/chat/main")).body["allocation"]["stable"] == "new"
    assert (await headgate("diff", "-f", str(file))).stdout == ""
    exported = await headgate("export", "route", "chat/main")
    assert yaml.safe_load(exported.stdout)["route"]["stable"] == "new"


async def test_a_fault_names_file_line_and_field_and_nothing_is_done(
    headgate: Headgate, client: Client, file: File
) -> None:
    faulty = EVERYTHING.replace("steps: [0.05, 0.5]", "steps: [0.05, half]").replace(
        "model: gpt-new}", "modle: gpt-new}"
    )
    file.write(faulty)
    said = await headgate("apply", "-f", str(file), exit_code=2)
    assert f"{file}:8:19: document 1: experiment.plan.steps[1]: must be a number" in said.stderr
    assert "variant.modle: unknown field" in said.stderr
    assert await changes(client) == 0


async def test_what_the_control_plane_refuses_is_found_in_the_file(headgate: Headgate, file: File) -> None:
    file.write(
        EVERYTHING.replace("key: short\n  goals", "key: nobody\n  goals").replace(
            "    - key: short", "    - key: nobody"
        )
    )
    said = await headgate("apply", "-f", str(file), exit_code=1)
    assert f"{file}:17:7: document 2: experiment.variants[1].key: there is no variant 'nobody'" in said.stderr
    assert outcomes(said.stdout)["experiment/new-model"] == "created", "the others are done"


async def test_an_export_applied_again_is_the_same(headgate: Headgate, file: File, tmp_path: Path) -> None:
    await headgate("apply", "-f", str(file))
    exported = (await headgate("export", "--all")).stdout
    documents = list(yaml.safe_load_all(exported))
    assert sorted(f"{kind}/{body['key']}" for one in documents for kind, body in one.items()) == sorted(NAMES)
    short = next(one["variant"] for one in documents if one.get("variant", {}).get("key") == "short")
    assert short["system_prompt"] == "Be brief.\nBe kind.\n"
    assert "system_prompt: |" in exported

    File(tmp_path / "exported.yml").write(exported)
    file.remove()
    said = await headgate("apply", "-f", str(tmp_path))
    assert set(outcomes(said.stdout).values()) == {"unchanged"}
    assert (await headgate("apply", "-f", "-", stdin=exported)).stdout == said.stdout
    assert (await headgate("diff", "-f", "-", stdin=exported)).stdout == ""


async def test_some_are_exported_by_name(headgate: Headgate, file: File) -> None:
    await headgate("apply", "-f", str(file))
    two = yaml.safe_load_all((await headgate("export", "variant", "old", "new")).stdout)
    assert [one["variant"]["model"] for one in two] == ["gpt-old", "gpt-new"]
    own = yaml.safe_load_all((await headgate("export", "metric", "--all")).stdout)
    assert [one["metric"]["key"] for one in own] == ["solved"], "built-in metrics are everywhere"
    missing = await headgate("export", "variant", "nobody", exit_code=1)
    assert "there is no variant 'nobody'; `headgate get variants` lists them" in missing.stderr


async def test_somebody_elses_change_is_not_overwritten(
    headgate: Headgate, client: Client, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and replacing, another person replaces it."""
    await headgate("apply", "-f", str(file))
    file.write(EVERYTHING.replace("gpt-new", "gpt-mine"))
    really_find = Api.find

    def find(self: Api, path: str) -> Answer | None:
        found = really_find(self, path)
        if path == "/v1/variants/new":
            self.put(path, {"endpoints": ["openai"], "model": "gpt-theirs"})
        return found

    monkeypatch.setattr(Api, "find", find)
    said = await headgate("apply", "-f", str(file), exit_code=1)
    assert outcomes(said.stdout)["variant/new"] == "refused"
    assert (await client.get("/v1/variants/new")).body["model"] == "gpt-theirs"


async def test_the_schema_knows_all_of_it(headgate: Headgate) -> None:
    schema: dict[str, Any] = json.loads((await headgate("schema")).stdout)
    validator = jsonschema.Draft7Validator(schema)
    for document in yaml.safe_load_all(EVERYTHING.replace("1e-1", "0.1")):
        validator.validate(document)
