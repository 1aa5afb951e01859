"""Write webhooks as the providers do: the same fields, the same drifts, the same sizes.

Takes: a business; each writer gives one record of the log as JSON, without a line end
Units: instants in ms since the epoch; ``local`` is the wall clock written as if it were UTC
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import orjson

from sources.business import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Business,
    CardState,
    Customer,
    Visit,
    VisitState,
    offset_ms,
)
from sources.places import COMMENTS

_HOUR_MINUTE = tuple(b"%02d:%02d" % divmod(minute, 60) for minute in range(1440))
_COMMENTS = tuple(text.encode() for text in COMMENTS)

BOOKED, CONFIRMED, ATTENDED, NO_SHOW, CANCELLED = range(5)
_ATTENDANCE = (0, 2, 1, -1, 0)
_GENERIC_STATUS = (b"booked", b"confirmed", b"attended", b"no_show", b"cancelled")


def utc(ms: int) -> bytes:
    """RFC 3339 with milliseconds, in UTC."""
    day, rest = divmod(ms, DAY)
    minute, rest = divmod(rest, MINUTE)
    return b"%bT%b:%02d.%03dZ" % (_date(day), _HOUR_MINUTE[minute], rest // 1000, rest % 1000)


def naive(local: int) -> bytes:
    """``2020-11-21 16:00:00``."""
    day, rest = divmod(local, DAY)
    minute, rest = divmod(rest, MINUTE)
    return b"%b %b:%02d" % (_date(day), _HOUR_MINUTE[minute], rest // 1000)


def with_offset(ms: int, offset: int, sign: bytes) -> bytes:
    """``2020-11-17T13:58:19+0300``; ``sign`` is the offset as text."""
    day, rest = divmod(ms + offset, DAY)
    minute, rest = divmod(rest, MINUTE)
    return b"%bT%b:%02d%b" % (_date(day), _HOUR_MINUTE[minute], rest // 1000, sign)


@lru_cache(maxsize=1 << 14)
def _date(day: int) -> bytes:
    # proleptic Gregorian calendar from days since 1970 (Howard Hinnant's civil_from_days)
    shifted = day + 719_468
    era, of_era = divmod(shifted, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    month_day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return b"%04d-%02d-%02d" % (year + era * 400 + (month <= 2), month, month_day)


@lru_cache(maxsize=256)
def signed(offset: int, colon: bytes) -> bytes:
    """An offset from UTC as text, ``+0300`` or ``+03:00``."""
    hours, minutes = divmod(abs(offset) // MINUTE, 60)
    return b"%b%02d%b%02d" % (b"-" if offset < 0 else b"+", hours, colon, minutes)


def envelope(tenant: str, provider: str, branch: str | None = None) -> bytes:
    """A webhook record up to the value of ``received_at``."""
    told = b'"branch":"%b",' % branch.encode() if branch else b""
    return b'{"kind":"webhook","tenant":"%b","provider":"%b",%b"received_at":"' % (
        tenant.encode(), provider.encode(), told,
    )  # fmt: skip


def wrapped(head: bytes, received: int, appended: int, body: bytes) -> bytes:
    """A webhook record around its body."""
    return b'%b%b","appended_at":"%b","body":%b}' % (head, utc(received), utc(appended), body)


def settings_record(business: Business, at: int) -> bytes:
    """The tenant's settings."""
    return (
        b'{"kind":"settings","tenant":"%b","received_at":"%b","appended_at":"%b","settings":%b}'
    ) % (business.tenant.encode(), utc(at), utc(at), orjson.dumps(business.settings))


def heartbeat_record(received: int, appended: int) -> bytes:
    """A heartbeat, for every lane."""
    return b'{"kind":"heartbeat","received_at":"%b","appended_at":"%b"}' % (
        utc(received), utc(appended),
    )  # fmt: skip


def forget_record(received: int, appended: int, tenant: bytes, customer: bytes) -> bytes:
    """A customer's wish to be forgotten."""
    return (
        b'{"kind":"forget","tenant":"%b","received_at":"%b","appended_at":"%b","customer_id":"%b"}'
    ) % (tenant, utc(received), utc(appended), customer)


class Crm(Protocol):
    """What every CRM says: a visit, a card; each a whole record."""

    def visit(self, received: int, appended: int, visit: Visit, state: VisitState) -> bytes:
        """The visit as it is now."""
        ...

    def card(self, received: int, appended: int, who: Customer, state: CardState) -> bytes:
        """The customer's card as it is now."""
        ...


