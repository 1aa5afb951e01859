"""``flowsell run engagement`` of an older release: another fold version, and a smaller layout.

Takes: ``SNAPSHOT_SECONDS``
Out:   the flow's own behaviour, under what this module sets
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial

import flows.engagement
import flows.run
from flows.cli import run
from state import archive
from state.archive import Share
from state.table import Table

NOT_YET = {"crowds": None, "customers": "placed"}
"""Tables and columns that the older release did not have."""


def older(share: Share) -> Share:
    """What the older release would have written of a table."""
    missing = NOT_YET.get(share.table)
    return share._replace(
        columns={name: told for name, told in share.columns.items() if name != missing}
    )


def main() -> None:
    """Run the older flow."""
    take = archive.take

    def older_take(tables: Mapping[str, Table], *, everything: bool) -> list[Share]:
        shares = take(tables, everything=everything)
        return [older(share) for share in shares if NOT_YET.get(share.table, "") is not None]

    archive.take = older_take
    flows.engagement.FOLD_VERSION = 1
    flows.run.Cadence = partial(flows.run.Cadence, float(sys.argv[1]))  # type: ignore[assignment,misc]
    sys.exit(run(["run", "engagement"]))


if __name__ == "__main__":
    main()
