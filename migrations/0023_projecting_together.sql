-- Why: where all is well, all projections of a tenant stand at one position, and tenants that have grown meanwhile are
-- projected in one transaction. So a checkpoint is a group's, and a transaction may name several tenants.

ALTER TABLE projection_checkpoints RENAME TO single_checkpoints;

CREATE TABLE projection_checkpoints (
    tenant_id   uuid NOT NULL,
    -- Those that stand together, by name; each is in one group of its tenant.
    projections text[] COLLATE "C" NOT NULL CHECK (cardinality(projections) > 0),
    position    bigint NOT NULL CHECK (position >= 0),
    -- What the last attempt failed with; null while all is well. Who fails stands alone.
    error       text,
    PRIMARY KEY (tenant_id, projections)
) WITH (fillfactor = 40);
SELECT isolate('projection_checkpoints', 'read');
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_checkpoints TO annals_app;

INSERT INTO projection_checkpoints (tenant_id, projections, position, error)
SELECT tenant_id, array_agg(projection ORDER BY projection COLLATE "C"), position, error
FROM single_checkpoints GROUP BY tenant_id, position, error;
DROP TABLE single_checkpoints;

-- The same, a row for each projection.
CREATE VIEW projection_positions WITH (security_invoker = true) AS
SELECT tenant_id, unnest(projections) AS projection, position, error FROM projection_checkpoints;
GRANT SELECT ON projection_positions TO annals_app;

