"""Entity tags without a server."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.etags import Resource, check_match
from services.domain.errors import PreconditionFailed


class Thing(Resource):
    volatile: ClassVar[frozenset[str]] = frozenset({"seen"})

    name: str
    share: float
    seen: int = 0


PRESENT = Thing(name="a", share=0.05)


@given(st.text(), st.floats(0, 1), st.integers())
def test_the_tag_is_of_what_lasts(name: str, share: float, seen: int) -> None:
    one, other = Thing(name=name, share=share), Thing(name=name, share=share, seen=seen)

    assert one.tag == other.tag
    assert one.tag != Thing(name=name + "x", share=share).tag
    assert one.tag[0] == one.tag[-1] == '"'


@pytest.mark.parametrize("if_match", ["*", " * ", PRESENT.tag, f'"x", {PRESENT.tag}', f'W/"x",{PRESENT.tag}'])
def test_what_matches(if_match: str) -> None:
    check_match(if_match, PRESENT)


@pytest.mark.parametrize("if_match", ["", '"x"', f"W/{PRESENT.tag}", PRESENT.tag.strip('"'), '"*"'])
def test_what_does_not_match(if_match: str) -> None:
    with pytest.raises(PreconditionFailed, match="GET it again"):
        check_match(if_match, PRESENT)
