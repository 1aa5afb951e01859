"""Tell which provider's reader a webhook is for, and decode it as that reader wants it.

Takes: the bytes of a record, or the body of a webhook alone
Out:   typed webhooks; the readers of one batch, made where they are first needed
Errors: ``UNREADABLE`` where a record is no webhook, or one whose body is not as its provider
       documents it; a webhook of a provider without a reader is refused by ``Stranger``

Which providers there are is told in one place, ``schemas.webhooks.MODULES``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from importlib import import_module
from operator import or_
from typing import Any, Protocol

import msgspec

from schemas.record import TypedWebhook, Webhook
from schemas.webhooks import MODULES
from schemas.webhooks.findings import Findings
from schemas.webhooks.forms import unwrapped


class Reader(Protocol):
    """Turns a provider's webhooks into events, one by one, and adds them to the findings."""

    def read(self, record: int, webhook: Any) -> None:
        """One that could be read in one pass; ``record`` is its place in the batch."""

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One that could not be read in one pass; its body need not be at fault."""

    def finish(self) -> None:
        """Adds everything that was read."""


_MODULES = {
    provider: import_module(f"{__package__}.{module}") for provider, module in MODULES.items()
}

READERS: dict[str, Callable[[str, Findings], Reader]] = {
    provider: module.Reader for provider, module in _MODULES.items()
}

BODIES: dict[str, Callable[[Any], object]] = {
    provider: module.decode_body for provider, module in _MODULES.items()
}

PROVIDER_OF: dict[type, str] = {
    kind: str(kind.__struct_config__.tag)
    for module in dict.fromkeys(_MODULES.values())
    for kind in module.WEBHOOKS
}

decode_webhook: Callable[[bytes], TypedWebhook] = msgspec.json.Decoder(
    reduce(or_, PROVIDER_OF), strict=False
).decode
"""Envelope and body in one pass, which skips over the body once less; most records take it."""


class Readers(dict[str, Reader]):
    """The readers of one lane's share by provider, made where they are first needed."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings = findings

    def __missing__(self, provider: str) -> Reader:
        self[provider] = reader = READERS.get(provider, Stranger)(provider, self.findings)
        return reader

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """A webhook of which only the envelope is decoded; its body may be wrapped in a text."""
        if bytes(webhook.body)[:1] == b'"':
            webhook.body = unwrapped(webhook.body)
        self[webhook.provider].read_raw(record, webhook)


class Stranger:
    """Refuses the webhooks of a provider that has no reader."""

    def __init__(self, _: str, findings: Findings) -> None:
        self.findings = findings

    def read(self, record: int, _: object) -> None:
        """Refuses it."""
        self.findings.refuse(record, "provider", "provider: unknown")

    read_raw = read

    def finish(self) -> None:
        """Has nothing to add."""
