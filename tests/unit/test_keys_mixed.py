"""Keys are mixed alike with a compiler and without."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import keys

pytest.importorskip("schemas.mixing", reason="nothing is compiled here")

_NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 3)


@settings(deadline=None)
@given(st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1))
def test_compiled_keys_are_those_of_numpy(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(column, np.uint64) for column in zip(*pairs, strict=True))
    for left, right in ((a, b), (a, b[:1]), (a[:1], b), (a[::2], b[::2])):
        mixed = keys.mix(left, right), keys.row_keys(left, right)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keys, "_IS_COMPILED", False)
            plain = keys.mix(left, right), keys.row_keys(left, right)
        for found, expected in zip(mixed, plain, strict=True):
            assert found.dtype == expected.dtype
            assert found.tolist() == expected.tolist()
