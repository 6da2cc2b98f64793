"""DuckDB for the benchmark: reads one JSON request per line, prints one JSON answer per line.

usage: duckdb_peer.py DATABASE_FILE
requests: {"load": parquet glob}, {"load_json": file}, {"sql": query}
"""

import json
import sys
import time

import duckdb


def answer(connection, request):
    started = time.perf_counter()
    n_rows = 0
    if "load" in request:
        connection.execute(f"CREATE TABLE flows AS SELECT * FROM read_parquet('{request['load']}')")
        connection.execute("CHECKPOINT")
    elif "load_json" in request:
        connection.execute(f"CREATE TABLE lines AS SELECT * FROM read_json('{request['load_json']}', format = 'newline_delimited')")
        connection.execute("CHECKPOINT")
        elapsed = time.perf_counter() - started
        connection.execute("DROP TABLE lines")
        return {"seconds": elapsed, "rows": 0}
    else:
        n_rows = connection.execute(request["sql"]).to_arrow_table().num_rows
    return {"seconds": time.perf_counter() - started, "rows": n_rows}


def main():
    connection = duckdb.connect(sys.argv[1])
    for line in sys.stdin:
        try:
            reply = answer(connection, json.loads(line))
        except Exception as error:  # the caller decides what to do about it
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
