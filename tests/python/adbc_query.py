"""Runs a query over Flight SQL with the ADBC driver and prints its rows, one JSON array each.

usage: adbc_query.py GRPC_ADDRESS QUERY
"""

import json
import sys

import adbc_driver_flightsql.dbapi


def main():
    address, query = sys.argv[1:]
    with adbc_driver_flightsql.dbapi.connect(f"grpc://{address}") as connection:
        with connection.cursor() as cursor:
            cursor.execute(query)
            for row in cursor.fetchall():
                print(json.dumps(list(row), default=str))


if __name__ == "__main__":
    main()
