"""Commands, run as a person would, on a control plane in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.ext.asyncio import AsyncEngine

from services.cli.main import main
from services.routing.decisions import sweep
from services.routing.metrics import RoutingMetrics
from tests.integration.api.conftest import ADMIN_KEY, Client, installed, served

Headgate = Callable[..., Awaitable[Result]]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with installed(database_url) as engine:
        yield engine


@pytest.fixture
async def client(engine: AsyncEngine) -> AsyncIterator[Client]:
    """The control plane, with nothing defined."""
    async with served(engine) as client:
        yield client


@pytest.fixture
def headgate(client: Client) -> Headgate:
    """Runs a command in a thread, while the control plane serves; ends with 0 unless it is said otherwise."""

    async def run(
        *arguments: str, exit_code: int = 0, stdin: str | None = None, key: str = ADMIN_KEY
    ) -> Result:
        environment = {"HEADGATE_API_URL": client.url, "HEADGATE_ADMIN_KEY": key}
        result = await asyncio.to_thread(
            CliRunner().invoke, main, list(arguments), input=stdin, env=environment
        )
        assert result.exit_code == exit_code, (result.output, result.exception)
        return result

    return run


@pytest.fixture
async def routing(engine: AsyncEngine) -> AsyncIterator[None]:
    """Applies decisions soon after they are recorded, as the service does."""
    applying = asyncio.create_task(sweep(engine, 0.02, RoutingMetrics()))
    yield
    applying.cancel()
    await asyncio.gather(applying, return_exceptions=True)
