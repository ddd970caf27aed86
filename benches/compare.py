"""The work of the benches, done by DuckDB over the same Parquet files, beside what trueup measured.

    python benches/compare.py WORLD --bin-dir target/release/deps   # runs the built benches too
    python benches/compare.py WORLD --trueup measures.jsonl         # reads what they printed

Every stage runs in a process of its own, so that its peak memory is its own; the middle of N runs
counts. DuckDB is given what a careful user would give it: hashes instead of strings where a hash
will do, all days side by side, and the rollup before the rules.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

import duckdb

import world

STAGES = ["export", "rollup", "rollup_one_day", "rating", "rules"]
BENCHES = {"export": "export", "rollup": "rollup", "rollup_one_day": "rollup", "rating": "rules", "rules": "rules"}
TABLES = ["customers", "subscriptions", "subscription_items", "meters", "prices", "bill_runs", "invoices",
          "invoice_lines", "entity_links"]
AS_OF = f"timestamptz '{world.AS_OF}'"
SETTLED = f"({AS_OF} - interval 6 hours)"
WINDOW = f"({AS_OF} - interval 45 days)"
PARQUET = "format parquet, compression zstd"


def main():
    args = arguments()
    if args.stage:
        measure(args)
        return
    measures = [json.loads(line) for line in pathlib.Path(args.trueup).read_text().splitlines()
                if line.startswith("{")] if args.trueup else []
    shutil.rmtree(args.work, ignore_errors=True)
    ran = set()
    for stage in args.stages:
        bench = BENCHES[stage]
        if args.bin_dir and bench not in ran:
            ran.add(bench)
            measures += run([newest(args.bin_dir, bench), args.world])
        for _ in range(args.runs):
            command = [sys.executable, __file__, args.world, "--stage", stage, "--work", args.work]
            measures += run(command + ["--memory", args.memory, "--threads", str(args.threads)])
    print(table(args, measures))


def arguments():
    parser = argparse.ArgumentParser(description="DuckDB beside trueup on one world.")
    parser.add_argument("world", help="folder made by world.py")
    parser.add_argument("--work", help="where DuckDB writes; WORLD/duckdb by default")
    parser.add_argument("--runs", type=int, default=3, help="runs of each DuckDB stage")
    parser.add_argument("--memory", default="4GB", help="DuckDB's memory; 4GB is what trueup takes by default")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--trueup", help="JSON lines that the benches printed")
    parser.add_argument("--bin-dir", help="folder of the built benches: runs them in between")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work = args.work or str(pathlib.Path(args.world) / "duckdb")
    return args


def newest(folder, bench):
    """The bench's executable: `export-0123abcd`, the latest built."""
    found = [path for path in pathlib.Path(folder).glob(f"{bench}-*") if os.access(path, os.X_OK) and not path.suffix]
    if not found:
        sys.exit(f"no bench `{bench}` in {folder}: cargo bench --no-run")
    return str(max(found, key=lambda path: path.stat().st_mtime))


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="", file=sys.stderr, flush=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def measure(args):
    """One stage, once."""
    con = duckdb.connect()
    con.execute(f"set timezone = 'UTC'; set memory_limit = '{args.memory}'; set threads = {args.threads}")
    con.execute("set preserve_insertion_order = false")
    con.execute(f"set temp_directory = '{args.work}/spill'")
    stage = Stage(con, pathlib.Path(args.world), pathlib.Path(args.work))
    records = sum(count(con, f"{args.world}/{source}/usage_records/*.parquet") for source in ("billing", "product"))
    wall, cpu = time.perf_counter(), time.process_time()
    rows, check = getattr(stage, args.stage)()
    result = {
        "engine": "duckdb", "bench": args.stage, "records": records,
        "wall_s": round(time.perf_counter() - wall, 3), "cpu_s": round(time.process_time() - cpu, 3),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "rows": rows, "check": check,
    }
    print(json.dumps(result))


