"""TLS towards providers: certificates are verified against the system's store, or SSL_CERT_FILE's."""

from __future__ import annotations

import ssl


def client_context() -> ssl.SSLContext:
    """Return the context all connections share. OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
