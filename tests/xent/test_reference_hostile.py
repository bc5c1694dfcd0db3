"""Every result of the oracle where inputs are hostile: it never raises, it is the exact number or the limit rounded
once, and no zero is -0.
"""

from __future__ import annotations

import warnings

from hostile_calls import calls
from hypothesis import given, settings
from second_oracle import Drawn, compared, expected, parts


@settings(max_examples=600, deadline=None)
@given(calls())
def test_every_result_of_a_hostile_call(case: Drawn) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probabilities outside [0, 1] (S7)
        wanted = expected(case, parts(case))
        for part in parts(case):
            compared(case, part, wanted[part], "drawn")
