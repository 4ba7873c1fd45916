-- Why: a tenant lists the projects of a workspace, oldest first.

CREATE TABLE projects (
    tenant_id    uuid NOT NULL,
    id           text COLLATE "C" NOT NULL,
    workspace_id text COLLATE "C" NOT NULL,
    name         text NOT NULL,
    created_at   timestamptz NOT NULL,
    sequence     bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX projects_by_workspace ON projects (tenant_id, workspace_id, id);
SELECT isolate('projects');
GRANT SELECT, INSERT, UPDATE, DELETE ON projects TO annals_app;
