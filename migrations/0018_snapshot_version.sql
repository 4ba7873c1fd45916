-- Why: a state that was written in another shape, or by other rules, must not be taken for one of today's.

-- Version 0 is nobody's: what was written before states had versions is passed over, and so is what a build that knows
-- of none still writes while it is being replaced.
ALTER TABLE snapshots ADD COLUMN version smallint NOT NULL DEFAULT 0;
