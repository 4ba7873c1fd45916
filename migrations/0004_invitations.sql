-- Why: a tenant lists its invitations by state, newest first.

CREATE TABLE invitations (
    tenant_id     uuid NOT NULL,
    id            text COLLATE "C" NOT NULL,
    email         text NOT NULL,
    role          text NOT NULL,
    workspace_ids text[] NOT NULL,
    state         text NOT NULL,
    invited_by    text NOT NULL,
    sent_at       timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    sequence      bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
SELECT isolate('invitations');
GRANT SELECT, INSERT, UPDATE, DELETE ON invitations TO annals_app;
