-- Why: a tenant lists its workspaces, oldest first.

CREATE TABLE workspaces (
    tenant_id  uuid NOT NULL,
    id         text COLLATE "C" NOT NULL,
    name       text NOT NULL,
    created_at timestamptz NOT NULL,
    sequence   bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
SELECT isolate('workspaces');
GRANT SELECT, INSERT, UPDATE, DELETE ON workspaces TO annals_app;
