-- Which steps were applied, when and by which build.
CREATE TABLE IF NOT EXISTS {database}.schema_migrations{on_cluster}
(
    version UInt32,
    name String,
    build String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {merge_tree}
ORDER BY version
