"""What synthetic businesses are made of: places, verticals, names, ways to write a phone.

Takes: nothing; tables of constants and pure functions of a random generator
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Place(NamedTuple):
    """A country and zone in which a business may be."""

    country: str
    zone: str
    currency: str
    locale: str
    dial: str
    prefixes: tuple[str, ...]
    digits: int
    """Digits of a mobile number after the prefix."""
    price: float
    """Major units of the currency for one rouble of the verticals' checks."""


_RU = ("903", "905", "909", "911", "916", "921", "926", "963", "977", "985", "999")
_KZ = ("701", "702", "705", "707", "747", "771", "775", "776", "777", "778")

PLACES = (
    Place("KZ", "Asia/Almaty", "KZT", "ru", "7", _KZ, 7, 5.5),
    Place("RU", "Europe/Moscow", "RUB", "ru", "7", _RU, 7, 1.0),
    Place("RU", "Asia/Yekaterinburg", "RUB", "ru", "7", _RU, 7, 0.8),
    Place("DE", "Europe/Berlin", "EUR", "de", "49", ("151", "152", "157", "176"), 8, 0.016),
    Place("KZ", "Asia/Almaty", "KZT", "kk", "7", _KZ, 7, 5.0),
    Place("RU", "Europe/Moscow", "RUB", "ru", "7", _RU, 7, 1.2),
    Place("US", "America/New_York", "USD", "en", "1", ("212", "415", "646", "917"), 7, 0.02),
    Place("RU", "Asia/Novosibirsk", "RUB", "ru", "7", _RU, 7, 0.8),
    Place("KZ", "Asia/Almaty", "KZT", "ru", "7", _KZ, 7, 4.5),
    Place("RU", "Europe/Moscow", "RUB", "ru", "7", _RU, 7, 0.9),
    Place("UZ", "Asia/Tashkent", "UZS", "ru", "998", ("90", "91", "93", "94", "97"), 7, 140.0),
)


class Service(NamedTuple):
    """What a visit is for; ``weight`` scales the vertical's check."""

    title: str
    english: str
    minutes: int
    weight: float


class Vertical(NamedTuple):
    """A kind of business: what it sells, when it is open, how often people come."""

    preset: str
    services: tuple[Service, ...]
    positions: tuple[str, ...]
    check: int
    """An ordinary visit, in roubles."""
    rhythm: float
    """Days between visits of a regular customer."""
    course: tuple[int, int, float]
    """Fewest and most visits of an intense course, and the days between them."""
    opens: int
    closes: int
    crowd: float
    """How many customers such a business has, relative to the others."""
    traffic: float
    """How many webhooks a customer of it causes, relative to the others."""


VERTICALS = (
    Vertical(
        "beauty_hair_cosmetology",
        (
            Service("Стрижка женская", "Haircut", 60, 0.7),
            Service("Окрашивание", "Colouring", 150, 1.8),
            Service("Укладка", "Styling", 45, 0.5),
            Service("Чистка лица", "Facial cleansing", 90, 1.1),
            Service("Пилинг", "Peeling", 60, 0.9),
        ),
        ("Стилист", "Косметолог", "Парикмахер"),
        3500,
        40.0,
        (6, 10, 6.0),
        9,
        20,
        1.0,
        1.0,
    ),
    Vertical(
        "beauty_nails_brows",
        (
            Service("Маникюр с покрытием", "Manicure", 90, 1.0),
            Service("Педикюр", "Pedicure", 90, 1.2),
            Service("Коррекция бровей", "Brow shaping", 30, 0.5),
            Service("Ламинирование ресниц", "Lash lamination", 75, 1.1),
        ),
        ("Мастер маникюра", "Бровист"),
        2200,
        23.0,
        (8, 11, 5.0),
        10,
        21,
        1.0,
        1.0,
    ),
    Vertical(
        "restaurant",
        (
            Service("Ужин", "Dinner", 120, 1.3),
            Service("Бизнес-ланч", "Business lunch", 60, 0.4),
            Service("Банкет", "Banquet", 240, 4.0),
        ),
        ("Официант", "Менеджер зала"),
        2600,
        17.0,
        (6, 12, 5.0),
        12,
        23,
        1.2,
        1.0,
    ),
    Vertical(
        "medical",
        (
            Service("Приём терапевта", "General consultation", 30, 0.7),
            Service("УЗИ брюшной полости", "Ultrasound", 40, 1.0),
            Service("Лечение кариеса", "Dental filling", 60, 1.6),
            Service("Массаж лечебный", "Therapeutic massage", 45, 0.8),
        ),
        ("Терапевт", "Стоматолог", "Врач УЗД"),
        4200,
        50.0,
        (5, 10, 4.0),
        8,
        20,
        1.1,
        1.0,
    ),
    Vertical(
        "fitness",
        (
            Service("Персональная тренировка", "Personal training", 60, 1.4),
            Service("Групповое занятие", "Group class", 55, 0.6),
            Service("Йога", "Yoga", 75, 0.7),
        ),
        ("Тренер", "Инструктор"),
        900,
        4.5,
        (25, 32, 2.2),
        8,
        21,
        0.25,
        1.0,
    ),
    Vertical(
        "generic",
        (
            Service("Консультация", "Consultation", 60, 1.0),
            Service("Диагностика", "Diagnostics", 45, 0.6),
            Service("Ремонт", "Repair", 120, 2.0),
        ),
        ("Специалист", "Мастер"),
        3000,
        32.0,
        (5, 8, 7.0),
        9,
        19,
        1.0,
        1.0,
    ),
)

