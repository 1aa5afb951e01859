"""Codes with which a message fails because its phone cannot be reached, whoever tells them.

Takes: nothing; receipts of our senders repeat the code of the gateway that they use
Source: WhatsApp Cloud API error codes. 131026 says that the number is not on WhatsApp, or cannot
        take the message. Limits (130429, 131056) and Meta's own choice (131049) say nothing of it
"""

from __future__ import annotations

UNREACHABLE = (131026,)
"""Error codes of failed statuses; a gateway without codes tells of no unreachable phone."""