-- Lets transactions that project (`app.projecting` names their tenants) into a table: to read, or to write, too.
--
-- It is a CASE so that no index could serve it: with policies that are alternatives, the planner would rather read all of a
-- tenant's rows by them than those that are asked for, by what they are asked for.
CREATE FUNCTION open_to_projectors(tenant_table regclass, command text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    named constant text := $p$CASE WHEN (SELECT coalesce(current_setting('app.projecting', true), '')) = '' THEN false
        ELSE tenant_id = ANY ((SELECT nullif(current_setting('app.projecting', true), '')::uuid[])::uuid[]) END$p$;
BEGIN
    EXECUTE format('CREATE POLICY projecting ON %s FOR %s USING (%s)', tenant_table, command, named);
END $$;
REVOKE EXECUTE ON FUNCTION open_to_projectors FROM PUBLIC;

SELECT open_to_projectors('events', 'SELECT');
SELECT open_to_projectors('journal_heads', 'SELECT');
SELECT open_to_projectors(projected, 'ALL')
FROM unnest('{projection_checkpoints, api_keys, audit, audit_targets, billing, invitations, members, projects,
              subscriptions, tenants, tracked_events, usage, workspaces}'::regclass[]) AS projected;

-- Moves a group of those of `willing` that are behind and free past their next events, `batch` of them at most: those that
-- have come furthest, or those that have come least far, until they meet the next. Groups that stand at the same position
-- become one. Waits for nobody.
CREATE FUNCTION advance_group(
    tenant uuid, willing text[], furthest boolean, batch bigint,
    -- Who was moved, and from where to where.
    OUT moved text[], OUT came_from bigint, OUT went_to bigint,
    -- Whether any of those that are free is still behind.
    OUT behind boolean,
    -- Of those that were not: those that somebody else is at, those that stand together with unwilling ones, and those that
    -- have no checkpoint yet.
    OUT locked text[], OUT tangled text[], OUT missing text[]
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    head constant bigint := coalesce((SELECT position FROM journal_heads WHERE tenant_id = tenant), 0);
    -- The keys of the groups that this transaction holds. Their rows are changed by later statements, which see what was
    -- committed while these locks were taken.
    free text[];
    going text[];
    others bigint;
BEGIN
    free := ARRAY(
        SELECT projections::text FROM projection_checkpoints
        WHERE tenant_id = tenant AND projections <@ willing AND position < head
        FOR UPDATE SKIP LOCKED
    );
    SELECT CASE WHEN furthest THEN max(position) ELSE min(position) END INTO came_from
    FROM projection_checkpoints WHERE tenant_id = tenant AND projections::text = ANY (free);
    going := ARRAY(
        SELECT projections::text FROM projection_checkpoints
        WHERE tenant_id = tenant AND projections::text = ANY (free) AND position = came_from
        ORDER BY projections
    );
    others := cardinality(free) - cardinality(going);
    IF cardinality(going) > 0 THEN
        went_to := least(came_from + batch, head, (
            SELECT min(position) FROM projection_checkpoints WHERE tenant_id = tenant AND position > came_from
        ));
        moved := ARRAY(
            SELECT name FROM unnest(going) AS joining, unnest(joining::text[]) AS name ORDER BY name COLLATE "C"
        );
        IF cardinality(going) > 1 THEN
            DELETE FROM projection_checkpoints WHERE tenant_id = tenant AND projections::text = ANY (going[2:]);
        END IF;
        UPDATE projection_checkpoints SET position = went_to, projections = moved, error = NULL
        WHERE tenant_id = tenant AND projections::text = going[1];
    END IF;
    behind := others > 0 OR coalesce(went_to < head, false);
    moved := coalesce(moved, '{}');
    SELECT coalesce(array_agg(name) FILTER (WHERE projections <@ willing AND NOT name = ANY (moved)
                                              AND NOT projections::text = ANY (free)), '{}'),
           coalesce(array_agg(name) FILTER (WHERE NOT projections <@ willing AND name = ANY (willing)), '{}')
    INTO locked, tangled
    FROM projection_checkpoints, unnest(projections) AS name WHERE tenant_id = tenant AND position < head;
    missing := ARRAY(
        SELECT unnest(willing) EXCEPT SELECT unnest(projections) FROM projection_checkpoints WHERE tenant_id = tenant
    );
END $$;

-- Gives those of `names` that stand together with others groups of their own, one each; waits for who moves those.
CREATE FUNCTION stand_apart(tenant uuid, names text[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    together record;
BEGIN
    LOOP
        SELECT projections, position, error INTO together FROM projection_checkpoints
        WHERE tenant_id = tenant AND projections && names AND cardinality(projections) > 1
        ORDER BY projections LIMIT 1
        FOR UPDATE;
        IF NOT FOUND THEN
            -- A group that was waited for may have become part of another one, which that statement did not see.
            EXIT WHEN NOT EXISTS (
                SELECT FROM projection_checkpoints
                WHERE tenant_id = tenant AND projections && names AND cardinality(projections) > 1
            );
            CONTINUE;
        END IF;
        DELETE FROM projection_checkpoints WHERE tenant_id = tenant AND projections = together.projections;
        INSERT INTO projection_checkpoints (tenant_id, projections, position, error)
        SELECT tenant, ARRAY[name], together.position, together.error
        FROM unnest(together.projections) AS name WHERE name = ANY (names);
        INSERT INTO projection_checkpoints (tenant_id, projections, position, error)
        SELECT tenant, array_agg(name ORDER BY name COLLATE "C"), together.position, together.error
        FROM unnest(together.projections) AS name WHERE NOT name = ANY (names) HAVING count(*) > 0;
    END LOOP;
END $$;

-- Makes the checkpoint of those of `names` that have none. The journal's end is locked meanwhile, so that nobody else makes
-- one for some of them.
CREATE FUNCTION begin_projecting(tenant uuid, names text[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM journal_heads WHERE tenant_id = tenant FOR UPDATE;
    INSERT INTO projection_checkpoints (tenant_id, projections, position)
    SELECT tenant, array_agg(name ORDER BY name COLLATE "C"), 0 FROM (
        SELECT unnest(names) AS name
        EXCEPT SELECT unnest(projections) FROM projection_checkpoints WHERE tenant_id = tenant
    ) AS missing
    HAVING count(*) > 0;
END $$;

-- Says that one that stands alone has been brought to a position. If others stand there, and nobody is at them, it joins
-- them.
CREATE FUNCTION rejoin(tenant uuid, projection text, reached bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    others text[];
BEGIN
    UPDATE projection_checkpoints SET position = reached, error = NULL
    WHERE tenant_id = tenant AND projections = ARRAY[projection];
    SELECT projections INTO others FROM projection_checkpoints
    WHERE tenant_id = tenant AND position = reached AND error IS NULL AND NOT projection = ANY (projections)
    ORDER BY cardinality(projections) DESC LIMIT 1
    FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        DELETE FROM projection_checkpoints WHERE tenant_id = tenant AND projections = ARRAY[projection];
        UPDATE projection_checkpoints
        SET projections = ARRAY(SELECT name FROM unnest(others || projection) AS name ORDER BY name COLLATE "C")
        WHERE tenant_id = tenant AND projections = others;
    END IF;
END $$;

-- Puts a projection behind events that it is never to see; waits for who moves it.
CREATE FUNCTION pass_over(tenant uuid, projection text, reached bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    PERFORM begin_projecting(tenant, ARRAY[projection]);
    LOOP
        PERFORM stand_apart(tenant, ARRAY[projection]);
        UPDATE projection_checkpoints SET position = greatest(position, reached), error = NULL
        WHERE tenant_id = tenant AND projections = ARRAY[projection];
        -- It may have met others in between.
        EXIT WHEN FOUND;
    END LOOP;
END $$;
