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
LANGUAGE plpgsql ROWS 50 AS $$
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

-- Appends to the journals of `tenants`, each only if it ends at the position expected of it. `counts` says how many of the
-- events, which follow in the order of the tenants, are whose; `commands` which of `metadata` each has. `reached` says
-- where each journal ends then: where the caller wanted it to, or elsewhere (-1: another transaction is at it) if
-- nothing was appended to it.
--
-- Nothing at all is appended, and `changed` says why, if one of the platform's `sessions` has got newer events than the
-- caller knew of.
CREATE FUNCTION journal_append(
    tenants uuid[], expected bigint[], times timestamptz[], counts integer[],
    commands integer[], streams uuid[], sequences bigint[], kinds text[], types text[], versions smallint[],
    payloads text[], hashes bytea[], metadata text[],
    sessions uuid[], session_sequences bigint[],
    OUT reached bigint[], OUT changed uuid[]
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    from_place integer := 1;
    to_place integer;
    ends_at bigint;
BEGIN
    reached := '{}';
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
    FOR place IN 1 .. cardinality(tenants) LOOP
        PERFORM set_config('app.tenant_id', tenants[place]::text, true);
        to_place := from_place + counts[place] - 1;
        -- Never waits: whoever is at a journal must not keep the others' tenants waiting.
        SELECT position INTO ends_at FROM journal_heads WHERE tenant_id = tenants[place] FOR UPDATE SKIP LOCKED;
        IF NOT FOUND AND expected[place] = 0 THEN
            INSERT INTO journal_heads (tenant_id, position, recorded_at) VALUES (tenants[place], 0, times[place])
            ON CONFLICT DO NOTHING
            RETURNING position INTO ends_at;
        END IF;
        IF ends_at = expected[place] AND counts[place] > 0 THEN
            ends_at := ends_at + counts[place];
            UPDATE journal_heads SET position = ends_at, recorded_at = times[place] WHERE tenant_id = tenants[place];
            INSERT INTO events (tenant_id, position, recorded_at, metadata, stream_id, sequence, stream_kind, event_type,
                                event_version, payload, leaf_hash)
            SELECT tenants[place], expected[place] + number, times[place], metadata[command]::json, stream_id, sequence,
                   kind, type, version, payload::json, hash
            FROM unnest(commands[from_place:to_place], streams[from_place:to_place], sequences[from_place:to_place],
                        kinds[from_place:to_place], types[from_place:to_place], versions[from_place:to_place],
                        payloads[from_place:to_place], hashes[from_place:to_place])
                 WITH ORDINALITY AS new (command, stream_id, sequence, kind, type, version, payload, hash, number);
        END IF;
        reached := reached || coalesce(ends_at, -1);
        from_place := to_place + 1;
    END LOOP;
END $$;
