"""Tenants' settings in PostgreSQL: what an application edits, and what of it the log has.

Takes:    tenants' settings as given; edits by anybody's SQL, of which the database tells
Delivery: at least once: before settings are sent it is noted that the log may not have them, and
          that it has them only when their delivery was acknowledged
Replays:  settings whose delivery is not known are changed settings, and are sent again

One process follows at a time: who holds the lock of the session, which ends with its connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.settings import TenantSettings
from sinks.postgres_engine import CONNECT_SECONDS, Postgres, check

CHANNEL = "flowsell_settings"

_FOLLOWS = 0x72756C65
"""The lock of who follows."""

_PLAIN = (
    "name", "preset", "timezone", "country", "currency", "locale", "branches", "scoring",
    "average_check_minor", "quiet_hours", "quiet_utility", "caps", "holdout_percent",
    "return_days", "consent_default", "channel_policy", "watched", "offers",
)  # fmt: skip
"""Keys of settings that are columns of ``tenants``."""
_SHARED = (
    "id", "kind", "channels", "template", "category", "priority", "ttl", "segments", "params",
    "locale", "cooldown_days",
)  # fmt: skip
"""Keys of a trigger that are columns of ``triggers``."""


def _excluded(columns: Sequence[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in columns)


def _fields(columns: Sequence[str]) -> str:
    return ", ".join(f"row.{name}" for name in columns)


_PUT_TENANT = f"""
INSERT INTO flowsell.tenants (tenant, {", ".join(_PLAIN)}, further)
SELECT said.tenant, {_fields(_PLAIN)}, said.settings - %s::text[]
FROM (SELECT %s::text, %s::jsonb) AS said (tenant, settings),
    jsonb_populate_record(NULL::flowsell.tenants, said.settings) AS row
ON CONFLICT (tenant) DO UPDATE
SET {_excluded((*_PLAIN, "further"))}, mistake = NULL
"""  # noqa: S608 - names of our own
_DROP_TRIGGERS = """
DELETE FROM flowsell.triggers WHERE tenant = %s AND NOT id = ANY(%s)
"""
_PUT_TRIGGERS = f"""
INSERT INTO flowsell.triggers (tenant, {", ".join(_SHARED)}, rule)
SELECT said.tenant, {_fields(_SHARED)}, one - %s::text[]
FROM (SELECT %s::text, %s::jsonb) AS said (tenant, settings),
    jsonb_array_elements(nullif(said.settings -> 'triggers', 'null')) AS one,
    jsonb_populate_record(NULL::flowsell.triggers, one) AS row
