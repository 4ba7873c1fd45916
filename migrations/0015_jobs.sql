-- Why: a projection adds jobs in its own transaction, as the application's role.
--
-- The queue's tables belong to graphile_worker, which puts them under row level security without a policy: nobody but
-- their owner gets in. This door lets the application add jobs and do nothing else. The body is looked up when it runs,
-- because the queue's own migrations come after these.

CREATE FUNCTION add_jobs(tasks text[], payloads text[], max_attempts smallint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM graphile_worker.add_jobs((
        SELECT array_agg(
            ROW(task, payload::json, NULL, NULL, attempts, NULL, NULL, NULL)::graphile_worker.job_spec ORDER BY place)
        FROM unnest(tasks, payloads, max_attempts) WITH ORDINALITY AS job (task, payload, attempts, place)
    ));
END $$;
REVOKE EXECUTE ON FUNCTION add_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_jobs TO annals_app;
