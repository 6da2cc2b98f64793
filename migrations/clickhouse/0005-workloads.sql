CREATE TABLE IF NOT EXISTS {database}.workloads{on_cluster}
(
    valid_from DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    valid_to Nullable(DateTime64(9, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    learned_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    cluster LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    ip LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    namespace LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    pod LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    workload LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    workload_kind LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    labels LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    identity Nullable(UInt32) CODEC(T64, ZSTD(1)),
    images LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    segment_store LowCardinality(String) CODEC(ZSTD(1)),
    segment UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = {merge_tree}
PARTITION BY toDate(valid_from)
ORDER BY (valid_from)
SETTINGS allow_nullable_key = 1, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
