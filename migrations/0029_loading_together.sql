-- Why: commands of tenants that nobody asked for lately read their streams first, each by itself; starting a statement takes
-- longer than finding its rows. So the streams of several tenants are read in one call, which names the tenants. And of a
-- stream that has a snapshot, what is before it is no longer read.

-- CASE, so that no index could serve it; see open_to_projectors.
DO $$
DECLARE
    named constant text := $p$CASE WHEN (SELECT coalesce(current_setting('app.loading', true), '')) = '' THEN false
        ELSE tenant_id = ANY ((SELECT nullif(current_setting('app.loading', true), '')::uuid[])::uuid[]) END$p$;
BEGIN
    EXECUTE format('CREATE POLICY loading ON journal_heads FOR SELECT USING (%s)', named);
    EXECUTE format('CREATE POLICY loading ON snapshots FOR SELECT USING (%s)', named);
    EXECUTE format('CREATE POLICY loading ON events FOR SELECT USING (%s)', named);
END $$;

DROP FUNCTION journal_load(uuid, uuid[], smallint[], uuid[]);

-- Where the tenants' journals end, with the snapshots of `streams` that have the versions asked for and the events after
-- them, and those of `firsts` that have an event: all as of one moment. `places` and `first_places` say the place of each
-- one's tenant among `tenants`. Each tenant has one row at least, and without a journal its position is 0.
CREATE FUNCTION journal_load(
    tenants uuid[],
    places integer[], streams uuid[], snapshot_versions smallint[],
    first_places integer[], firsts uuid[]
)
RETURNS TABLE (
    place bigint, head bigint, head_at timestamptz,
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
    SELECT asked.place, coalesce(journal.position, 0), journal.recorded_at,
           past.stream_id, past.sequence, past.event_type, past.version, past.payload
    FROM unnest(tenants) WITH ORDINALITY AS asked (tenant, place)
    LEFT JOIN journal_heads AS journal ON journal.tenant_id = asked.tenant
    LEFT JOIN (
        SELECT wanted.place,
               snapshot.stream_id, snapshot.sequence, NULL AS event_type, snapshot.version, snapshot.state AS payload
        FROM unnest(places, streams, snapshot_versions) AS wanted (place, stream_id, version)
        JOIN snapshots AS snapshot
            ON snapshot.tenant_id = tenants[wanted.place] AND snapshot.stream_id = wanted.stream_id
           AND snapshot.version = wanted.version
        UNION ALL
        SELECT wanted.place, event.stream_id, event.sequence, event.event_type, event.event_version, event.payload
        FROM (
            SELECT wanted.place, wanted.stream_id, coalesce(snapshot.sequence, 0) AS known
            FROM unnest(places, streams, snapshot_versions) AS wanted (place, stream_id, version)
            LEFT JOIN snapshots AS snapshot
                ON snapshot.tenant_id = tenants[wanted.place] AND snapshot.stream_id = wanted.stream_id
               AND snapshot.version = wanted.version
            -- A fence: under a policy the index is entered with columns, not with coalesce; without it all of a
            -- stream would be read.
            OFFSET 0
        ) AS wanted
        CROSS JOIN LATERAL (
            SELECT stream_id, sequence, event_type, event_version, payload
            FROM events
            WHERE tenant_id = tenants[wanted.place] AND stream_id = wanted.stream_id AND sequence > wanted.known
            -- Another one: without it the planner may join by reading the tenant's whole journal.
            OFFSET 0
        ) AS event
        UNION ALL
        SELECT first.place, first.stream_id, 1, NULL, NULL, NULL
        FROM unnest(first_places, firsts) AS first (place, stream_id)
        WHERE EXISTS (
            SELECT FROM events AS event
            WHERE event.tenant_id = tenants[first.place] AND event.stream_id = first.stream_id AND event.sequence = 1
        )
    ) AS past ON past.place = asked.place
    ORDER BY asked.place, past.stream_id, past.event_type IS NOT NULL, past.sequence;
    PERFORM set_config('app.loading', '', true);
END $$;
