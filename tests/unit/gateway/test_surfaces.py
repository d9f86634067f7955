"""Paths, and what they ask for."""

from __future__ import annotations

import pytest

from services.gateway.surfaces import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    RESPONSES,
    Call,
    called_by,
    model_asked_for,
)


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/chat/completions", Call(CHAT)),
        ("/v1/completions", Call(COMPLETIONS)),
        ("/v1/embeddings", Call(EMBEDDINGS)),
        ("/v1/responses", Call(RESPONSES)),
        ("/openai/v1/chat/completions", Call(CHAT)),
        ("/openai/v1/responses", Call(RESPONSES)),
        ("/openai/responses", Call(RESPONSES)),
        ("/openai/deployments/support/chat/completions", Call(CHAT, "support")),
        ("/openai/deployments/team/a:b/completions", Call(COMPLETIONS, "team/a:b")),
        ("/openai/deployments/support/embeddings", Call(EMBEDDINGS, "support")),
        ("/openai/deployments/support/responses", None),
        ("/openai/deployments/chat/completions", Call(COMPLETIONS, "chat")),
        ("/openai/deployments//completions", None),
        ("/openai/deployments/completions", None),
        ("/openai/chat/completions", None),
        ("/v1/chat/completions/", None),
        ("/v1/files", None),
        ("/", None),
    ],
)
def test_paths(path: str, call: Call | None) -> None:
    assert called_by(path) == call


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/models", ""),
        ("/openai/models", ""),
        ("/openai/v1/models/team/a:b", "team/a:b"),
        ("/v1/models/", ""),
        ("/v1/modelsx", None),
        ("/v1/chat/completions", None),
    ],
)
def test_models(path: str, model: str | None) -> None:
    assert model_asked_for(path) == model
