-- Why: the journal is what everything else is computed from.

-- One row per tenant. An append locks it, so positions are gapless and in commit order.
CREATE TABLE journal_heads (
    tenant_id   uuid PRIMARY KEY,
    position    bigint NOT NULL CHECK (position >= 0),
    -- The newest event's time: a clock that jumps back does not turn a journal's time back.
    recorded_at timestamptz NOT NULL
);
SELECT isolate('journal_heads', 'read');
GRANT SELECT, INSERT, UPDATE ON journal_heads TO annals_app;

CREATE TABLE events (
    tenant_id     uuid NOT NULL,
    position      bigint NOT NULL CHECK (position > 0),
    stream_id     uuid NOT NULL,
    sequence      bigint NOT NULL CHECK (sequence > 0),
    recorded_at   timestamptz NOT NULL,
    stream_kind   text NOT NULL,
    event_type    text NOT NULL,
    event_version smallint NOT NULL CHECK (event_version > 0),
    -- json, not jsonb: the leaf hash is over these very bytes.
    payload       json NOT NULL,
    metadata      json NOT NULL,
    leaf_hash     bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (tenant_id, position)
);
-- The writer's expectation, and what makes a tracked event unique: its stream is its message id.
CREATE UNIQUE INDEX events_by_stream ON events (tenant_id, stream_id, sequence);
SELECT isolate('events');
GRANT SELECT, INSERT ON events TO annals_app;

-- Grants hold back the application; this holds back the owner too.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is immutable: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'Corrections are events.';
END $$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE events ENABLE ALWAYS TRIGGER immutable;

-- Values that one stream holds alone. Platform-wide ones (e-mail, slug) belong to tenant zero.
CREATE TABLE claims (
    tenant_id uuid NOT NULL,
    kind      text NOT NULL,
    value     text NOT NULL,
    stream_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, kind, value)
);
SELECT isolate('claims');
GRANT SELECT, INSERT, DELETE ON claims TO annals_app;

-- Private values of a stream, such as a password's hash: replaceable and forgettable, so not in the journal.
CREATE TABLE secrets (
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    name      text NOT NULL,
    value     bytea NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, name)
);
SELECT isolate('secrets');
GRANT SELECT, INSERT, UPDATE, DELETE ON secrets TO annals_app;

-- A shortcut to the state of a long stream; may be deleted at any time.
CREATE TABLE snapshots (
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    sequence  bigint NOT NULL,
    state     json NOT NULL,
    PRIMARY KEY (tenant_id, stream_id)
);
SELECT isolate('snapshots');
GRANT SELECT, INSERT, UPDATE, DELETE ON snapshots TO annals_app;
