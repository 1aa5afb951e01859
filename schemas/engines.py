"""Engines that the flow depends on, when they fail: one clear line, exit code 3."""

from __future__ import annotations


class EngineError(Exception):
    """An engine cannot be reached, or will not have this process; the message names it."""
