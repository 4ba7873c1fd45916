-- Why: an auditor asks who did what to which thing, and when; newest first.

CREATE TABLE audit (
    tenant_id   uuid NOT NULL,
    position    bigint NOT NULL,
    id          text NOT NULL,
    action      text NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor       jsonb NOT NULL,
    actor_id    text GENERATED ALWAYS AS (actor ->> 'id') STORED,
    targets     jsonb NOT NULL,
    context     jsonb NOT NULL,
    outcome     text NOT NULL,
    metadata    jsonb NOT NULL,
    leaf_hash   text NOT NULL,
    PRIMARY KEY (tenant_id, position)
);
CREATE INDEX audit_by_actor ON audit (tenant_id, actor_id, position);
CREATE INDEX audit_by_action ON audit (tenant_id, action, position);
CREATE INDEX audit_by_time ON audit (tenant_id, occurred_at);
SELECT isolate('audit');
GRANT SELECT, INSERT, DELETE ON audit TO annals_app;

-- A table and not an array: `@>` is not leakproof, so under a policy no index would serve it.
CREATE TABLE audit_targets (
    tenant_id uuid NOT NULL,
    target_id text NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (tenant_id, target_id, position)
);
SELECT isolate('audit_targets');
GRANT SELECT, INSERT, DELETE ON audit_targets TO annals_app;
