-- Set where rows that ClickHouse took and then lost are sent again: part of the token of their inserts, so that it does not take them for known.
ALTER TABLE hindcast_shipment ADD COLUMN again INTEGER;
