"""The callers' side: HTTP/1.1 on asyncio's protocols and httptools, made for relaying.

    server      accepts connections, keeps the time, drains them at a stop
    connection  one caller's connection: whose turn it is, answers to bytes, backpressure both ways
    reading     bytes to requests, within bounds
    turn        one request and its answer, as whoever serves it sees them
    work        runs the coroutine that serves a request, without a task
    heads       the bytes of an answer's head
    refusals    what is answered to what is no request
    limits      every bound

docs/decisions/0009-own-server-side.md tells why the gateway has its own.
"""
