"""Entity tags: what a caller has seen of a resource, to be sent back as ``If-Match`` with a change of it.

A tag is the hash of the resource as it is shown, without what changes by itself (``volatile``), so that it
stays the same until somebody or something changes the resource.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel

from services.domain.errors import PreconditionFailed

_TAGS = re.compile(r'(W/)?("[^"]*")')


class Resource(BaseModel):
    """What is shown of a thing with an address of its own: its answers carry an ``ETag``."""

    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields that belong to something else, or that move while nobody changes the resource."""

    @classmethod
    def tag_of(cls, shown: Mapping[str, Any]) -> str:
        """Return the tag of the resource as it is shown in JSON."""
        lasting = {name: value for name, value in shown.items() if name not in cls.volatile}
        text = json.dumps(lasting, sort_keys=True, separators=(",", ":"))
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'

    @property
    def tag(self) -> str:
        """The resource's tag."""
        return self.tag_of(self.model_dump(mode="json"))


def check_match(if_match: str, present: Resource) -> None:
    """Raise PreconditionFailed where ``If-Match`` names other states than the present one."""
    if if_match.strip() == "*" or present.tag in _strong_tags(if_match):
        return
    raise PreconditionFailed(
        "it is not as you have seen it: somebody changed it since, and nothing of this request was done; "
        "GET it again, see what is different, and send the change with the new ETag as If-Match"
    )


def _strong_tags(if_match: str) -> list[str]:
    return [tag for weak, tag in _TAGS.findall(if_match) if not weak]
