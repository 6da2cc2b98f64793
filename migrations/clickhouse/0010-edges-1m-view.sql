-- Every inserted block of flows, folded by the minute.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.edges_1m_view{on_cluster} TO {database}.edges_1m AS
{fold 60000000000}
