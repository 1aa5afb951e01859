"""What every test starts from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """A command run in this process sets logging up for a stderr that is gone afterwards."""
    yield
    structlog.reset_defaults()
