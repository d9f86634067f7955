"""OpenTelemetry, where an exporter is configured: traces and metrics by the GenAI semantic conventions.

Nothing of the SDK is imported, and nothing runs for a request, unless the environment asks for it.
docs/telemetry.md says what is exported.
"""
