-- Why: a read model must know how far it has come, in the same transaction as its rows.

CREATE TABLE projection_checkpoints (
    tenant_id  uuid NOT NULL,
    projection text NOT NULL,
    position   bigint NOT NULL CHECK (position >= 0),
    -- What the last attempt failed with; null while all is well.
    error      text,
    PRIMARY KEY (tenant_id, projection)
);
SELECT isolate('projection_checkpoints', 'read');
GRANT SELECT, INSERT, UPDATE ON projection_checkpoints TO annals_app;
