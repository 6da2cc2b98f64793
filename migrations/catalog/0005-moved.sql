-- Hours of a table whose rows have left the lake, because they are in ClickHouse, and what these rows were.
CREATE TABLE hindcast_moved(
    table_code INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    n_rows INTEGER NOT NULL,
    min_time INTEGER NOT NULL,
    max_time INTEGER NOT NULL,
    PRIMARY KEY (table_code, hour)
);
-- Rows of the inserts that a segment is sent in: the same when it is sent on later, whatever the setting is then.
ALTER TABLE hindcast_shipment ADD COLUMN block_rows INTEGER;
