"""One module for each provider; this list is all that joins them to decode.

Each name that a record's envelope may give as ``provider``, and the module that reads it. A module
has ``WEBHOOKS`` (a ``TypedWebhook`` for each of its names, told apart by the tag), ``decode_body``
and ``Reader``; ``readers`` takes them from here.
"""

MODULES: dict[str, str] = {
    "yclients": "yclients",
    "altegio": "yclients",
    "whatsapp": "whatsapp",
    "wazzup": "wazzup",
    "greenapi": "greenapi",
    "iiko": "iiko",
    "generic": "generic",
}
