"""Reads a lake as other people do: with the deltalake package, pyarrow and DuckDB, never with trueup.

usage: readers.py versions LAKE --tables-of LOCAL_LAKE     one line a table: its Delta version
       readers.py contents LAKE --tables-of LOCAL_LAKE     one line a table: its rows; one line a signal
       readers.py demo LAKE --expected expected.json       the demo's rows and signals are there, by every reader
       readers.py once LAKE --expected expected.json       the demo's canonical rows are there, each key once

LAKE is a folder, s3://… or az://…, whose store the environment names. A failed check ends with status 1.
"""

import argparse
import collections
import json
import os
import pathlib
import sys

import duckdb
from deltalake import DeltaTable

KEYS = {
    "customers": ["customer_id"],
    "subscriptions": ["subscription_id"],
    "subscription_items": ["item_id"],
    "meters": ["meter"],
    "prices": ["price_id", "effective_from"],
    "usage_records": ["usage_id"],
    "bill_runs": ["bill_run_id"],
    "invoices": ["invoice_id"],
    "invoice_lines": ["line_id"],
    "adjustments": ["adjustment_id"],
    "entity_links": ["entity_type", "entity_id", "other_source"],
}
failures = []


def check(name, found, expected):
    if found == expected:
        print(f"ok: {name}: {found}")
    else:
        print(f"FAILED: {name}: {found}, expected {expected}")
        failures.append(name)


def delta(lake, table):
    """The table at its newest version; an absent one is an error."""
    options = {
        name.lower(): value
        for name, value in os.environ.items()
        if name.startswith(("AWS_", "AZURE_STORAGE_")) and "://" in lake
    }
    return DeltaTable(f"{lake}/{table}", storage_options=options)


def rows(lake, table, sql):
    """What DuckDB answers; the table is `t` in it."""
    connection = duckdb.connect()
    connection.register("t", delta(lake, table).to_pyarrow_table())
    return connection.sql(sql).fetchall()


def count(lake, table):
    return delta(lake, table).to_pyarrow_table().num_rows


def tables_of(folder):
    logs = sorted(pathlib.Path(folder).glob("*/*/_delta_log"))
    if not logs:
        sys.exit(f"{folder} has no tables")
    return ["/".join(log.parts[-3:-1]) for log in logs]


def versions(lake, tables):
    for table in tables:
        print(table, delta(lake, table).version())


def contents(lake, tables):
    for table in tables:
        print(table, count(lake, table))
    columns = "signal_id, rule_id, source, status, entity_count, impact, currency"
    for row in rows(lake, "results/signals", f"SELECT {columns} FROM t ORDER BY signal_id"):
        print(*row)


def demo(lake, expected):
    connection = duckdb.connect()
    for table in tables_of(lake):
        # DuckDB's own Parquet reader, on the files that the table's log names.
        files = delta(lake, table).file_uris()
        found = connection.execute("SELECT count(*) FROM read_parquet(?)", [files]).fetchone()[0] if files else 0
        check(f"{table} by DuckDB", found, count(lake, table))
    canonical(lake, expected)
    found = rows(lake, "results/rejects", "SELECT source, count(*) FROM t GROUP BY source")
    check("rejects", dict(found), dict(collections.Counter(reject["source"] for reject in expected["rejects"])))
    found = rows(lake, "results/signals", "SELECT DISTINCT rule_id, source FROM t")
    wanted = {(signal["rule"], signal["source"]) for signal in expected["signals"]}
    check("expected rules and sources without a signal", sorted(wanted - set(found)), [])
    found = rows(lake, "results/signals", "SELECT count(*) FROM t WHERE impact < 0 OR entity_count < 1")
    check("signals without an entity or with a negative impact", found, [(0,)])


def canonical(lake, expected):
    wanted = collections.defaultdict(dict)
    for entry in expected["tables"]:
        wanted[entry["table"]][entry["source"]] = entry["rows_written"]
    for table, sources in sorted(wanted.items()):
        path = f"canonical/{table}"
        check(path, dict(rows(lake, path, "SELECT source, count(*) FROM t GROUP BY source")), sources)
        key = ", ".join(["source", *KEYS[table]])
        twice = rows(lake, path, f"SELECT {key} FROM t GROUP BY {key} HAVING count(*) > 1 ORDER BY ALL LIMIT 3")
        check(f"{path}, the first keys that occur more than once", twice, [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=["versions", "contents", "demo", "once"])
    parser.add_argument("lake")
    parser.add_argument("--tables-of")
    parser.add_argument("--expected", type=pathlib.Path)
    given = parser.parse_args()
    if given.act in ("versions", "contents"):
        act = {"versions": versions, "contents": contents}[given.act]
        act(given.lake, tables_of(given.tables_of))
    else:
        act = {"demo": demo, "once": canonical}[given.act]
        act(given.lake, json.loads(given.expected.read_text()))
    if failures:
        sys.exit(f"{len(failures)} checks failed on {given.lake}")


if __name__ == "__main__":
    main()
