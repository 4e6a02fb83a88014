"""States as they were written at first can be read, and go on."""

import json
from datetime import timedelta
from struct import Struct

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import UserEvent
from streams.features import action, count, rate, session_count, session_duration_mean, total
from streams.fold import FeatureFold, compile_features
from streams.fold_state import UserState
from streams.listed_state import ListedState
from streams.windows import ListedTiles

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOUR_MS = 3_600_000
START = 1_704_067_200_000
BUY = action({"buy"}, name="buy")
DECLARED = (
    count(over=HOUR),
    count(BUY, over=7 * DAY),
    rate(BUY, over=7 * DAY),
    session_duration_mean(over=30 * DAY),
    count(over=timedelta(seconds=5_407)),
)
FOLD = compile_features(DECLARED, UserEvent)
WRITTEN = bytes.fromhex(
    "0000018cd473ad402fc645cf172c70949ecf0000018cd473ad40cf0000018cd473ad4094280ece0b43e9400993"
    "95909091279291279127cf0000018cd473ad4095dc0023ce00073908ce00073909ce0007390ace0007390bce00"
    "07390cce0007390dce0007390ece0007390fce00073910ce00073912ce00073913ce00073915ce00073917ce00"
    "073919ce0007391ace0007391dce0007391fce00073921ce00073923ce00073926ce00073928ce0007392bce00"
    "07392ece00073931ce00073934ce00073937ce0007393ace0007393ece00073941ce00073945ce00073949ce00"
    "07394dce00073950ce00073955ce00073959dc0023930101019301010493010102930000019300000193010101"
    "930000019300000193010101930000019300000193010101930000019300000193010101930000019300000193"
    "010101930000019300000193010101930000019300000193010101930000019300000193010101930000019300"
    "0001930101019300000193000001930101019300000193000001930d0d279193000000cf0000018cd48f248095"
    "94cd4d0bcd4d0ccd4d0dcd4d0e9492000092ce0365c0400592ce035c98800292ce048190800292ce0b43e94009"
    "91920000cf0000018cd6eb640090a27339cf0000018cd1c5080004909090909090"
)
"""Bytes that the first release wrote of forty events."""


class Sale(UserEvent, gc=False):
    amount: float | None = None
    ts: int  # as cleaning leaves it


SALES = st.lists(
    st.builds(
        Sale,
        user_id=st.just("u"),
        action=st.sampled_from(["buy", "view"]),
        ts=st.integers(0, 40 * 24).map(lambda hours: START + hours * HOUR_MS)
        | st.integers(START, START + 3 * HOUR_MS),
        session_id=st.sampled_from([None, "s1", "s2"]),
        amount=st.none() | st.integers(-5, 5).map(float) | st.just(1e14),
    ),
    max_size=25,
)


def written_at_first(fold: FeatureFold, state: UserState) -> bytes:
    """Write a state as the first release did."""
    tilings = fold._plan.tilings
    tiles = [
        ListedTiles(
            *tiling.packing.tiles(each.packed, each.ends[-1]),
            each.opened,
            each.behind,
            each.rolls_at_ms,
        )
        for tiling, each in zip(tilings, state.tiles, strict=True)
    ]
    fields = {name: getattr(state, name) for name in state.__struct_fields__}
    listed = ListedState(**{**fields, "tiles": tiles})
    header = Struct(">q8s").pack(state.last_ms, bytes.fromhex(fold.schema))
    try:
        return header + msgspec.msgpack.encode(listed)
    except OverflowError:
        return header + json.dumps(msgspec.to_builtins(listed)).encode()


def test_bytes_that_the_first_release_wrote_are_read() -> None:
    ada = FOLD.decode(WRITTEN)

    served = FOLD.update(ada, UserEvent("ada", "buy", START + 320_000_000, session_id="s10"))

    assert served == {
        "event_count_1h": 1.0,
        "buy_count_7d": 15.0,
        "buy_rate_7d": 15 / 41,
        "session_duration_mean_30d": 23_400.0,
        "event_count_5407s": 1.0,
    }
    assert len(FOLD.encode(ada)) < len(WRITTEN) * 2 / 3


@settings(deadline=None)
@given(SALES, SALES, st.booleans())
def test_whatever_happened_a_state_of_the_first_release_goes_on(before, after, more):
    """Under its own declarations and under others; with totals beyond 64 bits, too."""
    declared = (*DECLARED, total("amount", over=DAY))
    others = (session_count(over=DAY), *declared) if more else declared
    old, fold = compile_features(declared, Sale), compile_features(others, Sale)
    assert fold.adopt(old.schema, old.layout.encode())
    kept = old.new()
    for sale in before:
        old.update(kept, sale)

    restored = fold.decode(written_at_first(old, kept))

    names = [name for name in old.names if name in fold.names]
    for sale in after:
        expected, served = old.update(kept, sale), fold.update(restored, sale)
        assert {name: served[name] for name in names} == {name: expected[name] for name in names}
