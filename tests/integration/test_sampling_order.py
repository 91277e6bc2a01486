"""Who comes first: an arc of the circle of keys, and which files hold it."""

from hypothesis import example, given
from hypothesis import strategies as st

from integration.sampling_order import Arc, hash_bound, start_of

CIRCLE = 1 << 128
keys = st.integers(0, CIRCLE - 1)


def place_of(key, seed):
    """As steps/users.sql gives it."""
    return f"{int(f'{key:032x}' < start_of(seed))}{key:032x}"


@given(seed=st.integers(0, 99), share=st.floats(0, 1.5), key=keys)
@example(seed=0, share=1.0, key=int(start_of(0), 16) - 1)
@example(seed=0, share=0.0, key=int(start_of(0), 16))
def test_a_key_lies_in_an_arc_if_its_place_comes_before_the_bound(seed, share, key):
    """The distance from the start, counted around the circle, is what decides."""
    arc = Arc.of(seed, share)

    assert ((key - arc.start) % CIRCLE < arc.length) == (place_of(key, seed) < arc.bound)


@given(start=keys, share=st.floats(0, 1), bits=st.integers(0, 8), key=keys)
@example(start=CIRCLE - 1, share=2**-120, bits=3, key=0)
@example(start=1 << 127, share=1.0, bits=1, key=5)
def test_the_part_of_a_key_in_an_arc_is_touched(start, share, bits, key):
    """Parts are in the order of keys; what is not touched holds nobody who is drawn."""
    arc = Arc(start, int(share * CIRCLE))
    touched = [part for part in range(1 << bits) if arc.touches(part, 1 << bits)]

    if (key - arc.start) % CIRCLE < arc.length:
        assert key >> (128 - bits) in touched
    assert len(touched) <= share * (1 << bits) + 2


@given(first=keys, second=keys, seed=st.integers(0, 99))
def test_places_are_in_the_order_of_the_circle(first, second, seed):
    """From the start on, and around."""
    start = int(start_of(seed), 16)

    assert (place_of(first, seed) < place_of(second, seed)) == ((first - start) % CIRCLE < (second - start) % CIRCLE)


def test_a_share_of_all_hashes_comes_before_its_bound():
    """Half of them begin with a digit below 8; of all, none is left out."""
    assert ("8" + 15 * "0", "g") == (hash_bound(0.5), hash_bound(1.0))
