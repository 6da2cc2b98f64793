"""Counts rows of a shared lake with DuckDB.

usage: count_shared.py DSN TABLE...

Prints one JSON object: table name to [rows counted, rows the catalogue promises].
"""

import json
import sys

from lake import attach_shared


def main():
    dsn, *tables = sys.argv[1:]
    connection = attach_shared(dsn)
    counts = {}
    for table in tables:
        (counted,) = connection.execute(f"SELECT count(*) FROM (SELECT time FROM {table} WHERE time IS NOT NULL)").fetchone()
        (promised,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        counts[table] = [counted, promised]
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
