-- Why: a tenant sees itself, a user the tenants they belong to, and the platform's administrators all of them.

CREATE TABLE tenants (
    tenant_id          uuid PRIMARY KEY,
    id                 text COLLATE "C" NOT NULL,
    name               text NOT NULL,
    slug               text NOT NULL,
    state              text NOT NULL,
    frozen_reason      text,
    plan               text,
    subscription_state text,
    members            integer NOT NULL,
    created_at         timestamptz NOT NULL,
    sequence           bigint NOT NULL
);
SELECT isolate('tenants', 'read');
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants TO annals_app;
