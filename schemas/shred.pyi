from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.shapes import Plan

class Shredder:
    def __init__(self, plan: Plan) -> None: ...
    def shred(
        self, values: list[bytes], keys: list[bytes | None] | None, largest: int
    ) -> tuple[NDArray[np.bool_], dict[str, dict[str, Any]]]: ...
