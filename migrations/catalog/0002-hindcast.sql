-- What the recorder keeps about its own segments and log, in the same file and the same transactions.
CREATE TABLE hindcast_state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- One row per segment the catalogue names: its partition, its exact range of time in nanoseconds, its place in the log, the xxh3 of its
-- bytes.
CREATE TABLE hindcast_segment(data_file_id INTEGER PRIMARY KEY, table_code INTEGER NOT NULL, hour INTEGER NOT NULL, min_time INTEGER NOT NULL, max_time INTEGER NOT NULL, last_lsn INTEGER NOT NULL, checksum INTEGER NOT NULL);
-- Up to which log record the rows of a partition are sealed.
CREATE TABLE hindcast_mark(table_code INTEGER NOT NULL, hour INTEGER NOT NULL, lsn INTEGER NOT NULL, PRIMARY KEY(table_code, hour)) WITHOUT ROWID;
CREATE INDEX hindcast_column_stats ON ducklake_file_column_stats(data_file_id);
