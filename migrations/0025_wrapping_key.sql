-- Why: the key that people's keys are wrapped with can be replaced. A server must then never wrap another one with the old
-- key, which may be forgotten the moment that no row is wrapped with it any more.
--
-- Which key wraps is said by a row that every installation has: that of addresses (the nil subject), which the first start
-- makes and nothing destroys. Whoever adds a key holds that row, shared, until its transaction ends; replacing the key
-- begins with wrapping that row anew, so it waits for all who are adding with the old key, and those who come later
-- see the new one.

-- The keys of `subjects`. Those who have none get the one that is offered for them, if it is wrapped with the key that
-- wraps; if it is not, they have no row in the answer. Works in any transaction: it goes to the platform's context and
-- comes back.
--
-- Its forerunner, subject_keys_of, stays for servers of builds before this one while they are being replaced: they know
-- no key but the one of the secret key, which is never forgotten.
CREATE FUNCTION offer_subject_keys(subjects uuid[], offered_ids uuid[], offered_by text, offered bytea[])
RETURNS TABLE (subject_id uuid, key_id uuid, wrapped_by text, wrapped bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    platform constant uuid := '00000000-0000-0000-0000-000000000000';
    addresses constant uuid := '00000000-0000-0000-0000-000000000000';
    context constant text := coalesce(current_setting('app.tenant_id', true), '');
BEGIN
    PERFORM set_config('app.tenant_id', platform::text, true);
    -- Most often all have one, and then nothing is locked.
    IF EXISTS (
        SELECT FROM unnest(subjects) AS asked (subject)
        WHERE NOT EXISTS (SELECT FROM subject_keys WHERE tenant_id = platform AND subject_id = subject)
    ) THEN
        INSERT INTO subject_keys (tenant_id, subject_id, key_id, wrapped_by, wrapped)
        SELECT platform, subject, id, offered_by, key
        FROM unnest(subjects, offered_ids, offered) AS new (subject, id, key)
        WHERE subject = addresses
        ON CONFLICT DO NOTHING;
        PERFORM FROM subject_keys
        WHERE tenant_id = platform AND subject_id = addresses AND wrapped_by = offered_by
        FOR SHARE;
        IF FOUND THEN
            -- In order, so that two that make the same keys wait for each other and do not lock each other out.
            INSERT INTO subject_keys (tenant_id, subject_id, key_id, wrapped_by, wrapped)
            SELECT platform, subject, id, offered_by, key
            FROM unnest(subjects, offered_ids, offered) AS new (subject, id, key)
            ORDER BY subject
            ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN QUERY
        SELECT subject_id, key_id, wrapped_by, wrapped FROM subject_keys
        WHERE tenant_id = platform AND subject_id = ANY(subjects);
    PERFORM set_config('app.tenant_id', context, true);
END $$;
