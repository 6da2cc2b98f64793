-- Who writes to this lake. A name belongs to one store: another one may not take it.
CREATE TABLE hindcast_recorder(
    recorder varchar PRIMARY KEY,
    store varchar NOT NULL,
    -- When it last said that it is there, and until when what it had received is named here.
    seen_at timestamptz NOT NULL,
    named_until timestamptz NOT NULL
);
-- One row per file that a recorder wrote: its number there, its partition, its exact range of time in nanoseconds.
CREATE TABLE hindcast_segment(
    data_file_id bigint PRIMARY KEY,
    recorder varchar NOT NULL REFERENCES hindcast_recorder,
    segment bigint NOT NULL,
    table_code bigint NOT NULL,
    hour bigint NOT NULL,
    min_time bigint NOT NULL,
    max_time bigint NOT NULL,
    has_minutes boolean NOT NULL,
    -- The snapshot that named it, or the one that it left in.
    changed bigint NOT NULL,
    UNIQUE (recorder, segment)
);
CREATE INDEX hindcast_segment_changed ON hindcast_segment(changed);
CREATE INDEX hindcast_file_column_stats ON ducklake_file_column_stats(data_file_id);
CREATE INDEX hindcast_data_file_end ON ducklake_data_file(end_snapshot);
