"""Asking for a variant by name: who may, what it does, and what it leaves out."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.domain.configuration import (
    CredentialConfig,
    ExperimentConfig,
    RouteConfig,
    VariantConfig,
)
from services.gateway.forcing import force
from services.gateway.rejections import ScopeMissing, UnknownVariant
from services.gateway.view import ServedRoute


def credential(*scopes: str) -> CredentialConfig:
    return CredentialConfig(version=(1, 1), key_hash="h", key_id="key_1", label="checks", scopes=scopes)


def served(share_bp: int) -> ServedRoute:
    canary = ExperimentConfig(
        experiment_id=UUID(int=7),
        key="canary",
        phase=1,
        salt="salt",
        control="old",
        treatment="new",
        treatment_share_bp=share_bp,
    )
    variants = {key: VariantConfig(key=key, endpoint_keys=("e",)) for key in ("old", "new")}
    route = RouteConfig(
        version=(1, 1), key="r", stable="old", variants=variants, allocation_version=5, experiment=canary
    )
    return ServedRoute(route)


@pytest.mark.parametrize("share_bp", [0, 9_999])
@pytest.mark.parametrize("key", ["old", "new"])
def test_the_named_variant_serves_whatever_the_split_says(share_bp: int, key: str) -> None:
    choice = force(key.encode(), served(share_bp), credential("force_variant"))
    assert choice.variant_key == key
    assert choice.assignments == ()
    assert choice.test is None
    assert b"x-headgate-forced: true\r\n" in choice.fields
    assert b"x-headgate-variant: %b\r\n" % key.encode() in choice.fields
    assert b"x-headgate-allocation: 5\r\n" in choice.fields
    assert b"x-headgate-experiment" not in choice.fields


def test_each_choice_is_made_once_and_nothing_is_kept_of_wrong_names() -> None:
    route = served(0)
    assert force(b"new", route, credential("force_variant")) is force(
        b"new", route, credential("force_variant")
    )
    for wrong in (b"", b"NEW", b"\xff", b"new "):
        with pytest.raises(UnknownVariant, match="it has new, old"):
            force(wrong, route, credential("force_variant"))
    assert set(route.choices._forced) == {"new"}


@pytest.mark.parametrize("scopes", [(), ("something_newer",)])
def test_without_the_scope_nothing_is_said_about_variants(scopes: tuple[str, ...]) -> None:
    for key in (b"new", b"no such variant"):
        with pytest.raises(ScopeMissing, match="force_variant") as refused:
            force(key, served(0), credential(*scopes))
        assert "new" not in str(refused.value)
        assert refused.value.http_status == 403
