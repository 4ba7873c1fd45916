-- Why: what an entry of the audit log says is in the journal already. So the table keeps what entries are found by, as that of
-- tracked events does, and what they say is folded when it is read: nothing is kept twice, and an append costs less.

ALTER TABLE audit ALTER COLUMN actor_id DROP EXPRESSION;
ALTER TABLE audit
    DROP COLUMN id, DROP COLUMN actor, DROP COLUMN targets, DROP COLUMN context, DROP COLUMN outcome,
    DROP COLUMN metadata, DROP COLUMN leaf_hash;
