"""Reading a running product's metrics as Prometheus would, and what its alerts make of them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from services.demo.product import Product
from tests.unit.monitoring.catalogue import DOCS, Metric, shown

PROMTOOL = shutil.which("promtool")
STEP_SECONDS, STEPS_BEFORE, STEPS_AFTER = 15, 40, 40

Scrape = Mapping[str, float]
"""Values by series, as PromQL writes it."""


async def pages(product: Product) -> dict[str, str]:
    """Return what each process answers to GET /metrics."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for name, address in product.addresses.metrics.items():
            async with session.get(address) as response:
                assert response.status == 200
                found[name] = await response.text()
    return found


async def scrape(product: Product) -> Scrape:
    """Return every sample of every process, with the labels that Prometheus adds."""
    samples: dict[str, float] = {}
    for name, page in (await pages(product)).items():
        target = {"job": f"headgate-{name.partition('-')[0]}", "instance": name}
        samples[_series("up", target)] = 1.0
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                samples[_series(sample.name, {**sample.labels, **target})] = sample.value
    return samples


async def scrape_until(product: Product, condition: Callable[[Scrape], bool]) -> Scrape:
    """Read again and again until something is seen."""
    async with asyncio.timeout(30):
        while not condition(seen := await scrape(product)):
            await asyncio.sleep(0.1)
    return seen


def total(scraped: Scrape, metric: str, *labels: str) -> float:
    """Return the sum of a metric's series that have these labels, each as ``name="value"``."""
    return sum(
        value
        for series, value in scraped.items()
        if series.startswith(f"{metric}{{") and all(label in series for label in labels)
    )


async def undocumented(product: Product) -> list[Metric]:
    """Return what the processes show and the document does not have like this."""
    text = (DOCS / "metrics.md").read_text()
    unknown = []
    for page in (await pages(product)).values():
        for metric in shown(page):
            rows = [
                row for row in text.splitlines() if row.startswith(f"| `{metric.name}` | {metric.kind} |")
            ]
            if not any(all(f"`{label}`" in row for label in metric.labels) for row in rows):
                unknown.append(metric)
    return unknown


async def firing(before: Scrape, after: Scrape, place: Path) -> set[str] | None:
    """Return the alerts that fire in ten minutes of the one and ten of the other; None without promtool."""
    if PROMTOOL is None:
        return None
    series = [
        {"series": one, "values": f"{_values(before, one, STEPS_BEFORE)} {_values(after, one, STEPS_AFTER)}"}
        for one in sorted({*before, *after})
    ]
    looks: list[dict[str, object]] = [
        {"expr": 'ALERTS{alertstate="firing"}', "eval_time": at, "exp_samples": []}
        for at in ("9m", "12m", "19m")
    ]
    step = f"{STEP_SECONDS}s"
    case = {"interval": step, "input_series": series, "promql_expr_test": looks}
    file = place / "scraped.yaml"
    rules = {"rule_files": [str(DOCS / "alerts.yaml")], "evaluation_interval": step, "tests": [case]}
    file.write_text(yaml.safe_dump(rules))
    done = await asyncio.to_thread(
        subprocess.run, [PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    names = {part.partition('"')[0] for part in said.split('alertname="')[1:]}
    assert names or done.returncode == 0, said
    return names


def _series(name: str, labels: Mapping[str, str]) -> str:
    escaped = {key: value.replace("\\", r"\\").replace('"', r"\"") for key, value in labels.items()}
    inner = ",".join(f'{key}="{value}"' for key, value in sorted(escaped.items()))
    return f"{name}{{{inner}}}"


def _values(scraped: Scrape, series: str, steps: int) -> str:
    value = scraped.get(series)
    return f"_x{steps}" if value is None else f"{value!r}x{steps - 1}"
