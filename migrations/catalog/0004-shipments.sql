-- Segments whose rows are being sent to ClickHouse (is_done 0) or are there whole (1). One that was begun is sent to its end as it is.
CREATE TABLE hindcast_shipment(data_file_id INTEGER PRIMARY KEY, is_done INTEGER NOT NULL);