def count(con, files):
    return con.execute(f"select count(*) from read_parquet('{files}')").fetchone()[0]


class Stage:
    """What is measured. Each returns how many rows it made, and a value to hold against trueup's."""

    def __init__(self, con, folder, work):
        self.con, self.folder, self.work = con, folder, work
        self.usage = f"read_parquet('{work}/usage_records/**/*.parquet', hive_partitioning = true)"
        self.daily = f"read_parquet('{work}/usage_daily/**/*.parquet', hive_partitioning = true)"
        self.repeats = f"read_parquet('{work}/usage_duplicates.parquet')"

    def export(self):
        """Types every column, sorts each day and writes it; looks up no keys and rejects nothing."""
        shutil.rmtree(self.work, ignore_errors=True)
        jobs = []
        for source in ("billing", "product"):
            optional = "" if source == "product" else "subscription_id, item_id, recorded_at, updated_at,"
            for file in sorted((self.folder / source / "usage_records").glob("*.parquet")):
                target = self.work / "usage_records" / f"usage_date={file.stem}"
                target.mkdir(parents=True, exist_ok=True)
                jobs.append(f"""
                    copy (
                        select '{source}' as source, usage_id, customer_id, meter,
                            {"null::varchar as subscription_id, null::varchar as item_id, recorded_at,"
                             " null::timestamptz as updated_at," if source == "product" else optional}
                            quantity::decimal(38, 12) as quantity, unit, occurred_at::timestamptz as occurred_at,
                            idempotency_key, status
                        from read_parquet('{file}') order by item_id, occurred_at
                    ) to '{target}/{source}.parquet' ({PARQUET})""")
            for table in TABLES:
                file = self.folder / source / f"{table}.parquet"
                if file.exists():
                    jobs.append(f"copy (select '{source}' as source, * from '{file}') "
                                f"to '{self.work}/{source}_{table}.parquet' ({PARQUET})")
        self.side_by_side(jobs)
        return count(self.con, f"{self.work}/usage_records/**/*.parquet"), None

    def side_by_side(self, jobs):
        threads = self.con.execute("select current_setting('threads')").fetchone()[0]
        with concurrent.futures.ThreadPoolExecutor(int(threads)) as pool:
            for done in [pool.submit(lambda job: self.con.cursor().execute(job).fetchall(), job) for job in jobs]:
                done.result()

    def rollup(self):
        """Repeats of an idempotency key by hash, then verified; then a row an item, meter and day."""
        shutil.rmtree(self.work / "usage_daily", ignore_errors=True)
        self.con.execute(f"""
            create temp table suspects as
            select hash(source, idempotency_key) as h from {self.usage}
            where idempotency_key is not null and status not in ('voided', 'error')
            group by h having count(*) > 1""")
        self.con.execute(f"""
            copy (
                select * from (
                    select source, usage_id, usage_date, idempotency_key, item_id, customer_id, subscription_id, meter,
                        quantity, occurred_at, first_value(usage_id) over same_key as original_usage_id
                    from {self.usage}
                    where hash(source, idempotency_key) in (select h from suspects) and status not in ('voided', 'error')
                    window same_key as (partition by source, idempotency_key
                                        order by occurred_at, recorded_at nulls last, usage_id)
                ) where usage_id <> original_usage_id
            ) to '{self.work}/usage_duplicates.parquet' ({PARQUET})""")
        jobs = []
        # A day at a time takes half the CPU and a tenth of the memory of one big GROUP BY.
        for folder in sorted((self.work / "usage_records").iterdir()):
            (self.work / "usage_daily" / folder.name).mkdir(parents=True)
            jobs.append(f"""
                copy (select * exclude (usage_date) from ({self.rolled_up(f"{folder}/*.parquet")}))
                to '{self.work}/usage_daily/{folder.name}/part.parquet' ({PARQUET})""")
        self.side_by_side(jobs)
        repeats = count(self.con, f"{self.work}/usage_duplicates.parquet")
        return count(self.con, f"{self.work}/usage_daily/**/*.parquet"), f"{repeats} repeats"

    def rolled_up(self, files):
        return f"""
            select source, item_id, customer_id, subscription_id, meter, usage_date,
                sum(quantity) as quantity_sum, count(*) as record_count, max(quantity) as quantity_max,
                min(quantity) as quantity_min, arg_max(quantity, occurred_at) as quantity_last,
                max(occurred_at) as last_occurred_at, min(occurred_at) as first_occurred_at,
                count(*) filter (where recorded_at > occurred_at + interval 24 hours) as late_count
            from read_parquet('{files}', hive_partitioning = true) as r
            where status not in ('voided', 'error')
                and not exists (select 1 from {self.repeats} as d where d.source = r.source and d.usage_id = r.usage_id)
            group by all"""

    def rollup_one_day(self):
        """One day's rollup again, and its keys against those of all other days."""
        day = "date '2026-03-15'"
        repeats = self.con.execute(f"""
            with keys as (
                select hash(source, idempotency_key) as h, usage_date from {self.usage} where status not in ('voided', 'error'))
            select count(*) from (
                select h from keys where h in (select h from keys where usage_date = {day}) group by h having count(*) > 1)
            """).fetchone()[0]
        rolled_up = self.rolled_up(f"{self.work}/usage_records/usage_date=2026-03-15/*.parquet")
        self.con.execute(f"copy ({rolled_up}) to '{self.work}/one_day.parquet' ({PARQUET})")
        return count(self.con, f"{self.work}/one_day.parquet"), f"{repeats} keys met twice"

    def rating(self):
        """A graduated and a volume price of four tiers, on 500 times the quantity of every record."""
        graduated, volume = (f"round(({sql})::decimal(24, 6), 2)" for sql in (world.graduated("q"), world.volume("q")))
        n, first, second = self.con.execute(f"""
            select count(*), sum({graduated}), sum({volume})
            from (select (quantity * 500)::decimal(15, 3) as q from {self.usage})""").fetchone()
        return n, f"{first:f} {second:f}"

    def rules(self):
        """The questions of the rules, over the rollup; records only for days at the edge of a period."""
        for table in TABLES:
            files = sorted(self.work.glob(f"*_{table}.parquet"))
            names = ", ".join(f"'{file}'" for file in files)
            self.con.execute(f"create view {table} as select * from read_parquet([{names}], union_by_name = true)")
        for name, sql in (("usage", self.usage), ("daily", self.daily), ("repeats", self.repeats)):
            self.con.execute(f"create view {name} as select * from {sql}")
        self.con.execute(CHARGES)
        found = {name: self.con.execute(f"select count(*) from ({sql})").fetchone()[0] for name, sql in RULES.items()}
        return sum(found.values()), ", ".join(f"{name} {n}" for name, n in found.items())


