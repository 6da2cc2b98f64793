-- Whether the rows of a segment of flows are folded in edges_1m too; if not, whoever asks for minutes folds them.
ALTER TABLE hindcast_segment ADD COLUMN has_minutes INTEGER NOT NULL DEFAULT 1;
