-- What an application edits: a tenant's settings, and each of its triggers as a row of its own.
-- A key without a column stands in `further`, a trigger's in `rule`: those of its kind are there.
-- `mistake` is ours: why these settings are not in force.
CREATE TABLE flowsell.tenants
(
    tenant text COLLATE "C" PRIMARY KEY CHECK (tenant <> ''),
    name text,
    preset text,
    timezone text,
    country text,
    currency text,
    locale text,
    branches jsonb,
    scoring jsonb,
    average_check_minor bigint,
    quiet_hours text[],
    quiet_utility text[],
    caps jsonb,
    holdout_percent integer,
    return_days integer,
    consent_default text,
    channel_policy jsonb,
    watched boolean,
    offers jsonb,
    further jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(further) = 'object'),
    mistake text
);

CREATE TABLE flowsell.triggers
(
    tenant text COLLATE "C" NOT NULL
        REFERENCES flowsell.tenants ON UPDATE CASCADE ON DELETE CASCADE,
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    channels text[] NOT NULL,
    template text NOT NULL,
    category text,
    priority integer,
    ttl text,
    segments text[],
    params jsonb,
    locale text,
    cooldown_days integer,
    rule jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(rule) = 'object'),
    mistake text,
    PRIMARY KEY (tenant, id)
);

-- Each tenant's settings as a record has them. In `params` a null is a value; in a column it is none.
CREATE VIEW flowsell.tenant_settings AS
SELECT t.tenant, t.further || plain.settings || rules.settings AS settings, t.mistake
FROM flowsell.tenants AS t
CROSS JOIN LATERAL
(
    SELECT coalesce(jsonb_object_agg(key, value), '{}') AS settings
    FROM jsonb_each(to_jsonb(t) - '{tenant,further,mistake}'::text[])
    WHERE value <> 'null'
) AS plain
CROSS JOIN LATERAL
(
    SELECT CASE WHEN count(*) = 0 THEN '{}' ELSE jsonb_build_object('triggers', jsonb_agg(
        r.rule
        || jsonb_strip_nulls(to_jsonb(r) - '{tenant,params,rule,mistake}'::text[])
        || CASE WHEN r.params IS NULL THEN '{}' ELSE jsonb_build_object('params', r.params) END
        ORDER BY r.id
    )) END AS settings
    FROM flowsell.triggers AS r
    WHERE r.tenant = t.tenant
) AS rules;

-- What was put into the log last, and into which; without `acknowledged_at` it may not have arrived.
CREATE TABLE flowsell.settings_sent
(
    tenant text COLLATE "C" PRIMARY KEY,
    settings jsonb NOT NULL,
    log text NOT NULL,
    acknowledged_at timestamptz
);

-- Of a tenant whose name is too long to be told, nothing but that there was an edit.
CREATE FUNCTION flowsell.tell_settings() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('flowsell_settings', CASE WHEN octet_length(who) < 8000 THEN who ELSE '' END)
    FROM unnest(ARRAY[OLD.tenant, NEW.tenant]) AS who WHERE who IS NOT NULL; RETURN NULL; END $$;

CREATE TRIGGER tell_settings AFTER INSERT OR UPDATE OR DELETE ON flowsell.tenants
FOR EACH ROW EXECUTE FUNCTION flowsell.tell_settings();

CREATE TRIGGER tell_settings AFTER INSERT OR UPDATE OR DELETE ON flowsell.triggers
FOR EACH ROW EXECUTE FUNCTION flowsell.tell_settings();
