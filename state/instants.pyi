from collections.abc import Sequence

from state.index import I8, Rows
from state.tables import Customers

def offsets(table: I8, offset_ms: I8, zones: Rows, times: I8, bits: int, base: int) -> I8: ...
def refresh(
    customers: Customers, names: Sequence[str], rows: Rows, least: I8, shift: int
) -> None: ...
