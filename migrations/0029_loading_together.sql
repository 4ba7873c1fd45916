-- Why: commands of tenants that nobody asked for lately read their streams first, each by itself; starting a statement takes
-- longer than finding its rows. So the streams of several tenants are read in one call, which names the tenants. And of a
-- stream that has a snapshot, what is before it is no longer read.

-- Lets a transaction that names tenants for a purpose (`app.<purpose>`) into a table. It is a CASE so that no index could
-- serve it; see open_to_projectors, which is a case of it.
CREATE FUNCTION open_for(purpose text, tenant_table regclass, command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        $p$CREATE POLICY %1$I ON %2$s FOR %3$s USING (
            CASE WHEN (SELECT coalesce(current_setting('app.%1$s', true), '')) = '' THEN false
            ELSE tenant_id = ANY ((SELECT nullif(current_setting('app.%1$s', true), '')::uuid[])::uuid[]) END)$p$,
        purpose, tenant_table, command
    );
END $$;
REVOKE EXECUTE ON FUNCTION open_for FROM PUBLIC;

CREATE OR REPLACE FUNCTION open_to_projectors(tenant_table regclass, command text) RETURNS void
LANGUAGE sql AS $$ SELECT open_for('projecting', tenant_table, command) $$;

SELECT open_for('loading', loaded, 'SELECT') FROM unnest('{journal_heads, snapshots, events}'::regclass[]) AS loaded;

-- Where the tenants' journals end (rows without a stream), the snapshots of `streams` that have the versions asked for, the
-- events after them, and those of `firsts` that have an event: all as of one moment. `places` and `first_places` say the
-- place of each one's tenant among `tenants`. Without a journal there is no `head_at`. (The function of the same name that
-- takes one tenant is what servers call that run an earlier build.)
--
-- OFFSET 0 is a fence: without it the planner may read the whole journal of a tenant, or all snapshots. And under a policy an
-- index is entered with columns, not with expressions like coalesce: all of a stream would be read.
CREATE FUNCTION journal_load(
    tenants uuid[],
    places integer[], streams uuid[], snapshot_versions smallint[],
    first_places integer[], firsts uuid[]
)
RETURNS TABLE (
    place integer, head bigint, head_at timestamptz,
    stream_id uuid, sequence bigint, event_type text, version smallint, payload json
)
LANGUAGE plpgsql ROWS 50
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('app.loading', tenants::text, true);
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT wanted.place, wanted.stream_id, snapshot.sequence, snapshot.version, snapshot.state
        FROM unnest(places, streams, snapshot_versions) AS wanted (place, stream_id, version)
        LEFT JOIN LATERAL (
            SELECT sequence, version, state FROM snapshots
            WHERE tenant_id = tenants[wanted.place] AND stream_id = wanted.stream_id AND version = wanted.version
            OFFSET 0
        ) AS snapshot ON true
    )
    SELECT asked.place::integer, journal.position, journal.recorded_at,
           NULL::uuid, NULL::bigint, NULL, NULL::smallint, NULL::json
    FROM unnest(tenants) WITH ORDINALITY AS asked (tenant, place)
    JOIN journal_heads AS journal ON journal.tenant_id = asked.tenant
    UNION ALL
    SELECT place, NULL, NULL, stream_id, sequence, NULL, version, state FROM wanted WHERE sequence IS NOT NULL
    UNION ALL
    SELECT wanted.place, NULL, NULL, wanted.stream_id, event.sequence, event.event_type, event.event_version, event.payload
    FROM (SELECT place, stream_id, coalesce(sequence, 0) AS known FROM wanted OFFSET 0) AS wanted
    CROSS JOIN LATERAL (
        SELECT sequence, event_type, event_version, payload FROM events
        WHERE tenant_id = tenants[wanted.place] AND stream_id = wanted.stream_id AND sequence > wanted.known
        OFFSET 0
    ) AS event
    UNION ALL
    SELECT first.place, NULL, NULL, first.stream_id, 1, NULL, NULL, NULL
    FROM unnest(first_places, firsts) AS first (place, stream_id)
    WHERE EXISTS (
        SELECT FROM events AS event
        WHERE event.tenant_id = tenants[first.place] AND event.stream_id = first.stream_id AND event.sequence = 1
    )
    -- A stream's snapshot, then its events in order.
    ORDER BY 1, 4, 5;
    PERFORM set_config('app.loading', '', true);
END $$;