def rated(model):
    """The amount of `q` at the line's own price, whose tiers are the world's times a factor."""
    return f"({getattr(world, model)('used')})::decimal(24, 6)"


FACTOR = "case meter " + " ".join(f"when '{name}' then {factor}::decimal(4, 2)" for name, _, factor in world.METERS) + " end"

# What was used in the period of every line of the window, and what its price makes of the billed quantity.
CHARGES = f"""
    create temp table charges as
    with judged as (
        select l.*, v.status as invoice_status, p.charge_model, p.unit_price as each, p.package_size
        from invoice_lines as l
        join invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
        join prices as p on p.source = l.source and p.price_id = l.price_id and p.effective_from <= l.period_start
        where l.kind = 'usage' and v.status <> 'void' and l.period_end > {WINDOW} and l.period_end <= {SETTLED}
    ),
    touching as (
        select l.line_id, l.period_start, l.period_end, d.item_id, d.usage_date, d.quantity_sum, d.record_count,
            d.first_occurred_at >= l.period_start and d.last_occurred_at < l.period_end as is_inside
        from judged as l join daily as d on d.source = l.source and d.item_id = l.item_id and d.meter = l.meter
            and d.last_occurred_at >= l.period_start and d.first_occurred_at < l.period_end
    ),
    parts as (
        select line_id, quantity_sum, record_count from touching where is_inside
        union all
        select t.line_id, r.quantity, 1
        from touching as t join usage as r on r.usage_date = t.usage_date and r.item_id = t.item_id
            and r.occurred_at >= t.period_start and r.occurred_at < t.period_end
        where not t.is_inside and r.status not in ('voided', 'error')
            and not exists (select 1 from repeats as d where d.source = r.source and d.usage_id = r.usage_id)
    ),
    totals as (select line_id, sum(quantity_sum) as used, sum(record_count) as records from parts group by line_id),
    used as (
        select j.*, coalesce(t.used, 0)::decimal(15, 3) as measured, j.quantity::decimal(15, 3) as used,
            coalesce(t.records, 0) as records
        from judged as j left join totals as t on t.line_id = j.line_id
    )
    select * exclude (used), round((case charge_model
        when 'graduated' then {rated("graduated")} * {FACTOR}
        when 'volume' then {rated("volume")} * {FACTOR}
        when 'package' then ceil(used / package_size::decimal(9, 0))::decimal(18, 0) * each::decimal(9, 6)
        else used * each::decimal(9, 6) end)::decimal(38, 8), 2) as expected
    from used"""

