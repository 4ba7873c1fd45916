-- Why: a decision's streams are read, and what it produced is appended, in one round trip each; and the appends of several
-- tenants share one commit, because waiting for the disk costs more than anything else in it.
--
-- Each function sets the tenant's context itself, for the rest of its transaction, before it touches the tenant's rows:
-- row level security holds inside as everywhere. Called outside a transaction, the context ends with the call.

-- Where a tenant's journal ends, with the snapshots of `streams` that have the versions asked for and the events after
-- them, and those of `firsts` that have an event: all as of one moment. Without any of them there is one row, and without a journal its position is 0.
CREATE FUNCTION journal_load(tenant uuid, streams uuid[], snapshot_versions smallint[], firsts uuid[])
RETURNS TABLE (
    head bigint, head_at timestamptz, stream_id uuid, sequence bigint, event_type text, version smallint, payload json
)
LANGUAGE plpgsql ROWS 50
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('app.tenant_id', tenant::text, true);
    RETURN QUERY
    SELECT coalesce(journal.position, 0), journal.recorded_at,
           past.stream_id, past.sequence, past.event_type, past.version, past.payload
    FROM (VALUES (true)) AS one (row)
    LEFT JOIN journal_heads AS journal ON journal.tenant_id = tenant
    LEFT JOIN (
        SELECT snapshot.stream_id, snapshot.sequence, NULL AS event_type, snapshot.version, snapshot.state AS payload
        FROM unnest(streams, snapshot_versions) AS asked (stream_id, version)
        JOIN snapshots AS snapshot
            ON snapshot.tenant_id = tenant AND snapshot.stream_id = asked.stream_id AND snapshot.version = asked.version
        UNION ALL
        SELECT event.stream_id, event.sequence, event.event_type, event.event_version, event.payload
        FROM unnest(streams, snapshot_versions) AS asked (stream_id, version)
        LEFT JOIN snapshots AS snapshot
            ON snapshot.tenant_id = tenant AND snapshot.stream_id = asked.stream_id AND snapshot.version = asked.version
        CROSS JOIN LATERAL (
            SELECT stream_id, sequence, event_type, event_version, payload
            FROM events
            WHERE tenant_id = tenant AND stream_id = asked.stream_id
              AND sequence > coalesce(snapshot.sequence, 0)
            -- A fence: without it the planner may join by reading the tenant's whole journal.
            OFFSET 0
        ) AS event
        UNION ALL
        SELECT first.stream_id, 1, NULL, NULL, NULL
        FROM unnest(firsts) AS first (stream_id)
        WHERE EXISTS (
            SELECT FROM events AS event
            WHERE event.tenant_id = tenant AND event.stream_id = first.stream_id AND event.sequence = 1
        )
    ) AS past ON true
    ORDER BY past.stream_id, past.event_type IS NOT NULL, past.sequence;
END $$;

-- A call that appends for several tenants names them, for its own statements only.
DO $$
DECLARE
    named constant text :=
        $p$tenant_id = ANY ((SELECT nullif(current_setting('app.appending', true), '')::uuid[])::uuid[])$p$;
BEGIN
    EXECUTE format('CREATE POLICY appending ON events FOR INSERT WITH CHECK (%s)', named);
    EXECUTE format('CREATE POLICY appending ON journal_heads USING (%s) WITH CHECK (%s)', named, named);
END $$;

-- Appends to the journals of `tenants`, each only if it ends at the position expected of it; it then ends at `heads`. Of
-- each event, `places` says the place of its tenant among them, and `commands` that of its metadata. `appended` are the
-- tenants whose journals ended where they were expected to, those without new events included.
--
-- Nothing at all is appended, and `changed` says why, if one of the platform's `sessions` has got newer events than the
-- caller knew of. A journal that another transaction is at is waited for, but not long: the other tenants wait, too.
CREATE FUNCTION journal_append(
    tenants uuid[], expected bigint[], heads bigint[], times timestamptz[],
    places integer[], positions bigint[], commands integer[], streams uuid[], sequences bigint[], kinds text[],
    types text[], versions smallint[], payloads text[], hashes bytea[],
    metadata text[],
    sessions uuid[], session_sequences bigint[],
    OUT appended uuid[], OUT changed uuid[]
)
LANGUAGE plpgsql
-- How long the arrays are makes no better plan, and planning would cost more than the rest.
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '100ms'
AS $$
#variable_conflict use_column
BEGIN
    appended := '{}';
    changed := '{}';
    IF cardinality(sessions) > 0 THEN
        PERFORM set_config('app.tenant_id', '00000000-0000-0000-0000-000000000000', true);
        changed := ARRAY(
            SELECT known.session FROM unnest(sessions, session_sequences) AS known (session, at)
            WHERE EXISTS (
                SELECT FROM events AS event
                WHERE event.tenant_id = '00000000-0000-0000-0000-000000000000'
                  AND event.stream_id = known.session AND event.sequence = known.at + 1
            )
        );
        IF cardinality(changed) > 0 THEN
            RETURN;
        END IF;
    END IF;
    PERFORM set_config('app.appending', tenants::text, true);
    IF 0 = ANY (expected) THEN
        INSERT INTO journal_heads (tenant_id, position, recorded_at)
        SELECT tenant, 0, at FROM unnest(tenants, expected, times) AS new (tenant, expected, at) WHERE expected = 0
        ON CONFLICT DO NOTHING;
    END IF;
    WITH moved AS (
        UPDATE journal_heads AS journal SET position = wanted.head, recorded_at = wanted.at
        FROM unnest(tenants, expected, heads, times) AS wanted (tenant, expected, head, at)
        WHERE journal.tenant_id = wanted.tenant AND journal.position = wanted.expected
        RETURNING wanted.tenant
    )
    SELECT coalesce(array_agg(tenant), '{}') INTO appended FROM moved;
    IF cardinality(positions) > 0 THEN
        INSERT INTO events (tenant_id, position, recorded_at, metadata, stream_id, sequence, stream_kind, event_type,
                            event_version, payload, leaf_hash)
        SELECT tenants[place], position, times[place], metadata[command]::json, stream_id, sequence, kind, type,
               version, payload::json, hash
        FROM unnest(places, positions, commands, streams, sequences, kinds, types, versions, payloads, hashes)
             AS new (place, position, command, stream_id, sequence, kind, type, version, payload, hash)
        WHERE cardinality(appended) = cardinality(tenants) OR tenants[place] = ANY (appended);
    END IF;
    PERFORM set_config('app.appending', '', true);
END $$;
