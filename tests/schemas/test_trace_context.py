"""What W3C Trace Context says of its two headers, held against its text word by word."""

from hypothesis import assume, example, given
from hypothesis import strategies as st

from schemas.errors import InvalidTraceparent
from schemas.trace_context import (
    LONGEST_TRACEPARENT,
    LONGEST_TRACESTATE,
    TraceContext,
    shortened,
    trace_context,
)

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEX = "0123456789abcdef"


def hexes(n: int):
    return st.text(HEX, min_size=n, max_size=n)


@st.composite
def valid(draw) -> bytes:
    version = draw(st.sampled_from(["00", "01", "fe"]))
    trace_id, parent_id = draw(hexes(32)), draw(hexes(16))
    more = "" if version == "00" else draw(st.sampled_from(["", "-", "-more"]))
    assume(set(trace_id) != {"0"} and set(parent_id) != {"0"})
    return f"{version}-{trace_id}-{parent_id}-{draw(hexes(2))}{more}".encode()


@st.composite
def nearly_valid(draw) -> bytes:
    """A `traceparent`, perhaps with a few characters replaced, put in or left out."""
    version = draw(st.sampled_from(["00", "00", "01", "cc", "fe", "ff"]))
    trace_id = draw(hexes(32) | st.just("0" * 32))
    parent_id = draw(hexes(16) | st.just("0" * 16))
    tail = draw(st.sampled_from(["", "", "-", "-what-the-future-will-be-like", ".", "\n", "0"]))
    written = list(f"{version}-{trace_id}-{parent_id}-{draw(hexes(2))}{tail}")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(written)))
        written[at : at + draw(st.integers(0, 1))] = draw(st.sampled_from(["", "-", "A", "g", " "]))
    return "".join(written).encode()


def is_valid(traceparent: bytes) -> bool:
    """Go by the text of the standard, field by field."""
    version, *fields = traceparent.decode("latin-1").split("-")
    if len(version) != 2 or not set(version) <= set(HEX) or version == "ff" or len(fields) < 3:
        return False
    if version == "00" and len(fields) != 3:
        return False
    trace_id, parent_id, flags = fields[:3]
    return (
        all(set(field) <= set(HEX) for field in fields[:3])
        and (len(trace_id), len(parent_id), len(flags)) == (32, 16, 2)
        and set(trace_id) != {"0"}
        and set(parent_id) != {"0"}
    )


@given(nearly_valid() | valid())
@example(TRACE)
@example(TRACE + b"\n")
@example(b"01" + TRACE[2:] + b"\n")
@example(b"")
def test_what_the_standard_takes_is_taken_and_nothing_else(traceparent):
    try:
        found = trace_context([("traceparent", traceparent)])
    except InvalidTraceparent:
        assert not is_valid(traceparent)
    else:
        assert is_valid(traceparent)
        assert found == TraceContext(traceparent)  # unmodified, whatever its version says


@given(valid(), st.integers(1, 2**64 - 1))
def test_what_we_cause_is_of_the_same_trace_and_as_sampled(traceparent, span_id):
    cause = TraceContext(traceparent, b"a=1")
    caused = trace_context(cause.caused(by=span_id).headers())

    assert caused is not None
    assert len(caused.traceparent) == len(TRACE)
    assert caused.traceparent.startswith(b"00-")
    assert (caused.trace_id, caused.is_sampled) == (cause.trace_id, cause.is_sampled)
    assert (caused.parent_id, caused.tracestate) == (span_id, b"a=1")
    assert caused.flags == cause.flags & 0b11  # the others are not known, and to be zero


@given(
    st.lists(st.integers(0, 200).map(lambda n: b"k=" + b"v" * n), max_size=40).map(b",".join),
)
@example(b"," * 1_000_000)
def test_a_tracestate_loses_no_more_than_the_standard_has_it_lose(tracestate):
    kept = shortened(tracestate)
    if len(tracestate) <= LONGEST_TRACESTATE:
        assert kept == tracestate
        return
    small = [member for member in tracestate.split(b",") if len(member) <= 128]
    n = len(kept.split(b",")) if kept else 0

    assert len(kept) <= LONGEST_TRACESTATE
    assert kept == b",".join(small[:n])
    assert n == len(small) or len(b",".join(small[: n + 1])) > LONGEST_TRACESTATE


def test_of_several_headers_the_last_parent_counts_and_all_states():
    other = TRACE[:-1] + b"0"
    headers = [
        ("traceparent", b"garbage"),
        ("tracestate", b"a=1"),
        *((f"x-{n}", b"?") for n in range(1_000)),
        ("tracestate", None),
        ("traceparent", other),
        ("tracestate", b"b=2"),
    ]

    assert trace_context(headers) == TraceContext(other, b"a=1,b=2")


def test_a_state_without_a_parent_is_nobodys():
    assert trace_context([("tracestate", b"a=1"), ("Traceparent", TRACE)]) is None


def test_a_parent_of_a_later_version_is_passed_on_but_not_however_long_it_is():
    later = b"01" + TRACE[2:] + b"-" + b"x" * LONGEST_TRACEPARENT
    longest = later[:LONGEST_TRACEPARENT]

    assert trace_context([("traceparent", longest)]) == TraceContext(longest)
    for bad in (later, None, "text"):
        try:
            found: object = trace_context([("traceparent", bad)])
        except InvalidTraceparent:
            found = InvalidTraceparent
        assert found is InvalidTraceparent
