CREATE TABLE IF NOT EXISTS {database}.losses{on_cluster}
(
    time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    end_time Nullable(DateTime64(9, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    recorded_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    cluster LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    node LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    source_kind LowCardinality(String) CODEC(ZSTD(1)),
    source LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    stage LowCardinality(String) CODEC(ZSTD(1)),
    reason LowCardinality(String) CODEC(ZSTD(1)),
    count Nullable(UInt64) CODEC(T64, ZSTD(1)),
    detail Nullable(String) CODEC(ZSTD(1)),
    rest Nullable(String) CODEC(ZSTD(1)),
    segment_store LowCardinality(String) CODEC(ZSTD(1)),
    segment UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = {merge_tree}
PARTITION BY toDate(time)
ORDER BY (time)
SETTINGS allow_nullable_key = 1, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
