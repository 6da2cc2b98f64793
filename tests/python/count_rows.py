"""Counts the sealed rows of tables with DuckDB, again and again while Hindcast writes.

usage: count_rows.py DATA_DIR TIMES TABLE...

Prints one JSON object per pass: table name to [rows counted, rows the catalogue promises]. A pass reads one snapshot;
between passes the store is attached anew, as a user who looks twice would do.
"""

import json
import sys

from lake import attach


def main():
    data_dir, times, *tables = sys.argv[1:]
    for _ in range(int(times)):
        connection = attach(data_dir)
        connection.execute("BEGIN TRANSACTION READ ONLY")
        counts = {}
        for table in tables:
            (counted,) = connection.execute(f"SELECT count(*) FROM (SELECT time FROM {table} WHERE time IS NOT NULL)").fetchone()
            (promised,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            counts[table] = [counted, promised]
        connection.execute("COMMIT")
        connection.close()
        print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