_RECORD = (
    b'{"company_id":@company,"resource":"record","resource_id":%d,"status":"%b","data":{"id":%d,'
    b'"company_id":@company,"staff_id":%d,"services":[{"id":%d,"title":"%b","cost":%d,@pay'
    b'"manual_cost":%d,"cost_per_unit":%d,"discount":%d,"first_cost":%d,"amount":1}],'
    b'"goods_transactions":[],"staff":{"id":%d,"api_id":null,"name":"%b","specialization":"%b",'
    b'"position":{"id":%d,"title":"%b","services_binding_type":0},'
    b'"avatar":"https://assets.example.com/masters/sm/a/a7/a7c5d3e2f1_20240912_%d.png",'
    b'"avatar_big":"https://assets.example.com/masters/origin/b/b3/b3f0a1c9d7_20240912_%d.png",'
    b'"rating":4.9,"votes_count":127},"client":%b,"comer":null,"clients_count":1,"date":"%b",'
    b'"datetime":"%b","create_date":"%b","comment":"%b","online":%b,"visit_attendance":%d,'
    b'"attendance":%d,"confirmed":%d,"seance_length":%d,"length":%d,'
    b'"technical_break_duration":0,"sms_before":0,"sms_now":@sms,"sms_now_text":"",'
    b'"email_now":0,"notified":@notified,"master_request":1,"api_id":"","from_url":"",'
    b'"review_requested":0,"visit_id":%d,"created_user_id":7412589,"deleted":%b,"paid_full":%b,'
    b'"payment_status":0,"prepaid":false,"prepaid_confirmed":false,"is_update_blocked":false,'
    b'"last_change_date":"%b","custom_color":"","custom_font_color":"","record_labels":[],'
    b'"activity_id":0,"custom_fields":@fields,"documents":[{"id":%d,"type_id":7,"storage_id":0,'
    b'"user_id":7412589,"company_id":@company,"number":%d,"comment":"","date_created":"%b",'
    b'"category_id":0,"visit_id":%d,"record_id":%d,"type_title":"@document",'
    b'"is_sale_bill_printed":false}],"sms_remain_hours":5,"bookform_id":0,'
    b'"record_from":"","is_mobile":0,"short_link":"https://yc.example.com/c/%x/%x/",'
    b'"consumables":[],"finance_transactions":[],"services_ids":[%d],'
    b'"auth_hash":"%032x"}}'
)
_RECORD_CLIENT = (
    b'{"id":%d,"name":"%b","surname":"%b","patronymic":"","display_name":"%b %b","comment":"",'
    b'"phone":"%b","card":"","email":"","success_visits_count":%d,"fail_visits_count":%d,'
    b'"discount":0,"is_new":%b,"sex":%d,@birthday"client_tags":[],"custom_fields":[]}'
)
_CLIENT = (
    b'{"company_id":@company,"resource":"client","resource_id":%d,"status":"%b","data":{"id":%d,'
    b'"company_id":@company,"name":"%b","surname":"%b","patronymic":"","display_name":"%b %b",'
    b'"phone":"%b","email":"","categories":[{"id":%d,"title":"@category","color":"#e8d313"}],'
    b'"sex":"@sex%d","sex_id":%d,"birth_date":"%b","discount":0,"card":"","comment":"%b",'
    b'"sms_check":1,"sms_bot":0,"sms_not":%d,"spent":%d,"paid":%d,"balance":0,"visits":%d,'
    b'"importance_id":0,"importance":"@importance","first_visit_date":null,'
    b'"last_change_date":"%b","avatar":"https://assets.example.com/clients/%d.png",'
    b'"custom_fields":@fields,"agreements":{"is_newsletter_allowed":%b,'
    b'"is_personal_data_processing_allowed":true}}}'
)
_FINANCE = (
    b'{"company_id":@company,"resource":"finances_operation","resource_id":%d,"status":"create",'
    b'"data":{"id":%d,"company_id":@company,"document_id":%d,"date":"%b","type_id":5,'
    b'"expense":{"id":5,"title":"@expense","type":1},"account":{"id":@company7,'
    b'"title":"@account","is_cash":%b,"is_default":true},"amount":%d,"client":{"id":%d,'
    b'"name":"%b %b","phone":"%b","email":""},"master":{"id":%d,"title":"%b"},"supplier":null,'
    b'"comment":"@payment","item_id":0,"target_type_id":1,"target_type":"record","record_id":%d,'
    b'"goods_transaction_id":0,"visit_id":%d,"sold_item_id":%d,"sold_item_type":"service",'
    b'"sold_item":{"id":%d,"title":"%b"},"deleted":false,"create_date":"%b",'
    b'"last_change_date":"%b","user":{"id":7412589,"name":"@user"},'
    b'"loyalty_transaction_id":null,"fiscal":{"status":"printed","number":%d}}}'
)
_WORDS = {
    True: {
        b"@document": "Визит", b"@category": "Постоянный клиент", b"@importance": "Без класса",
        b"@expense": "Оказание услуг", b"@account": "Основная касса", b"@user": "Администратор",
        b"@payment": "Оплата за услуги", b"@sex": "Пол ",
    },
    False: {
        b"@document": "Visit", b"@category": "Regular customer of the salon",
        b"@importance": "No class", b"@expense": "Service payments", b"@account": "Main cash desk",
        b"@user": "Administrator", b"@payment": "Payment for services", b"@sex": "Sex ",
    },
}  # fmt: skip
_FILLER = b'{"salesap_id":1786534,"source":"instagram"}'


