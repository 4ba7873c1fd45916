-- Why: a journal that is restored brings the keys of its people along, and somebody may have been given another key here
-- meanwhile. What either has sealed must stay readable, and both must go when the person is erased.

-- A subject has one key that seals. A key that only opens what it sealed elsewhere has its own id as its subject, and
-- says here whose it is.
ALTER TABLE subject_keys ADD COLUMN past_of uuid CHECK (past_of IS NULL OR subject_id = key_id);
CREATE INDEX subject_keys_past ON subject_keys (tenant_id, past_of) WHERE past_of IS NOT NULL;

-- The destroyed key of an address keeps its id and forgets the address, which may be somebody else's some day: so it can't
-- come back out of a file that was written before.
