-- A tombstone keeps its id and its position, so that nothing older comes back, and nothing else.
-- Pages keep room: an update that moves no index entry stays on its page.
CREATE TABLE flowsell.profiles
(
    tenant text NOT NULL,
    customer_id text COLLATE "C" PRIMARY KEY,
    phone text,
    name text,
    aliases jsonb,
    segment text,
    r smallint,
    f smallint,
    m smallint,
    recency_days integer,
    frequency integer,
    monetary_minor bigint,
    currency text,
    last_visit_at timestamptz,
    next_booking_at timestamptz,
    birthday text,
    consent jsonb,
    as_of timestamptz NOT NULL,
    position bigint NOT NULL,
    merged_into text COLLATE "C",
    forgotten boolean
)
WITH (fillfactor = 80);

CREATE INDEX profiles_phone ON flowsell.profiles (tenant, phone) WHERE phone IS NOT NULL;

CREATE VIEW flowsell.profiles_now AS
SELECT tenant, customer_id, phone, name, aliases, segment, r, f, m, recency_days, frequency,
    monetary_minor, currency, last_visit_at, next_booking_at, birthday, consent, as_of, position
FROM flowsell.profiles
WHERE segment IS NOT NULL;
