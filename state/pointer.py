"""What is committed beside C: under which rules it was folded, and the digest of all below it.

Takes: the text that a commit carries as metadata
Out:   ``Pointer``, or why a start from it is refused
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_ALWAYS_THE_SAME = ("id_key", "lanes")
"""Under another of these the state and the log no longer belong together."""


class Pointer(msgspec.Struct, frozen=True):
    """Metadata of a committed position."""

    fingerprint: dict[str, object]
    digest: str


def pointer_text(fingerprint: Mapping[str, object], digest: int) -> str:
    """The metadata of one lane's committed position."""
    return msgspec.json.encode(Pointer(dict(fingerprint), f"{digest:016x}")).decode()


def read_pointer(text: str | None) -> Pointer | None:
    """The metadata read back; ``None`` where a commit by another tool left none that is ours."""
    try:
        return msgspec.json.decode(text or "null", type=Pointer | None)
    except msgspec.MsgspecError:
        return None


def difference(found: Mapping[str, object], own: Mapping[str, object], is_drained: bool) -> str:
    """Why a start under ``own`` from a commit under ``found`` is refused; empty if it is not.

    ``is_drained``: the snapshot stands at C, so that nothing has to be folded a second time.
    """
    for name in own:
        if name in found and found[name] != own[name] and (name in _ALWAYS_THE_SAME):
            return f"it was committed under another {name}, with which it cannot be continued"
    for name in own:
        if name in found and found[name] != own[name] and not is_drained:
            return (
                f"it was committed by {name} {found[name]}, this is {own[name]}; "
                "stop the old version with SIGTERM first, so that its snapshot reaches the commit"
            )
    return ""