RULES = {
    "tiers": "select * from charges where abs(expected - amount) > 0.01",
    "quantities": "select * from charges where measured <> quantity and measured > 0",
    "billed without usage": "select * from charges where measured = 0 and amount > 0",
    "repeats": f"select * from repeats where occurred_at >= {WINDOW} and occurred_at < {SETTLED}",
    "orphans": f"""
        select item_id from daily as d where source = 'billing' and usage_date >= {WINDOW}::date
            and not exists (select 1 from subscription_items as i where i.source = d.source and i.item_id = d.item_id)
        group by item_id""",
    "negative": "select * from daily where quantity_min < 0",
    "late": "select * from daily where late_count > 0",
    "spikes": f"""
        with days as (
            select source, coalesce(item_id, customer_id) as series, meter, usage_date as day, sum(quantity_sum)::double as q
            from daily where usage_date >= {AS_OF}::date - 98 group by all),
        weeks as (
            select *, lag(q, 1) over w as a, lag(q, 2) over w as b, lag(q, 3) over w as c, lag(q, 4) over w as d,
                lag(day, 4) over w as first
            from days window w as (partition by source, series, meter, dayofweek(day) order by day)),
        mids as (
            select *, (a + b + c + d - greatest(a, b, c, d) - least(a, b, c, d)) / 2 as mid from weeks where first >= day - 28),
        scatter as (
            select *, median(abs(q - mid)) over (partition by source, series, meter) as mad from mids)
        select * from scatter where day >= {AS_OF}::date - 4 and day < {AS_OF}::date
            and abs(q - mid) > 6 * greatest(1.4826 * mad, 0.05 * mid, sqrt(mid))""",
    "stopped": f"""
        select source, item_id, meter from daily as d where item_id is not null group by source, item_id, meter
        having max(usage_date) < {AS_OF}::date - 3 and max(usage_date) >= {WINDOW}::date
            and count(distinct usage_date) >= 8""",
    "two systems": f"""
        with owners as (select other_entity_id as customer_id, entity_id as account from entity_links where entity_type = 'customer'),
        billed as (
            select o.customer_id, d.meter, d.usage_date, sum(d.quantity_sum) as q
            from daily as d join owners as o on o.customer_id = d.customer_id where d.source = 'billing' group by all),
        measured as (
            select o.customer_id, d.meter, d.usage_date, sum(d.quantity_sum) as q
            from daily as d join owners as o on o.account = d.customer_id where d.source = 'product' group by all)
        select customer_id, meter from (
            select customer_id, meter, coalesce(m.q, 0) - coalesce(b.q, 0) as difference
            from billed as b full join measured as m using (customer_id, meter, usage_date)
            where usage_date > {WINDOW}::date and usage_date < ({AS_OF} - interval 24 hours)::date)
        group by all having sum(difference) <> 0""",
    "unbilled": f"""
        select i.item_id, v.invoice_id from invoices as v
        join subscription_items as i on i.source = v.source and i.subscription_id = v.subscription_id
        join daily as d on d.source = i.source and d.item_id = i.item_id
            and d.first_occurred_at >= v.period_start and d.last_occurred_at < v.period_end
        where v.status <> 'void' and v.period_end > {WINDOW} and v.period_end <= ({AS_OF} - interval 24 hours)
            and not exists (select 1 from invoice_lines as l where l.source = i.source and l.item_id = i.item_id
                and l.period_start <= d.last_occurred_at and l.period_end > d.first_occurred_at)
        group by all""",
    "billed twice": f"""
        select b.line_id from invoice_lines as a join invoice_lines as b
            on a.source = b.source and a.item_id = b.item_id and a.price_id = b.price_id and a.meter = b.meter
            and a.line_id < b.line_id and a.period_start < b.period_end and b.period_start < a.period_end
        where b.period_end > {AS_OF} - interval 100 days""",
    "totals": """
        select v.invoice_id from invoices as v join invoice_lines as l using (source, invoice_id)
        group by v.source, v.invoice_id, v.total, v.subtotal having sum(l.amount) <> v.total""",
    "after end": """
        select d.item_id from daily as d join subscriptions as s
            on s.source = d.source and s.subscription_id = d.subscription_id
        where s.status in ('cancelled', 'ended') and d.last_occurred_at >= s.updated_at group by all""",
    "bill runs": "select * from bill_runs where status in ('error', 'cancelled')",
}


