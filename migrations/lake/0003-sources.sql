-- A recorder that never comes back: what it has not published by then is never published.
ALTER TABLE hindcast_recorder ADD COLUMN retired_at timestamptz;
-- Until when it takes part in sharing sources, unless it says so again.
ALTER TABLE hindcast_recorder ADD COLUMN shares_until timestamptz;
-- Sources that recorders share: who reads each, and who read it before.
CREATE TABLE hindcast_source(
    source varchar PRIMARY KEY,
    recorder varchar REFERENCES hindcast_recorder,
    last_recorder varchar REFERENCES hindcast_recorder
);
