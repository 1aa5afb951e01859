"""One module for each provider; this list is all that joins them to decode.

Each name that a record's envelope may give as ``provider``, and the module that reads it. A module
has ``WEBHOOKS`` (a ``TypedWebhook`` for each of its names, told apart by the tag), ``decode_body``
and ``Reader``; ``readers`` takes them from here.

``USUAL`` names those whose usual webhooks are also read straight into columns, for speed alone,
and the module that tells how; ``usual`` takes them from here.
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

USUAL: dict[str, str] = {
    "whatsapp": "whatsapp_usual",
    "yclients": "yclients_usual",
    "altegio": "yclients_usual",
}
