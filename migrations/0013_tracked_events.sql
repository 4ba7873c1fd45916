-- Why: tracked events are listed by project, person and name, newest first. What they say stays in the journal.

CREATE TABLE tracked_events (
    tenant_id  uuid NOT NULL,
    position   bigint NOT NULL,
    project_id uuid NOT NULL,
    kind       text NOT NULL,
    event      text,
    user_id    text,
    timestamp  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, position)
);
CREATE INDEX tracked_events_by_project ON tracked_events (tenant_id, project_id, position);
CREATE INDEX tracked_events_by_user ON tracked_events (tenant_id, project_id, user_id, position)
    WHERE user_id IS NOT NULL;
CREATE INDEX tracked_events_by_event ON tracked_events (tenant_id, project_id, event, position)
    WHERE event IS NOT NULL;
SELECT isolate('tracked_events');
GRANT SELECT, INSERT, DELETE ON tracked_events TO annals_app;
