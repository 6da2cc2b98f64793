CREATE TABLE IF NOT EXISTS {database}.agent_events{on_cluster}
(
    time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    recorded_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    cluster LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    node LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    source_kind LowCardinality(String) CODEC(ZSTD(1)),
    source LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    event_type LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    message LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    rest Nullable(String) CODEC(ZSTD(1)),
    segment_store LowCardinality(String) CODEC(ZSTD(1)),
    segment UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = {merge_tree}
PARTITION BY toDate(time)
ORDER BY (time)
SETTINGS allow_nullable_key = 1, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
