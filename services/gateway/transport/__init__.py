"""The gateway's own pooled HTTP/1.1 client, on asyncio's protocols and httptools' parser.

Why it is ours: relaying is what the gateway exists for, and a general client takes most of the processor
time of a relayed request (``benchmarks/transport.py`` measures it). This one does one thing, POST with a body
that is there, so it needs no tasks, no sessions, no cookies, no redirects, no compression, and one timer per
connection rather than several per request. aiohttp stays the oracle: the tests run the same hostile servers
against both and compare (docs/decisions/0008-own-upstream-transport.md).

    client       PooledUpstream: the interface, and the one retry
    pool         connections that wait for their next request
    connector    from an origin to a connection: addresses, dialling, proxies, tunnel, tls
    connection   one socket's life: writing, deadlines (alarm), backpressure, reuse
    response     one answer being parsed and read
    heads        the bytes before a request's body
    limits       every bound, with its value
"""
