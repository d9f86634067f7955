"""What the simulated provider understands of a request, whichever surface it comes to."""

from __future__ import annotations

from typing import Any

import msgspec

from services.demo.provider_behaviour import Fault

_NOTHING = msgspec.Raw(b"")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class ProviderRequest(msgspec.Struct):
    """A request; fields of all surfaces side by side."""

    model: str = ""
    messages: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    prompt: msgspec.Raw = _NOTHING
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    metadata: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    encoding_format: str | None = None
    dimensions: int | None = None

    @property
    def prompt_bytes(self) -> int:
        """The size of what was asked, which its price follows."""
        return max(len(bytes(part)) for part in (self.messages, self.input, self.prompt))

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage is True

    @property
    def wanted_schema(self) -> dict[str, Any] | None:
        """The JSON schema that the answer must follow."""
        if self.response_format is not None and "json_schema" in self.response_format:
            schema: dict[str, Any] = self.response_format["json_schema"]["schema"]
            return schema
        if self.text is not None and "schema" in self.text.get("format", {}):
            inside: dict[str, Any] = self.text["format"]["schema"]
            return inside
        return None

    @property
    def wanted_tool(self) -> dict[str, Any] | None:
        """The function that must be called: its name and its parameters."""
        if not self.tools or self.tool_choice in (None, "none", "auto"):
            return None
        tool = self.tools[0]
        function: dict[str, Any] = tool.get("function", tool)
        return function

    def wanted_fault(self, header: bytes | None) -> Fault | None:
        """Return the fault that was asked for. Raises ValueError where there is no such fault."""
        if header:
            return Fault(header.decode("latin-1"))
        wanted = None if self.metadata is None else self.metadata.get("sim_fault")
        return None if wanted is None else Fault(wanted)


decode_request = msgspec.json.Decoder(ProviderRequest).decode
