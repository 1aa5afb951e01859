-- Whose rows these are, and how far each partition of a topic is in them: a start goes on from there.
CREATE TABLE flowsell.log
(
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    log text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE flowsell.progress
(
    place text PRIMARY KEY,
    next bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
