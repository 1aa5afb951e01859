"""Write what a business sells beside its services, and the money for it, as YCLIENTS tells it.

Takes: a business; each writer gives one record of the log as JSON, without a line end
Units: instants in ms since the epoch; money in major units
"""

from __future__ import annotations

from sources.bodies import envelope, naive, signed, with_offset, wrapped
from sources.business import DAY, Business, Visit, offset_ms

_SALE = (
    b'{"company_id":%d,"resource":"goods_operations_sale","resource_id":%d,"status":"create",'
    b'"data":{"id":%d,"company_id":%d,"document_id":%d,"type_id":1,"type":"@sale","good":'
    b'{"id":%d,"title":"@good"},"storage":{"id":7,"title":"@storage"},"amount":-1,'
    b'"operation_unit_type":1,"cost_per_unit":%d,"discount":0,"cost":%d,"master":{"id":%d,'
    b'"title":"%b"},"supplier":null,"client":%b,"record_id":%d,"visit_id":%d,"comment":"",'
    b'"deleted":false,"create_date":"%b","last_change_date":"%b"}}'
)
_MONEY = (
    b'{"company_id":%d,"resource":"finances_operation","resource_id":%d,"status":"create",'
    b'"data":{"id":%d,"company_id":%d,"document_id":%d,"date":"%b","type_id":%d,"expense":'
    b'{"id":%d,"title":"%b","type":1},"account":{"id":17,"title":"@account","is_cash":false,'
    b'"is_default":true},"amount":%d,"client":%b,"master":{"id":%d,"title":"%b"},'
    b'"supplier":null,"comment":"","item_id":0,"target_type_id":%d,"target_type":"%b",'
    b'"record_id":0,"goods_transaction_id":%d,"visit_id":0,"sold_item_id":%d,'
    b'"sold_item_type":"%b","deleted":false,"create_date":"%b","last_change_date":"%b",'
    b'"user":{"id":7412589,"name":"@user"},"loyalty_transaction_id":null}}'
)
_SCHEDULE = b'{"company_id":%d,"resource":"schedule","resource_id":%d,"status":"update","data":[]}'
_WORDS = {
    True: {
        b"@sale": "Продажа товаров", b"@good": "Шампунь для окрашенных волос",
        b"@storage": "Склад", b"@account": "Основная касса", b"@user": "Администратор",
        b"@goods": "Продажа товаров", b"@package": "Продажа абонементов",
    },
    False: {
        b"@sale": "Sale of goods", b"@good": "Shampoo for coloured hair", b"@storage": "Storage",
        b"@account": "Main cash desk", b"@user": "Administrator", b"@goods": "Sale of goods",
        b"@package": "Sale of packages",
    },
}  # fmt: skip


class Shop:
    """Goods, packages, and resources that carry nothing for us."""

    def __init__(self, business: Business) -> None:
        self._business = business
        words = _WORDS[business.place.locale in ("ru", "kk")]
        self._words = {key: text.encode() for key, text in words.items()}
        self._head = envelope(business.tenant, business.provider)
        self._sale, self._money = (self._filled(text) for text in (_SALE, _MONEY))

    def _filled(self, template: bytes) -> bytes:
        for key, text in self._words.items():
            template = template.replace(key + b'"', text + b'"')
        return template

    def sale(
        self, received: int, appended: int, visit: Visit, number: int, price: int, at: int
    ) -> bytes:
        """A ``goods_operations_sale``: one piece, beside a visit."""
        company, staff = self._company(visit), self._business.staff[visit.employee]
        text = self._at(visit, at)
        body = self._sale % (
            company, number, number, company, number + 6, number % 50 + 1, price, price, staff.id,
            staff.name, self._client(visit), visit.id, visit.unit, text, text,
        )  # fmt: skip
        return wrapped(self._head, received, appended, body)

    def sale_payment(
        self, received: int, appended: int, visit: Visit, number: int, amount: int, at: int
    ) -> bytes:
        """The ``finances_operation`` that pays the sale with the number before its own."""
        sold = b"goods_transaction"
        told = (7, 7, self._words[b"@goods"], 4, sold, number - 1, number - 1, sold)
        return self._paid(received, appended, visit, number, amount, at, told)

    def package(
        self, received: int, appended: int, visit: Visit, number: int, amount: int, at: int
    ) -> bytes:
        """The ``finances_operation`` of visits to come: it names none."""
        told = (
            12, 12, self._words[b"@package"], 7, b"loyalty_abonement", 0, number + 7,
            b"loyalty_abonement",
        )  # fmt: skip
        return self._paid(received, appended, visit, number, amount, at, told)

    def _paid(
        self,
        received: int,
        appended: int,
        visit: Visit,
        number: int,
        amount: int,
        at: int,
        told: tuple[int, int, bytes, int, bytes, int, int, bytes],
    ) -> bytes:
        company, staff = self._company(visit), self._business.staff[visit.employee]
        zone = self._business.branches[visit.branch].zone
        kind, expense, title, target_kind, target, goods, item, item_kind = told
        text = self._at(visit, at)
        body = self._money % (
            company, number, number, company, number + 6, naive(at + offset_ms(zone, at // DAY)),
            kind, expense, title, amount, self._client(visit), staff.id, staff.name, target_kind,
            target, goods, item, item_kind, text, text,
        )  # fmt: skip
        return wrapped(self._head, received, appended, body)

    def schedule(self, received: int, appended: int, branch: int, number: int) -> bytes:
        """A resource that carries nothing for us."""
        company = self._business.branches[branch].id
        return wrapped(self._head, received, appended, _SCHEDULE % (company, number))

    def _company(self, visit: Visit) -> int:
        return self._business.branches[visit.branch].id

    def _at(self, visit: Visit, at: int) -> bytes:
        offset = offset_ms(self._business.branches[visit.branch].zone, at // DAY)
        return with_offset(at, offset, signed(offset, b""))

    @staticmethod
    def _client(visit: Visit) -> bytes:
        who = visit.who
        if who is None:
            return b"null"
        return b'{"id":%d,"name":"%b %b","phone":"%b","email":""}' % (
            who.card + visit.branch, who.name, who.surname, who.written,
        )  # fmt: skip
