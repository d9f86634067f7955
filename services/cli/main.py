"""``headgate``: every service and tool is a command of this one.

Commands import what they need when they run, so that each process loads only that.
"""

from __future__ import annotations

import click

from services.cli import analysis, services
from services.cli.control import (
    describing,
    getting,
    holding,
    keys,
    redelivery,
    reports,
    usage,
    verbs,
    watching,
)
from services.cli.files import commands as files
from services.cli.grouping import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="headgate")
def main() -> None:
    """Measured experiments behind an OpenAI-compatible gateway.

    `headgate demo` shows the loop at work, `headgate dev` keeps the whole product running on this machine.
    Services read their settings from the environment:

    \b
    HEADGATE_KAFKA          bootstrap servers (127.0.0.1:9092)
    HEADGATE_DATABASE_URL   postgresql://user:password@host:5432/name
    HEADGATE_TOPIC_PREFIX   put before every topic and group
    HEADGATE_ADMIN_KEY      api: who has it controls all traffic
    HEADGATE_API_HOST, HEADGATE_API_PORT             127.0.0.1, 8081
    HEADGATE_GATEWAY_HOST, HEADGATE_GATEWAY_PORT     127.0.0.1, 8080
    HEADGATE_GATEWAY_STATE_DIR                       snapshot and journals
    HEADGATE_LOG_LEVEL, HEADGATE_LOG_FORMAT          INFO, text (or json)
    """


main.add_section(
    "Services",
    services.gateway,
    services.api,
    services.routing,
    services.worker,
    services.migrate,
    services.dev,
    services.demo,
    services.provider,
)
main.add_section(
    "Definitions",
    files.apply,
    files.diff,
    files.export,
    files.schema,
    getting.get,
    describing.describe,
    keys.keys,
    holding.delete,
    redelivery.redeliver,
)
main.add_section("Experiments", *verbs.commands(), watching.watch, reports.health)
main.add_section("Traffic", holding.freeze, holding.unfreeze, holding.drain, holding.undrain)
main.add_section(
    "Analysis",
    reports.results,
    reports.comparisons,
    usage.usage,
    analysis.report,
    analysis.replay,
    analysis.contract,
    analysis.characteristics,
)


if __name__ == "__main__":
    main()