def table(args, measures):
    """A Markdown table: a line a stage, the middle of all runs."""
    def middle(engine, stage, field):
        values = [m[field] for m in measures if m["bench"] == stage and m.get("engine", "trueup") == engine
                  and m.get(field) is not None]
        return statistics.median(values) if values else None

    def cells(engine, stage):
        fields = [middle(engine, stage, field) for field in ("cpu_s", "wall_s", "peak_rss_mb")]
        return " | ".join("–" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}" for value in fields)

    def ratio(stage, field):
        ours, theirs = middle("trueup", stage, field), middle("duckdb", stage, field)
        return f"{ours / theirs:.2f}" if ours is not None and theirs else "–"

    lines = [
        f"DuckDB {duckdb.__version__}, {args.threads} threads, {args.memory}; seconds and MB; ratio = trueup / DuckDB",
        "",
        "| work | records | trueup cpu | wall | RSS | DuckDB cpu | wall | RSS | ratio cpu | wall | RSS |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for stage in args.stages:
        records = middle("duckdb", stage, "records")
        ratios = " | ".join(ratio(stage, field) for field in ("cpu_s", "wall_s", "peak_rss_mb"))
        lines.append(f"| {stage.replace('_', ' ')} | {records:,.0f} | {cells('trueup', stage)} |"
                     f" {cells('duckdb', stage)} | {ratios} |")
    for engine in ("trueup", "duckdb"):
        whole, part = middle(engine, "rollup", "cpu_s"), middle(engine, "rollup_one_day", "cpu_s")
        if whole and part is not None:
            lines += ["", f"{engine}: one changed day costs {100 * part / whole:.1f} % of a full rollup (CPU)."]
    sums = {m.get("engine", "trueup"): m.get("check") for m in measures if m["bench"] == "rating"}
    if len(sums) == 2:
        lines += ["", "Both rate every record alike." if len(set(sums.values())) == 1 else f"THE AMOUNTS DIFFER: {sums}"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
