-- A pod is also asked for by the beginning of its name, which a bloom filter does not know, but the values of a granule do.
ALTER TABLE {database}.flows{on_cluster}
    ADD INDEX IF NOT EXISTS src_pod_values src_pod TYPE set(256) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS dst_pod_values dst_pod TYPE set(256) GRANULARITY 1
