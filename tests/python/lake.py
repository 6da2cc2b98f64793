"""Opens a Hindcast data directory with DuckDB's own ducklake extension, as anyone could."""

import os

import duckdb
import duckdb_extension_ducklake
import duckdb_extension_httpfs
import duckdb_extension_postgres_scanner
import duckdb_extension_sqlite_scanner


def connect(*packages):
    """A connection that can open lakes."""
    connection = duckdb.connect()
    for package in (*packages, duckdb_extension_ducklake):
        folder = os.path.join(os.path.dirname(package.__file__), "extensions", f"v{duckdb.__version__}")
        for name in os.listdir(folder):
            connection.execute(f"LOAD '{os.path.join(folder, name)}'")
    return connection


def attach(data_dir):
    """A connection with the store of that data directory attached, read-only, as `hindcast`."""
    connection = connect(duckdb_extension_sqlite_scanner)
    catalogue = os.path.join(data_dir, "catalog.sqlite")
    connection.execute(f"ATTACH 'ducklake:sqlite:{catalogue}' AS hindcast (READ_ONLY)")
    connection.execute("USE hindcast")
    return connection


def attach_shared(dsn):
    """A connection with the lake of that PostgreSQL database attached, read-only, as `hindcast`; its segments are in
    the S3 store that the environment names."""
    connection = connect(duckdb_extension_postgres_scanner, duckdb_extension_httpfs)
    endpoint = os.environ["AWS_ENDPOINT"].removeprefix("http://")
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', REGION '{os.environ['AWS_REGION']}',"
        f" ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL false)"
    )
    connection.execute(f"ATTACH 'ducklake:postgres:{dsn}' AS hindcast (READ_ONLY)")
    connection.execute("USE hindcast")
    return connection
