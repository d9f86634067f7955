"""YAML as a person would write it: keys in their order, long texts as blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from services.cli.files.scalars import RESOLVERS

_MADE_SPACES = frozenset("\x85\u2028\u2029")
"""Line breaks to YAML 1.1, which come back as spaces unless they are escaped."""


class _Writer(yaml.SafeDumper):
    """A dumper whose lists are indented, as people indent them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def _string(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    if not _MADE_SPACES.isdisjoint(value):
        style = '"'
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Writer.add_representer(str, _string)
for _tag, _pattern, _first in RESOLVERS:  # quotes what any version of YAML would take for something else
    _Writer.add_implicit_resolver(_tag, _pattern, _first)
_Writer.ignore_aliases = lambda *_: True  # type: ignore[method-assign] # people read aliases as noise


def as_yaml(value: Any) -> str:
    """Return one value as YAML."""
    return yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100)


def as_documents(values: Iterable[Any]) -> str:
    """Return several values as documents of one file."""
    return "---\n".join(as_yaml(value) for value in values)
