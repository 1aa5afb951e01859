"""Words by which people end or begin being written to.

Takes: what they write
Out:   whether it is one of the words
Source: domain.md's consent
"""

from __future__ import annotations

STOP = {
    *("stop", "стоп", "отписаться", "тоқтату", "unsubscribe", "отпишите меня", "не пишите"),
    *("arret", "arrêt"),
    *("alto", "sair", "stopp", "dur", "rezygnuję"),
}
START = {"start", "старт", "подписаться", "бастау", "subscribe"}


def plain(text: str) -> str:
    """Lower-case words of letters and digits, without what stands between them."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
