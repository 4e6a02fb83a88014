"""W3C Trace Context in the headers of a record: which trace it belongs to, and who caused it.

https://www.w3.org/TR/trace-context/: `traceparent` says it in one form for everybody, `tracestate`
what each tracing system has to add. Header names are lower-case, as OpenTelemetry writes them.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.cloudevents import Headers
from schemas.errors import InvalidTraceparent

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

LONGEST_TRACEPARENT: Final = 256
"""Bytes; 55 in the version we know. Later ones may have more to say, but not anything."""
LONGEST_TRACESTATE: Final = 512
"""Bytes that everybody should pass on; a longer one is shortened as the standard has it."""
_LARGE_MEMBER: Final = 128
"""Members of a `tracestate` that are longer are the first to go."""

_ODD: Final = b"13579bdf"
"""Last digits of flags that have the one for sampled, the lowest."""
_KNOWN_FLAGS: Final = 0b11
"""Sampled, and that the trace's id is random; others are unknown, and not ours to pass on."""
_FORMAT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?=\Z|-)"
)
_LENGTH: Final = 55


class TraceContext(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A valid `traceparent`, and the `tracestate` beside it.

    >>> context = TraceContext(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    >>> context.is_sampled, context.caused(by=1).traceparent
    (True, b'00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01')
    """

    traceparent: bytes
    tracestate: bytes = b""

    @property
    def is_sampled(self) -> bool:
        """Whether who wrote it may have recorded what it did."""
        return self.traceparent[_LENGTH - 1] in _ODD

    @property
    def flags(self) -> int:
        """Its flags, eight bits."""
        return int(self.traceparent[53:_LENGTH], 16)

    @property
    def trace_id(self) -> int:
        """Which trace it is, 128 bits."""
        return int(self.traceparent[3:35], 16)

    @property
    def parent_id(self) -> int:
        """Which span of the trace wrote it, 64 bits."""
        return int(self.traceparent[36:52], 16)

    def caused(self, *, by: int) -> "TraceContext":
        """Tell the context of what a span of ours causes, in the version that we know."""
        flags = self.flags & _KNOWN_FLAGS
        traceparent = b"00-%b-%016x-%02x" % (self.traceparent[3:35], by, flags)
        return TraceContext(traceparent, self.tracestate)

    def headers(self) -> Headers:
        """Write it as headers of a record."""
        headers = [(TRACEPARENT, self.traceparent)]
        if self.tracestate:
            headers.append((TRACESTATE, self.tracestate))
        return headers


def trace_context(headers: Sequence[tuple[str, object]]) -> TraceContext | None:
    """Find the trace context in the headers of a record; `None`: there is none.

    Of several `traceparent`s the last counts, as of all headers in Kafka; several `tracestate`s are
    one, in parts. What we do not pass on, nobody can be hurt by: neither is longer than said above.

    Raises
    ------
    InvalidTraceparent
        There is one, but not as the standard wants it: then there is none for us.

    Examples
    --------
    >>> parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    >>> trace_context([("traceparent", parent), ("tracestate", b"a=1"), ("tracestate", b"b=2")])
    TraceContext(traceparent=b'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
                 tracestate=b'a=1,b=2')
    >>> trace_context([("traceparent", parent[:-1])])
    Traceback (most recent call last):
    schemas.errors.InvalidTraceparent: no traceparent of W3C Trace Context
    """
    by_name = dict(headers)
    if TRACEPARENT not in by_name:
        return None
    traceparent = by_name[TRACEPARENT]
    if (
        not isinstance(traceparent, bytes)
        or _FORMAT.match(traceparent) is None
        or (n := len(traceparent)) > LONGEST_TRACEPARENT
        or (n > _LENGTH and traceparent.startswith(b"00-"))  # later versions alone have more to say
    ):
        raise InvalidTraceparent("no traceparent of W3C Trace Context")
    if TRACESTATE not in by_name:
        return TraceContext(traceparent)
    parts = [value for name, value in headers if name == TRACESTATE and isinstance(value, bytes)]
    return TraceContext(traceparent, shortened(b",".join(parts)))


def shortened(tracestate: bytes) -> bytes:
    """Leave out members of a `tracestate` that is too long: large ones first, then from the end.

    >>> shortened(b"a=1,b=" + b"x" * 200), shortened(b"a=1,b=" + b"x" * 600)
    (b'a=1,b=xxx...xxx', b'a=1')
    """
    if len(tracestate) <= LONGEST_TRACESTATE:
        return tracestate
    kept: list[bytes] = []
    room = LONGEST_TRACESTATE + 1  # there is a comma less than members
    for member in tracestate.split(b","):
        if len(member) <= _LARGE_MEMBER:
            room -= len(member) + 1
            if room < 0:
                break
            kept.append(member)
    return b",".join(kept)
