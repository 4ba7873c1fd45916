-- Why: who writes behind the lock of a journal makes the others wait, so it takes as few round trips as possible. And small
-- tables are planned for as if they stayed so: a plan that reads journal_heads whole is kept while that grows.

-- Locks the end of the tenant's journal, for the rest of the transaction, and says where it is; without a journal one begins
-- at `now`. `changed` are the streams of the events after position `known`; null, if they are many.
CREATE FUNCTION journal_lock(
    tenant uuid, known bigint, at timestamptz, OUT head bigint, OUT head_at timestamptz, OUT changed uuid[]
)
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('app.tenant_id', tenant::text, true);
    SELECT position, recorded_at INTO head, head_at FROM journal_heads WHERE tenant_id = tenant FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO journal_heads (tenant_id, position, recorded_at) VALUES (tenant, 0, at) ON CONFLICT DO NOTHING;
        SELECT position, recorded_at INTO head, head_at FROM journal_heads WHERE tenant_id = tenant FOR UPDATE;
    END IF;
    -- A statement of its own: it sees what was committed while the lock was waited for.
    IF head - known <= 256 THEN
        changed := ARRAY(SELECT DISTINCT stream_id FROM events WHERE tenant_id = tenant AND position > known);
    END IF;
END $$;

ALTER FUNCTION journal_append SET enable_seqscan = off;
ALTER FUNCTION journal_load SET enable_seqscan = off;