_FIRST = {
    "ru": (
        "Анна Мария Елена Ольга Наталья Екатерина Ирина Светлана Юлия Татьяна Дарья Алина "
        "Виктория Ксения Алексей Дмитрий Сергей Иван Павел Михаил Артём Николай Роман "
        "Кирилл"
    ),
    "kk": (
        "Айгерим Аружан Динара Гүлнар Жанар Мадина Сауле Асель Камила Алия Нұрлан Ерлан "
        "Асқар Данияр Тимур Бауыржан"
    ),
    "en": (
        "Emma Olivia Sophia Mia Laura Hannah Clara Grace Nora Alice James Daniel Lukas "
        "Noah Felix Oliver Henry Paul"
    ),
}

_LAST = {
    "ru": (
        "Иваненко Коваленко Шевченко Мельник Бондаренко Ткачук Черных Седых Белых Живаго "
        "Дурново Гончар Коваль Лысенко Савченко Долгих"
    ),
    "kk": ("Ахмет Сейіт Оспан Қасым Әлі Бекет Нұрпейіс Садық Тоқтар Мұрат"),
    "en": (
        "Weber Fischer Becker Koch Miller Carter Brooks Hayes Reed Morgan Parker Ellis "
        "Schmidt Wagner"
    ),
}

FIRST_NAMES = {locale: tuple(names.split()) for locale, names in _FIRST.items()}
LAST_NAMES = {locale: tuple(names.split()) for locale, names in _LAST.items()}

JUNK_PHONES = ("+7", "12345", "нет", "+99999999999999999999", "0", "не указан")
"""What people type where a phone is asked for; none can be a number."""

COMMENTS = (
    "",
    "Просит перезвонить за час",
    "Аллергия на аммиак, использовать безаммиачный краситель",
    "Придёт с ребёнком",
    "Клиентка просит мастера, который был в прошлый раз, и тихий кабинет",
    "Опоздает на 10 минут",
    "Подарочный сертификат № 1204",
)

REPLIES = (
    "Спасибо!",
    "Да, приду",
    "Ок",
    "А можно на час позже?",
    "Подтверждаю",
    "👍",
    "Сколько стоит?",
    "Перезвоните, пожалуйста",
    "Thank you, see you",
    "Рахмет",
)
MOVES = (
    "перенесите, пожалуйста",
    "Перенесите на завтра",
    "Can we move it?",
    "не смогу, перенесите",
)
OPT_OUTS = ("СТОП", "стоп", "STOP", "Stop.", "отписаться", "Отписаться!", "ТОҚТАТУ")

_WRITINGS = (
    "+{d}{p}{a}{b}{c}",
    "8 ({p}) {a}-{b}-{c}",
    "8{p}{a}{b}{c}",
    "{d} ({p}) {a}{b}{c}",
    "+{d}-{p}-{a}-{b}-{c}",
    "8 {p} {a} {b} {c}",
    "+{d} ({p}) {a} {b}{c}",
    "{d}{p}{a}{b}{c}",
)
"""Writings of ``+7``: the trunk 8 and a bare 7 are common in Russia and Kazakhstan alone."""
_FOREIGN_WRITINGS = ("+{d}{p}{a}{b}{c}", "+{d} {p} {a}{b}{c}", "+{d} ({p}) {a}-{b}{c}")


def mobile(rng: Random, place: Place) -> str:
    """A mobile number that can exist, in E.164 without the plus sign."""
    digits = place.digits
    local = rng.randrange(2 * 10 ** (digits - 1), 10**digits)
    return f"{place.dial}{rng.choice(place.prefixes)}{local}"


def written(rng: Random, number: str, place: Place) -> str:
    """One of the ways in which people of that place write their number."""
    prefix_end = len(number) - place.digits
    prefix, local = number[len(place.dial) : prefix_end], number[prefix_end:]
    writings = _WRITINGS if place.dial == "7" else _FOREIGN_WRITINGS
    return rng.choice(writings).format(
        d=place.dial, p=prefix, a=local[:3], b=local[3:5], c=local[5:]
    )
