"""Tell which provider's reader a webhook is for, and decode it as that reader wants it.

Takes: the bytes of a record, or the body of a webhook alone
Out:   typed webhooks; the readers of one batch, made where they are first needed
Errors: ``UNREADABLE`` where a record is no webhook, or one whose body is not as its provider
       documents it; a webhook of a provider without a reader is refused by ``Stranger``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, get_args

import msgspec

from schemas.record import PROVIDERS, Webhook
from schemas.webhooks import generic, whatsapp, yclients
from schemas.webhooks.findings import Findings


class Reader(Protocol):
    """Turns a provider's webhooks into events, one by one, and adds them to the findings."""

    def read(self, record: int, webhook: Any) -> None:
        """One of ``ReadableWebhook``; ``record`` is its place in the batch."""

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One that could not be read in one pass; its body need not be at fault."""

    def finish(self) -> None:
        """Adds everything that was read."""


READERS: dict[str, Callable[[str, Findings], Reader]] = {
    "yclients": yclients.Reader,
    "altegio": yclients.Reader,
    "whatsapp": whatsapp.Reader,
    "generic": generic.Reader,
}

BODIES: dict[str, Callable[[Any], object]] = {
    "yclients": yclients.decode_body,
    "altegio": yclients.decode_body,
    "whatsapp": whatsapp.decode_body,
    "generic": generic.decode_body,
}

ReadableWebhook = (
    whatsapp.WhatsappWebhook
    | yclients.YclientsWebhook
    | yclients.AltegioWebhook
    | generic.GenericWebhook
)

decode_webhook = msgspec.json.Decoder(ReadableWebhook, strict=False).decode
"""Envelope and body in one pass, which skips over the body once less; most records take it."""

PROVIDER_OF: dict[type, str] = {
    kind: str(kind.__struct_config__.tag) for kind in get_args(ReadableWebhook)
}


class Readers(dict[str, Reader]):
    """The readers of one lane's share by provider, made where they are first needed."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings = findings

    def __missing__(self, provider: str) -> Reader:
        self[provider] = reader = READERS.get(provider, Stranger)(provider, self.findings)
        return reader


class Readings(dict[type, Callable[[int, Any], None]]):
    """What reads each type of ``ReadableWebhook``, at hand for the loop over all records."""

    def __init__(self, readers: Readers) -> None:
        super().__init__()
        self.readers = readers

    def __missing__(self, kind: type) -> Callable[[int, Any], None]:
        self[kind] = read = self.readers[PROVIDER_OF[kind]].read
        return read


class Stranger:
    """Refuses the webhooks of a provider that has no reader."""

    def __init__(self, provider: str, findings: Findings) -> None:
        known = provider in PROVIDERS
        self.message = (
            f"provider: {provider} is not supported yet" if known else "provider: unknown"
        )
        self.findings = findings

    def read(self, record: int, _: object) -> None:
        """Refuses it."""
        self.findings.refuse(record, "provider", self.message)

    read_raw = read

    def finish(self) -> None:
        """Has nothing to add."""
