-- Why: a tenant lists its members in the order in which they joined, and a user asks where they are a member.

CREATE TABLE members (
    tenant_id     uuid NOT NULL,
    id            text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    -- The same user, in the form that a transaction names its user in.
    user_uuid     uuid NOT NULL,
    email         text NOT NULL,
    name          text NOT NULL,
    role          text NOT NULL,
    workspace_ids text[] NOT NULL,
    joined_at     timestamptz NOT NULL,
    position      bigint NOT NULL,
    sequence      bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX members_by_position ON members (tenant_id, position);
-- The one index without the tenant in front: its query is about one user in all tenants.
CREATE INDEX members_by_user ON members (user_uuid);
SELECT isolate('members');
CREATE POLICY own_memberships ON members FOR SELECT
    USING (user_uuid = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON members TO annals_app;
