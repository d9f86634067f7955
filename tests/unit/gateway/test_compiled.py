"""What pyproject.toml has compiled can be, and is compiled nowhere but in wheels."""

from __future__ import annotations

import ast
import os
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from services.gateway import compiled

ROOT = Path(__file__).parents[3]
LISTED: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["hooks"]["custom"]["modules"]
COMPILED = sorted({path for pattern in LISTED for path in ROOT.glob(pattern)})


def test_which_gateway_is_tested() -> None:
    assert compiled.COMPILED is (os.environ.get("HEADGATE_TEST_COMPILED") == "1")


@pytest.mark.parametrize("pattern", LISTED)
def test_what_is_listed_exists(pattern: str) -> None:
    assert list(ROOT.glob(pattern))


def test_nothing_is_listed_twice() -> None:
    assert len(COMPILED) == sum(len(list(ROOT.glob(pattern))) for pattern in LISTED)


def test_the_checkout_holds_nothing_compiled() -> None:
    kinds = ("*.so", "*.pyd", "*.c")
    assert [path for kind in kinds for path in (ROOT / "services").rglob(kind)] == []


def test_no_shape_that_is_decoded_is_compiled() -> None:
    """Decoders go by annotations, and compiling does not keep them: everything would decode as nothing."""
    shapes = {name for path in COMPILED for name in _shapes(_parsed(path))}
    assert "UpstreamRequest" in shapes, "shapes are recognised"
    decoded = {name for path in (ROOT / "services").rglob("*.py") for name in _decoded(_parsed(path))}
    assert "AnswerJson" in decoded, "what is decoded is recognised"
    assert shapes & decoded == set()


def test_nothing_uncompiled_inherits_from_what_is_compiled() -> None:
    """Python refuses to make objects of such a class."""
    modules = {_name(path): _parsed(path) for path in (ROOT / "services").rglob("*.py")}
    listed = {_name(path) for path in COMPILED}
    native = {f"{name}.{one.name}" for name in listed for one in _classes(modules[name])} - {
        f"{name}.{shape}" for name in listed for shape in _shapes(modules[name])
    }
    heirs = {
        f"{name}.{one.name}"
        for name in modules.keys() - listed
        for one in _classes(modules[name])
        if native & {_imported(modules[name]).get(ast.unparse(base)) for base in one.bases}
    }
    assert "services.gateway.breaker.Breaker" in native, "classes are recognised"
    assert heirs == set()


def test_nothing_compiled_inherits_from_what_is_not() -> None:
    """Its attributes of the class would be those of the other: errors would be answered with 500."""
    modules = {_name(path): _parsed(path) for path in (ROOT / "services").rglob("*.py")}
    listed = {_name(path) for path in COMPILED}
    bases = {
        f"{name}.{one.name}": _imported(modules[name]).get(ast.unparse(base), "")
        for name in listed
        for one in _classes(modules[name])
        for base in one.bases
    }
    assert bases["services.gateway.limiting.meters.Meter"] == "services.domain.sliding_window.Window"
    elsewhere = modules.keys() - listed
    assert {heir for heir, base in bases.items() if base.rpartition(".")[0] in elsewhere} == set()


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def _imported(module: ast.Module) -> dict[str, str]:
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _classes(module: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.ClassDef))


def _shapes(module: ast.Module) -> Iterator[str]:
    for one in _classes(module):
        if any("Struct" in ast.unparse(base) for base in one.bases):
            yield one.name


def _decoded(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Decoder", "decode", "convert")):
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield from (name.id for name in ast.walk(argument) if isinstance(name, ast.Name))