ON CONFLICT (tenant, id) DO UPDATE
SET {_excluded((*_SHARED[1:], "rule"))}, mistake = NULL
"""  # noqa: S608 - names of our own

# One statement, so that each tenant is seen with all its triggers as of one moment. Who is there no
# more keeps its settings, for its customers stay as they are; but nothing may be due any more.
_CHANGED = """
WITH asked AS MATERIALIZED (
    SELECT unnest(%(tenants)s::text[]) AS tenant
    UNION SELECT tenant FROM flowsell.tenants WHERE %(tenants)s::text[] IS NULL
    UNION SELECT tenant FROM flowsell.settings_sent WHERE %(tenants)s::text[] IS NULL
), wanted AS (
    SELECT tenant, coalesce(said.settings, sent.settings - 'triggers') AS settings, said.mistake,
        sent.settings AS before, sent.log = %(log)s AND sent.acknowledged_at IS NOT NULL AS is_there
    FROM asked
    LEFT JOIN flowsell.tenant_settings AS said USING (tenant)
    LEFT JOIN flowsell.settings_sent AS sent USING (tenant)
), judged AS (
    SELECT *, (is_there AND before = settings) IS TRUE AS is_sent FROM wanted
)
SELECT tenant, settings::text, mistake, is_sent
FROM judged
WHERE settings IS NOT NULL AND (NOT is_sent OR mistake IS NOT NULL)
ORDER BY tenant
"""
_SENDING = """
INSERT INTO flowsell.settings_sent (tenant, settings, log) VALUES (%s, %s::jsonb, %s)
ON CONFLICT (tenant) DO UPDATE
SET settings = excluded.settings, log = excluded.log, acknowledged_at = NULL
"""
_SENT = "UPDATE flowsell.settings_sent SET acknowledged_at = now() WHERE tenant = ANY(%s)"
_DOUBTED = """
UPDATE flowsell.settings_sent SET acknowledged_at = NULL
WHERE %(tenants)s::text[] IS NULL OR tenant = ANY(%(tenants)s)
"""

# A row that somebody is changing at this moment is left alone: its change will be told of.
_TELL_TENANT = """
UPDATE flowsell.tenants SET mistake = %(mistake)s
WHERE tenant = (
    SELECT tenant FROM flowsell.tenants WHERE tenant = %(tenant)s FOR NO KEY UPDATE SKIP LOCKED
)
"""
_TELL_TRIGGERS = """
WITH free AS (
    SELECT id, CASE WHEN id = %(trigger)s THEN %(mistake)s END AS mistake
    FROM flowsell.triggers WHERE tenant = %(tenant)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE flowsell.triggers AS rule SET mistake = free.mistake
FROM free
WHERE rule.tenant = %(tenant)s AND rule.id = free.id AND rule.mistake IS DISTINCT FROM free.mistake
"""


class Wanted(NamedTuple):
    """A tenant whose settings are to be looked at."""

    tenant: str
    settings: bytes
    """JSON, as a settings record has it."""
    mistake: str | None
    """What the tables say is wrong with them."""
    is_sent: bool
    """Whether the log has them; then only ``mistake`` is past."""


class SettingsInPostgres:
    """The tables, for who follows them and for who fills them."""

    name = "postgres"

    def __init__(self, url: str) -> None:
        self._engine = Postgres(url)

    def __str__(self) -> str:
        """As errors name it."""
        return str(self._engine)

    def open(self) -> None:
        """Connect and check the migrations."""
        self._engine.open()
        check(self._engine)

    def close(self) -> None:
        """Let go of PostgreSQL, and of the lock."""
        self._engine.close()

    def put(self, tenants: Mapping[str, TenantSettings]) -> None:
        """Replace the settings of these tenants, all of them or none; others stay."""
        with self._engine.answers(), self._engine.connection.transaction():
            run = self._engine.connection.execute
            for tenant, settings in sorted(tenants.items()):
                source, triggers = settings.source.decode(), settings.triggers
                run(_PUT_TENANT, ([*_PLAIN, "triggers"], tenant, source))
                run(_DROP_TRIGGERS, (tenant, [trigger.id for trigger in triggers]))
                run(_PUT_TRIGGERS, ([*_SHARED], tenant, source))

    def lead(self) -> bool:
        """Whether this connection is the one that follows; hears of every edit from then on."""
        with self._engine.answers():
            run = self._engine.connection.execute
            locked = run("SELECT pg_try_advisory_lock(%s)", (_FOLLOWS,)).fetchone()
            if locked is None or not locked[0]:
                return False
            # The lock of a machine that is lost is free soon.
            run(f"SET tcp_keepalives_idle = {CONNECT_SECONDS}")
            run(f"SET tcp_keepalives_interval = {CONNECT_SECONDS // 2}")
            run("SET tcp_keepalives_count = 3")
            run(f"LISTEN {CHANNEL}")
            return True

    def heard(self, seconds: float) -> Sequence[str] | None:
        """Whose settings were edited, ``None``: anybody's; waits so long at most for the first."""
        notifies = self._engine.connection.notifies
        with self._engine.answers():
            told = [each.payload for each in notifies(timeout=seconds, stop_after=1)]
            if told:
                told += [each.payload for each in notifies(timeout=0)]
        return None if "" in told else sorted(set(told))

    def changed(self, log: str, tenants: Sequence[str] | None) -> list[Wanted]:
        """Of these, or of all: whose settings this log may not have, and who has a mistake."""
        asked = {"log": log, "tenants": None if tenants is None else [*tenants]}
        with self._engine.answers():
            rows = self._engine.connection.execute(_CHANGED, asked).fetchall()
        return [Wanted(tenant, text.encode(), *rest) for tenant, text, *rest in rows]

    def sending(self, settings: Mapping[str, bytes], log: str) -> None:
        """Note that these are on their way: until ``sent``, nobody knows what the log has."""
        rows = [(tenant, source.decode(), log) for tenant, source in settings.items()]
        connection = self._engine.connection
        with self._engine.answers(), connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_SENDING, rows)

    def sent(self, tenants: Sequence[str]) -> None:
        """Note that their delivery was acknowledged."""
        self._run(_SENT, ([*tenants],))

    def doubt(self, tenants: Sequence[str] | None = None) -> None:
        """Note that nobody knows what the log has of these, or of all; tell who follows."""
        self._run(_DOUBTED, {"tenants": None if tenants is None else [*tenants]})
        self._run(f"NOTIFY {CHANNEL}", ())

    def tell(self, tenant: str, mistake: str | None, trigger: str | None = None) -> None:
        """Put a mistake beside the settings that it is in, or take it away."""
        told = {"tenant": tenant, "mistake": mistake, "trigger": trigger}
        self._run(_TELL_TENANT, told)
        self._run(_TELL_TRIGGERS, told)

    def _run(self, statement: str, values: Mapping[str, object] | Sequence[object]) -> None:
        with self._engine.answers():
            self._engine.connection.execute(statement, values)
