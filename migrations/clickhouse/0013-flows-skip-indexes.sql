-- A pod, an address or a name is in few granules, and the key leads to none of them. Parts that are there get these indexes when they are merged.
ALTER TABLE {database}.flows{on_cluster}
    ADD INDEX IF NOT EXISTS src_pod_index src_pod TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS dst_pod_index dst_pod TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS src_ip_index src_ip TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS dst_ip_index dst_ip TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS dns_query_index dns_query TYPE bloom_filter(0.01) GRANULARITY 1
