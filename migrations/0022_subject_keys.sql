-- Why: the journal can't be changed, but what it says about a person must be forgotten when they ask for it. So it is
-- sealed with a key of that person, and the key can be destroyed.

-- Keys belong to people, who belong to no tenant, so all rows are the platform's: destroying one makes the person
-- unreadable in every journal at once.
CREATE TABLE subject_keys (
    tenant_id  uuid NOT NULL CHECK (tenant_id = '00000000-0000-0000-0000-000000000000'),
    -- A user, or a derived id of an address that has no account.
    subject_id uuid NOT NULL,
    -- What sealed texts name.
    key_id     uuid NOT NULL,
    -- Which of the installation's keys it is wrapped with.
    wrapped_by text NOT NULL,
    -- Null: destroyed, and none is ever made again for this subject.
    wrapped    bytea,
    PRIMARY KEY (tenant_id, subject_id)
);
CREATE UNIQUE INDEX subject_keys_by_id ON subject_keys (tenant_id, key_id);
SELECT isolate('subject_keys');
GRANT SELECT, INSERT, UPDATE, DELETE ON subject_keys TO annals_app;

-- These two work in any transaction: they go to the platform's context and come back.

-- The keys of `subjects`. Those who have none get the one that is offered for them.
CREATE FUNCTION subject_keys_of(subjects uuid[], offered_ids uuid[], offered_by text, offered bytea[])
RETURNS TABLE (subject_id uuid, key_id uuid, wrapped_by text, wrapped bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    platform constant uuid := '00000000-0000-0000-0000-000000000000';
    context constant text := coalesce(current_setting('app.tenant_id', true), '');
BEGIN
    PERFORM set_config('app.tenant_id', platform::text, true);
    -- In order, so that two that make the same keys wait for each other and do not lock each other out.
    INSERT INTO subject_keys (tenant_id, subject_id, key_id, wrapped_by, wrapped)
    SELECT platform, subject, id, offered_by, key
    FROM unnest(subjects, offered_ids, offered) AS new (subject, id, key)
    ORDER BY subject
    ON CONFLICT DO NOTHING;
    RETURN QUERY
        SELECT subject_id, key_id, wrapped_by, wrapped FROM subject_keys
        WHERE tenant_id = platform AND subject_id = ANY(subjects);
    PERFORM set_config('app.tenant_id', context, true);
END $$;

-- The keys with these ids that are not destroyed.
CREATE FUNCTION subject_keys_by_id(ids uuid[])
RETURNS TABLE (subject_id uuid, key_id uuid, wrapped_by text, wrapped bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    platform constant uuid := '00000000-0000-0000-0000-000000000000';
    context constant text := coalesce(current_setting('app.tenant_id', true), '');
BEGIN
    PERFORM set_config('app.tenant_id', platform::text, true);
    RETURN QUERY
        SELECT subject_id, key_id, wrapped_by, wrapped FROM subject_keys
        WHERE tenant_id = platform AND key_id = ANY(ids) AND wrapped IS NOT NULL;
    PERFORM set_config('app.tenant_id', context, true);
END $$;

-- Claims of addresses hold derived ids now, which tell nobody the address. An erased person's open invitations are found
-- by them in all tenants.
CREATE POLICY platform ON claims FOR SELECT
    USING ((SELECT current_setting('app.tenant_id', true)) = '00000000-0000-0000-0000-000000000000');
