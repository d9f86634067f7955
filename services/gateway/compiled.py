"""Whether the hot modules run compiled: in wheels built beside a C compiler they do, in a checkout never.

See docs/decisions/0017-compiled-gateway.md.
"""

from __future__ import annotations

from services.gateway import serving

COMPILED = not serving.__file__.endswith(".py")
