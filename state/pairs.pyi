from collections.abc import Iterable

from state.index import Rows
from state.table import Table
from state.tables import Flags

def alike(names: Iterable[str], table: Table, rows: Rows, events: object, at: Rows) -> Flags: ...
def keep(names: Iterable[str], table: Table, rows: Rows, events: object, at: Rows) -> None: ...
