-- The recorders that send rows here, each noted before its first row. Whoever reads knows by it whether there are others.
CREATE TABLE IF NOT EXISTS {database}.stores{on_cluster}
(
    segment_store String,
    noted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {merge_tree}
ORDER BY segment_store
