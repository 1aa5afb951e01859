"""The 27 segments and the lead: what each code is called and what to do about it.

Units: a code is ``100*r + 10*f + m`` with digits 1..3, 3 = best; 0 is the lead (``000``)
"""

from __future__ import annotations

from typing import NamedTuple

LEAD = 0
SCHEME = "3best"
"""Which end of the digits is best; every command says so."""


class Segment(NamedTuple):
    """One cell of the R × F × M cube, in both languages of the product."""

    code: int
    key: str
    english: str
    russian: str
    action: str
    action_russian: str


_ROWS = (
    Segment(0, "lead", "Leads", "Лиды", "first visit", "первый визит"),
    Segment(
        333,
        "champions",
        "Champions",
        "Чемпионы",
        "perks, ask to refer; no discount",
        "привилегии, просьба порекомендовать; без скидки",
    ),
    Segment(
        332,
        "loyal",
        "Loyal regulars",
        "Лояльные постоянные",
        "package, higher service",
        "абонемент, услуга классом выше",
    ),
    Segment(
        331,
        "loyal_small",
        "Frequent, small check",
        "Частые с малым чеком",
        "add-ons",
        "дополнения к услуге",
    ),
    Segment(
        323,
        "rising_vip",
        "Rising VIPs",
        "Растущие VIP",
        "membership, pre-booked next visit",
        "клубная карта, следующая запись заранее",
    ),
    Segment(
        322,
        "core",
        "Active core",
        "Активное ядро",
        "book the next visit",
        "записать на следующий визит",
    ),
    Segment(
        321,
        "active_small",
        "Active, small check",
        "Активные с малым чеком",
        "one extra service",
        "одна дополнительная услуга",
    ),
    Segment(
        313,
        "new_big",
        "New big spenders",
        "Новые с крупным чеком",
        "manager's welcome",
        "приветствие управляющего",
    ),
    Segment(
        312,
        "new",
        "New customers",
        "Новички",
        "review request, second-visit offer",
        "просьба об отзыве, предложение на второй визит",
    ),
    Segment(
        311,
        "new_small",
        "New, small check",
        "Новички с малым чеком",
        "show other services",
        "показать другие услуги",
    ),
    Segment(
        233,
        "cooling_champions",
        "Cooling champions",
        "Остывающие чемпионы",
        "personal reminder, best slot",
        "личное напоминание, лучшее время",
    ),
    Segment(
        232,
        "cooling_loyal",
        "Cooling regulars",
        "Остывающие постоянные",
        "time to book",
        "пора записаться",
    ),
    Segment(
        231,
        "cooling_loyal_small",
        "Cooling frequent, small check",
        "Остывающие частые с малым чеком",
        "reminder and a bonus",
        "напоминание и бонус",
    ),
    Segment(
        223,
        "slowing_valuable",
        "Slowing valuables",
        "Ценные, замедляются",
        "offer on the favourite service",
        "предложение на любимую услугу",
    ),
    Segment(
        222,
        "attention",
        "Need attention",
        "Требуют внимания",
        "offer with a deadline",
        "предложение со сроком",
    ),
    Segment(
        221,
        "drifting_small",
        "Drifting, small check",
        "Уплывающие с малым чеком",
        "seasonal offer",
        "сезонное предложение",
    ),
    Segment(
        213,
        "one_big_cooling",
        "One big visit, cooling",
        "Разовые крупные, остывают",
        "call, gift for a second visit",
        "звонок, подарок за второй визит",
    ),
    Segment(
        212,
        "not_attached",
        "Not yet attached",
        "Не закрепившиеся",
        "second visit, with a deadline",
        "второй визит, со сроком",
    ),
    Segment(
        211,
        "casual_cooling",
        "Casual, cooling",
        "Случайные, остывают",
        "one nudge",
        "одно напоминание",
    ),
    Segment(
        133,
        "cant_lose",
        "Can't lose them",
        "Нельзя потерять",
        "owner's win-back",
        "личное возвращение от владельца",
    ),
    Segment(
        132,
        "lapsed_loyal",
        "Lapsed regulars",
        "Ушедшие постоянные",
        "two-step win-back",
        "возвращение в два шага",
    ),
    Segment(
        131,
        "lapsed_loyal_small",
        "Lapsed frequent, small check",
        "Ушедшие частые с малым чеком",
        "win-back with a bonus",
        "возвращение с бонусом",
    ),
    Segment(
        123,
        "lapsed_valuable",
        "Lapsed valuables",
        "Ушедшие ценные",
        "win-back on the favourite service",
        "возвращение на любимую услугу",
    ),
    Segment(122, "hibernating", "Hibernating", "Спящие", "reactivation", "реактивация"),
    Segment(
        121,
        "hibernating_small",
        "Hibernating, small check",
        "Спящие с малым чеком",
        "seasonal only",
        "только сезонное",
    ),
    Segment(
        113,
        "lost_big",
        "Lost one-time big",
        "Потерянные разовые крупные",
        "one strong offer",
        "одно сильное предложение",
    ),
    Segment(
        112,
        "lost_one_time",
        "Lost one-time",
        "Потерянные разовые",
        "a last offer, then silence",
        "последнее предложение, затем тишина",
    ),
    Segment(111, "lost", "Lost", "Потерянные", "once a quarter at most", "не чаще раза в квартал"),
)

SEGMENTS = {segment.code: segment for segment in _ROWS}
"""All 28 by code, the lead first, then from best to worst as domain tables list them."""

CODES = {f"{code:03}": code for code in SEGMENTS}
"""The code as a number, by its text: ``"133"`` → 133, ``"000"`` → 0."""


def code_text(code: int) -> str:
    """The three digits that outputs carry: 133 → ``"133"``, 0 → ``"000"``."""
    return f"{code:03}"
