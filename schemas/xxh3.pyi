from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

def text_keys(texts: Sequence[str] | NDArray[np.object_]) -> NDArray[np.int64]: ...
def mixed(a: NDArray[np.uint64], b: NDArray[np.uint64], least: int) -> NDArray[np.uint64]: ...
