import numpy as np
from numpy.typing import NDArray

from operators.features import Features
from schemas.batch import I4, I8
from state.index import Rows
from state.tenants import Tenants

def segment_codes(
    rules: Tenants, tenants: Rows, features: Features, today: I4
) -> NDArray[np.int16]: ...
def next_day(rules: Tenants, tenants: Rows, features: Features, today: I4) -> I8: ...
