"""Opens a Hindcast data directory with DuckDB's own ducklake extension, as anyone could."""

import os

import duckdb
import duckdb_extension_ducklake
import duckdb_extension_sqlite_scanner


def attach(data_dir):
    """A connection with the store of that data directory attached, read-only, as `hindcast`."""
    connection = duckdb.connect()
    for package in (duckdb_extension_sqlite_scanner, duckdb_extension_ducklake):
        folder = os.path.join(os.path.dirname(package.__file__), "extensions", f"v{duckdb.__version__}")
        for name in os.listdir(folder):
            connection.execute(f"LOAD '{os.path.join(folder, name)}'")
    catalogue = os.path.join(data_dir, "catalog.sqlite")
    connection.execute(f"ATTACH 'ducklake:sqlite:{catalogue}' AS hindcast (READ_ONLY)")
    connection.execute("USE hindcast")
    return connection
