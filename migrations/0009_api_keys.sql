-- Why: a project's API keys are listed with when they were last used.

CREATE TABLE api_keys (
    tenant_id    uuid NOT NULL,
    id           text COLLATE "C" NOT NULL,
    workspace_id text COLLATE "C" NOT NULL,
    project_id   text COLLATE "C" NOT NULL,
    name         text NOT NULL,
    scopes       text[] NOT NULL,
    secret_hint  text NOT NULL,
    state        text NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    sequence     bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX api_keys_by_project ON api_keys (tenant_id, project_id, id);
SELECT isolate('api_keys');
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO annals_app;
