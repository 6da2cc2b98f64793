CREATE TABLE IF NOT EXISTS {database}.policies{on_cluster}
(
    valid_from DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    valid_to Nullable(DateTime64(9, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    learned_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    cluster LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    namespace LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    manifest Nullable(String) CODEC(ZSTD(1)),
    segment_store LowCardinality(String) CODEC(ZSTD(1)),
    segment UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = {merge_tree}
PARTITION BY toDate(valid_from)
ORDER BY (valid_from)
SETTINGS allow_nullable_key = 1, non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
