-- Why: whoever lost an answer sends the request again, and must get that answer and not the effect a second time.
--
-- A request with an idempotency key leaves its answer here, in the commit of what it did. What a row is of, nobody can
-- tell without the installation's secret: `request` is a keyed hash of principal, route and key, `fingerprint` one of the
-- body, and `answer` is encrypted, because it may hold secrets.

CREATE TABLE kept_answers (
    -- The tenant of the route, or the platform.
    tenant_id   uuid NOT NULL,
    request     bytea NOT NULL CHECK (octet_length(request) = 32),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    answer      bytea NOT NULL,
    kept_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, request)
);
CREATE INDEX kept_answers_by_age ON kept_answers (kept_at);
SELECT isolate('kept_answers');
GRANT SELECT, INSERT, UPDATE, DELETE ON kept_answers TO annals_app;

-- The platform sweeps out what has expired, whosever it is, and sees nothing else.
CREATE POLICY expired_seen ON kept_answers FOR SELECT USING (
    (SELECT current_setting('app.tenant_id', true)) = '00000000-0000-0000-0000-000000000000'
    AND kept_at <= now() - interval '24 hours'
);
CREATE POLICY expired_swept ON kept_answers FOR DELETE USING (
    (SELECT current_setting('app.tenant_id', true)) = '00000000-0000-0000-0000-000000000000'
    AND kept_at <= now() - interval '24 hours'
);
