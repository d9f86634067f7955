"""Holding PromQL against the metrics that the services really show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import promql_parser
from promql_parser import AggModifierType, AggregateExpr, BinaryExpr, Expr, VectorSelector


def problems(expression: str, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Say what is wrong with an expression: it cannot be parsed, or asks for what nobody shows."""
    try:
        parsed = promql_parser.parse(expression)
    except ValueError as error:
        yield f"cannot be parsed: {error}: {expression}"
        return
    selectors = [one for one in _walk(parsed) if isinstance(one, VectorSelector)]
    if not selectors:
        yield f"asks for no metric: {expression}"
    for selector in selectors:
        yield from _unknown(selector, known)
    for one in _walk(parsed):
        for label in _grouping(one):
            if not any(label in known.get(below.name or "", frozenset()) for below in _selectors(one)):
                yield f"groups by {label!r}, which nothing below it has: {one}"


def metrics_of(expression: str) -> set[str]:
    """Return the metrics that an expression asks for."""
    parsed = promql_parser.parse(expression)
    return {one.name for one in _walk(parsed) if isinstance(one, VectorSelector) and one.name}


def labels_of(expression: str, known: Mapping[str, frozenset[str]]) -> set[str]:
    """Return every label that a result of the expression could have: those it groups by, or any below."""
    parsed = promql_parser.parse(expression)
    grouped = {label for one in _walk(parsed) if isinstance(one, AggregateExpr) for label in _grouping(one)}
    matched = {
        matcher.name
        for one in _walk(parsed)
        if isinstance(one, VectorSelector)
        for matcher in one.matchers.matchers
    }
    if any(isinstance(one, AggregateExpr) for one in _walk(parsed)):
        return grouped | _added(parsed)
    return matched | {label for name in metrics_of(expression) for label in known[name]}


def _added(parsed: Expr) -> set[str]:
    calls = (one for one in _walk(parsed) if isinstance(one, promql_parser.Call))
    return {one.args[1].val for one in calls if one.func.name == "label_replace"}


def _unknown(selector: VectorSelector, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    labels = known.get(selector.name or "")
    if labels is None:
        yield f"nobody shows {selector.name}"
        return
    for matcher in selector.matchers.matchers:
        if matcher.name not in labels:
            yield f"{selector.name} has no label {matcher.name!r}"


def _grouping(one: Expr) -> list[str]:
    if isinstance(one, AggregateExpr) and one.modifier is not None:
        return list(one.modifier.labels) if one.modifier.type == AggModifierType.By else []
    if isinstance(one, BinaryExpr) and one.modifier is not None and one.modifier.matching is not None:
        return list(one.modifier.matching.labels)
    return []


def _selectors(parsed: Expr) -> list[VectorSelector]:
    return [one for one in _walk(parsed) if isinstance(one, VectorSelector)]


def _walk(parsed: Expr) -> list[Expr]:
    found: list[Expr] = []
    promql_parser.walk(parsed, found.append)
    return found
