"""Replacing members of a JSON object in place: every byte that is not replaced stays as it is.

Clients mostly send compact JSON. Whether a document is, is found out by writing its members out again and
comparing: then writing them out with the changes is the splice, all of it at the speed of C. Any other
document is walked member by member along its top level; values are skipped, not parsed.

A name that occurs more than once means its last value, as it does to the parsers of Python, JavaScript and
Go. A change replaces every occurrence, so that no parser sees anything else.
"""

from __future__ import annotations

import re

import msgspec

Members = dict[str, msgspec.Raw]

open_object = msgspec.json.Decoder(Members).decode
"""Return the members of a JSON object, each value as it is spelled. Raises msgspec.DecodeError."""

_decode_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_name = re.compile(rb'[ \t\r\n]*("(?:[^"\\]++|\\.)*+")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL).match
_delimiter = re.compile(rb"[ \t\r\n]*([,}])").match
_scalar = re.compile(rb"[^ \t\r\n,}\]]+").match
_bracket_or_string = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL).finditer


def splice(document: bytes, members: Members, changes: Members) -> bytes:
    """Return the document with other values for some names; names it lacks are added at its end.

    ``members`` is what ``open_object`` made of the document.
    """
    if not changes:
        return document
    if _encode(members) == document:
        return _encode(members | changes)
    return _spliced_by_walking(document, members, changes)


def _spliced_by_walking(document: bytes, members: Members, changes: Members) -> bytes:
    parts: list[bytes | msgspec.Raw] = []
    kept, at = 0, document.index(b"{") + 1
    while (found := _name(document, at)) is not None:
        name = _decode_string(found[1])
        start = found.end()
        end = _end_of_value(document, start, members[name])
        change = changes.get(name)
        if change is not None:
            parts += document[kept:start], change
            kept = end
        delimiter = _delimiter(document, end)
        at = end if delimiter is None else delimiter.end()
    added = [b"%s:%s" % (_encode(name), value) for name, value in changes.items() if name not in members]
    if added:
        # Between the last value and the brace there is only white space, which stays where it is.
        last = len(document[: document.rindex(b"}")].rstrip(b" \t\r\n"))
        parts += document[kept:last], b"," if members else b"", b",".join(added)
        kept = last
    parts.append(document[kept:])
    return b"".join(parts)


def _end_of_value(document: bytes, start: int, value: msgspec.Raw) -> int:
    # The value that was read for this name is this one, unless the name occurs again further on.
    end = start + memoryview(value).nbytes
    if document.startswith(value, start) and _delimiter(document, end) is not None:
        return end
    return _scan_value(document, start)


def _scan_value(document: bytes, start: int) -> int:
    if document[start : start + 1] not in (b'"', b"{", b"["):
        scalar = _scalar(document, start)
        return start if scalar is None else scalar.end()
    depth = 0
    for token in _bracket_or_string(document, start):
        if token[0] in (b"{", b"["):
            depth += 1
        elif token[0] in (b"}", b"]"):
            depth -= 1
        if depth == 0:
            return token.end()
    return start
