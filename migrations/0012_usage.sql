-- Why: usage is shown as a series by the time of the events, by hour and up.

CREATE TABLE usage (
    tenant_id  uuid NOT NULL,
    hour       timestamptz NOT NULL,
    project_id uuid NOT NULL,
    event      text NOT NULL,
    count      bigint NOT NULL,
    -- The hour before the rest: every query is about a range of time.
    PRIMARY KEY (tenant_id, hour, project_id, event)
);
SELECT isolate('usage');
GRANT SELECT, INSERT, UPDATE, DELETE ON usage TO annals_app;