class Yclients:
    """YCLIENTS and Altegio, one shape; ``vintage`` says how new the API is."""

    def __init__(self, business: Business) -> None:
        self._business = business
        self._new = business.vintage == 2
        self._wrong_datetime = business.index % 4 == 1
        tell = business.index % 2 == 0
        provider = business.provider
        self._heads = [
            envelope(business.tenant, provider, b.name if tell else None) for b in business.branches
        ]
        self._record = [self._filled(_RECORD, b.id) for b in business.branches]
        self._card = [self._filled(_CLIENT, b.id) for b in business.branches]
        self._finance = [self._filled(_FINANCE, b.id) for b in business.branches]
        self._client = self._filled(_RECORD_CLIENT, 0)

    def _filled(self, template: bytes, company: int) -> bytes:
        """The template with all that is the same in every webhook of a branch."""
        vintage = self._business.vintage
        russian = self._business.place.locale in ("ru", "kk")
        words = {key: text.encode() for key, text in _WORDS[russian].items()}
        drifts = {
            b"@company": b"%d" % company,
            b"@pay": b'"cost_to_pay":%d,' if self._new else b"",
            b"@sms": b"false" if self._new else b"0",
            b"@notified": b'"0"' if vintage == 1 else b"0",
            b"@fields": b"[]" if vintage == 1 else _FILLER,
            b"@birthday": b'"birthday":"%b",' if self._new else b'"birth_date":"%b",',
        }
        for key, text in (words | drifts).items():
            template = template.replace(key, text)
        return template

    def visit(self, received: int, appended: int, visit: Visit, state: VisitState) -> bytes:
        """A ``record`` webhook."""
        local, changed, version, status, paid, comment, came, phone_known = state
        business, branch, number, unit = self._business, visit.branch, visit.id, visit.unit
        zone = business.branches[branch].zone
        service_id, service, title = business.services[visit.service]
        staff = business.staff[visit.employee]
        offset = offset_ms(zone, local // DAY)
        shown = 3 * HOUR if self._wrong_datetime else offset
        deleted = status == CANCELLED
        verb = b"delete" if deleted else b"create" if version == 0 else b"update"
        attendance = _ATTENDANCE[status]
        cost = visit.cost
        seconds = service.minutes * 60
        now = offset_ms(zone, changed // DAY)
        created = with_offset(visit.created, now, signed(now, b""))
        body = self._record[branch] % (
            number, verb, number, staff.id, service_id, title, cost,
            *((cost,) if self._new else ()), cost, visit.price, visit.discount, visit.price,
            staff.id, staff.name, staff.position, staff.id // 7, staff.position, staff.id,
            staff.id, self._record_client(visit, came, phone_known), naive(local),
            with_offset(local, 0, signed(shown, b":")), created, _COMMENTS[comment],
            b"true" if visit.online else b"false", attendance, attendance,
            1 if status in (CONFIRMED, ATTENDED) else 0, seconds, seconds, unit,
            b"true" if deleted else b"false", self._flag(paid),
            with_offset(changed, now, signed(now, b"")), number + 31, number + 31, created, unit,
            number, number, unit, service_id, number * 0x9E3779B97F4A7C15F39CC0605CEDC835,
        )  # fmt: skip
        return wrapped(self._heads[branch], received, appended, body)

    def _record_client(self, visit: Visit, came: int, phone_known: bool) -> bytes:
        who = visit.who
        if who is None:
            return b"null"
        return self._client % (
            who.card + visit.branch, who.name, who.surname, who.name, who.surname,
            who.written if phone_known else b"", came, 0,
            b"false" if came else b"true", 1 if who.woman else 2, who.birthday,
        )  # fmt: skip

    def _flag(self, value: bool) -> bytes:
        if self._new:
            return b"true" if value else b"false"
        return b"1" if value else b"0"

    def card(self, received: int, appended: int, who: Customer, state: CardState) -> bytes:
        """A ``client`` webhook."""
        branch, changed, created, came, spent, phone_known = state
        card = who.card + branch
        now = offset_ms(self._business.branches[branch].zone, changed // DAY)
        sex = 1 if who.woman else 2
        body = self._card[branch] % (
            card, b"create" if created else b"update", card, who.name, who.surname, who.name,
            who.surname, who.written if phone_known else b"", card % 97 + 1000, sex, sex,
            who.birthday, _COMMENTS[card % 5] if card % 3 == 0 else b"", card % 40 == 0, spent,
            spent, came, with_offset(changed, now, signed(now, b"")), card,
            b"false" if card % 5 == 0 else b"true",
        )  # fmt: skip
        return wrapped(self._heads[branch], received, appended, body)

    def payment(
        self, received: int, appended: int, visit: Visit, number: int, amount: int, paid_at: int
    ) -> bytes:
        """A ``finances_operation`` webhook; a negative amount is a refund."""
        business, branch, who = self._business, visit.branch, visit.who
        service_id, _, title = business.services[visit.service]
        staff = business.staff[visit.employee]
        now = offset_ms(business.branches[branch].zone, paid_at // DAY)
        at = with_offset(paid_at, now, signed(now, b""))
        body = self._finance[branch] % (
            number, number, number + 5, naive(paid_at + now), self._cash(number), amount,
            0 if who is None else who.card + branch, b"" if who is None else who.name,
            b"" if who is None else who.surname, b"" if who is None else who.written, staff.id,
            staff.name, visit.id, visit.unit, service_id, service_id, title, at, at,
            number % 10_000,
        )  # fmt: skip
        return wrapped(self._heads[branch], received, appended, body)

    @staticmethod
    def _cash(number: int) -> bytes:
        return b"true" if number % 3 == 0 else b"false"


class Generic:
    """Our own documented JSON, for everyone else."""

    def __init__(self, business: Business) -> None:
        self._business = business
        self._head = envelope(business.tenant, "generic")
        self._currency = business.place.currency.encode()
        self._locale = business.place.locale.encode()

    def _version(self, version: int) -> bytes:
        return b'"version":%d,' % version if self._business.versioned else b""

    def visit(self, received: int, appended: int, visit: Visit, state: VisitState) -> bytes:
        """A ``visit`` body."""
        local, _, version, status, _, comment, _, phone_known = state
        business, who = self._business, visit.who
        branch = business.branches[visit.branch]
        _, service, title = business.services[visit.service]
        sign = signed(offset_ms(branch.zone, local // DAY), b":")
        person = b""
        if who is not None:
            person = b'"client":"crm-%d",' % (who.card + visit.branch)
            if phone_known:
                person = b'"phone":"%b",%b' % (who.written, person)
        body = (
            b'{"type":"visit","id":"v-%d",%b"status":"%b",%b"branch":"%b","starts_at":"%b",'
            b'"ends_at":"%b","amount_minor":%d,"currency":"%b","services":["%b"],"staff":"%b",'
            b'"comment":"%b"}'
        ) % (
            visit.id, self._version(version + 1), _GENERIC_STATUS[status], person,
            branch.name.encode(), with_offset(local, 0, sign),
            with_offset(local + service.minutes * MINUTE, 0, sign), visit.cost * 100,
            self._currency, title, business.staff[visit.employee].name, _COMMENTS[comment],
        )  # fmt: skip
        return wrapped(self._head, received, appended, body)

    def card(self, received: int, appended: int, who: Customer, state: CardState) -> bytes:
        """A ``client`` body; its version is the second of the change."""
        card = who.card + state.branch
        body = b'{"type":"client","id":"crm-%d",%b%b"name":"%b %b",%b"locale":"%b"%b%b}' % (
            card, self._version(state.changed // SECOND),
            b'"phone":"%b",' % who.written if state.phone_known else b"", who.name, who.surname,
            b'"birthday":"%b",' % who.birthday if who.birthday else b"", self._locale,
            b',"consent":{"marketing":true}' if card % 5 else b"",
            b',"aliases":{"whatsapp_bsuid":"%b"}' % who.alias if who.alias and who.phone else b"",
        )  # fmt: skip
        return wrapped(self._head, received, appended, body)
