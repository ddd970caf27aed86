"""Makes a world to bench with: 90 days of usage of one billing and one metering system, as Parquet.

    python benches/world.py --records 2000000 --out DIR

The same size gives the same rows on every machine: nothing is random, every choice is a digit of an
MD5. The known errors are counted in DIR/truth.json. Needs the package `duckdb`, nothing else.
"""

import argparse
import datetime
import json
import pathlib
import shutil

import duckdb

FIRST_DAY = datetime.date(2026, 1, 1)
DAYS = 90
SPIKE_DAY = datetime.date(2026, 3, 30)
STOPPED_FROM = datetime.date(2026, 3, 26)
AS_OF = "2026-04-01T06:00:00Z"
PERIODS = 3  # billed months of every subscription; the fourth is still open at AS_OF

# name, unit, how much dearer than the first
METERS = [
    ("api_calls", "call", "1"),
    ("storage_gb_hours", "GB-hour", "0.5"),
    ("llm_tokens", "1k tokens", "2"),
    ("egress_gb", "GB", "0.25"),
]
# up to, unit price, flat fee
TIERS = [("1000", "0.12", "0"), ("5000", "0.09", "5"), ("20000", "0.07", "0"), (None, "0.05", "20")]
PACKAGE_SIZE, PACKAGE_PRICE, UNIT_PRICE = "100", "9.50", "0.0825"

CONFIG = f"""\
# A world to bench with; made by benches/world.py.
as_of = "{AS_OF}"

[lake]
url = "./lake"

[reporting]
currency = "USD"

[[sources]]
name = "billing"
kind = "files"
role = "billing"
platform = "zuora"
path = "billing/"
without = ["adjustments", "entity_links", "invoice_lines.unit_price", "invoice_lines.billed_tiers"]

[[sources]]
name = "product"
kind = "files"
role = "metering"
platform = "metering"
path = "product/"
without = ["subscriptions", "subscription_items", "prices", "bill_runs", "invoices", "invoice_lines", "adjustments"]
"""


def main():
    args = arguments()
    out = pathlib.Path(args.out)
    for folder in ("billing", "product"):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder / "usage_records").mkdir(parents=True)
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute("set preserve_insertion_order = true")
    if args.memory:
        con.execute(f"set memory_limit = '{args.memory}'")
    # A tenth of the records is there twice: as measured and as billed.
    billed = round(args.records / 1.1)
    items = max(1000, round(args.records / 500 / 20) * 20)
    silent = max(4, items // 1000 * 4)
    master(con, items, silent)
    usage(con, out, billed, items)
    bills(con, items)
    tables(con, out)
    truth = summary(con)
    (out / "trueup.toml").write_text(CONFIG)
    (out / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")
    print(json.dumps(truth, indent=2))


def arguments():
    parser = argparse.ArgumentParser(description="Makes a world to bench with.")
    parser.add_argument("--records", type=int, required=True, help="usage records of both sources")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--memory", help="what DuckDB may take, such as 8GB")
    return parser.parse_args()


def case(values, column):
    """A CASE that picks the value at the position in `column`."""
    arms = " ".join(f"when {at} then {value}" for at, value in enumerate(values))
    return f"case {column} {arms} end"


def master(con, items, silent):
    """Items with everything that follows from their number; the last `silent` ones use nothing."""
    con.execute(f"""
        create table items as
        with numbered as (
            select i, i // 2 as s, i // 4 as c, i % 4 as m,
                md5_number_lower('model ' || i) % 20 as model_digit,
                md5_number_lower('day ' || (i // 2)) % 26 as anchor_day,
                md5_number_lower('time ' || (i // 2)) as anchor_digits
            from range({items + silent}) as t(i)
        )
        select i, s, c, m, i >= {items} as is_silent,
            printf('it-%07d', i) as item_id, printf('sub-%07d', s) as subscription_id,
            printf('cus-%06d', c) as customer_id,
            {case([f"'{name}'" for name, _, _ in METERS], 'm')} as meter,
            {case([f"'{unit}'" for _, unit, _ in METERS], 'm')} as unit,
            case when model_digit < 8 then 'graduated' when model_digit < 14 then 'volume'
                when model_digit < 17 then 'package' else 'per_unit' end as model,
            md5_number_lower('mirror ' || c) % 10 = 0 as is_mirrored,
            -- Three in four anchors are within a day, to the second.
            timestamp '2025-12-02' + to_days(anchor_day::int)
                + to_seconds((case when anchor_digits % 4 = 0 then 0
                              else (anchor_digits // 4) % 86400 end)::int) as anchor
        from numbered order by i""")


def usage(con, out, billed, items):
    """A file a day for each source; what was used of each item in each period is kept."""
    con.execute("create table used (i bigint, k int, q decimal(38, 3))")
    con.execute("create table counts (name varchar, n bigint)")
    con.execute("create table carried as select r.*, item_id, subscription_id, customer_id, meter, unit"
                f" from ({records(FIRST_DAY, 0, items)}) as r join items using (i)")
    for number in range(DAYS):
        day = FIRST_DAY + datetime.timedelta(days=number)
        rows = billed * (number + 1) // DAYS - billed * number // DAYS
        stopped = "and r.i % 1000 <> 377" if day >= STOPPED_FROM else ""
        con.execute(f"""
            create or replace table measured as
            select r.*, x.is_mirrored, x.anchor, x.item_id, x.subscription_id, x.customer_id, x.meter, x.unit
            from ({records(day, rows, items)}) as r join items as x on x.i = r.i
            where true {stopped} order by r.n""")
        con.execute("""
            create or replace table received as
            select * from measured where not (is_mirrored and n % 10000 = 5)""")
        con.execute("""
            insert into used
            select i, k, sum(q) from (
                select i, q, (moment >= anchor + interval 1 month)::int
                    + (moment >= anchor + interval 2 months)::int + (moment >= anchor + interval 3 months)::int as k
                from received where n % 50000 <> 13)
            group by all""")
        con.execute("""
            insert into counts
            select 'missing', count(*) from measured where is_mirrored and n % 10000 = 5 union all
            select 'orphans', count(*) from received where n % 50000 = 13 union all
            select 'duplicates', count(*) from received where n % 20000 = 7 and n % 50000 <> 13 union all
            select 'duplicates', count(*) from carried""")
        columns = """usage_id, customer_id, subscription_id, item_id, meter, q::decimal(38, 12) as quantity, unit,
            moment::timestamptz as occurred_at, (moment + to_seconds(wait::int))::timestamptz as recorded_at,
            key as idempotency_key, 'processed' as status, (moment + to_seconds(wait::int))::timestamptz as updated_at"""
        plain = "n, usage_id, i, q, moment, wait, key, item_id, subscription_id, customer_id, meter, unit"
        write(con, out / "billing" / "usage_records" / f"{day}.parquet", f"""
            select {columns} from (
                select * replace (
                    case when n % 50000 = 13 then 'gone-' || (n // 50000) % 7 else item_id end as item_id,
                    case when n % 50000 <> 13 then subscription_id end as subscription_id,
                    case when n % 50000 <> 13 then customer_id end as customer_id)
                from (select {plain} from received)
                union all
                select * replace (usage_id || '-again' as usage_id, wait + 300 as wait)
                from (select {plain} from received where n % 20000 = 7 and n % 50000 <> 13)
                union all
                select * replace (usage_id || '-late' as usage_id, moment + interval 1 day as moment)
                from (select {plain} from carried)
            )""")
        # Sent again a day later, under the same key.
        con.execute(f"create or replace table carried as select {plain} from received"
                " where n % 20000 = 8 and n % 50000 <> 13")
        write(con, out / "product" / "usage_records" / f"{day}.parquet", """
            select 'ev-' || usage_id as usage_id, 'acct-' || customer_id as customer_id, meter,
                q::decimal(38, 12) as quantity, unit, moment::timestamptz as occurred_at,
                (moment + to_seconds((wait % 20)::int))::timestamptz as recorded_at,
                'ev-' || key as idempotency_key, 'processed' as status
            from measured where is_mirrored""")


def records(day, rows, items):
    """A day's records in order of arrival. A fifth goes to the busiest twentieth of the items."""
    spike = "case when i % 1000 = 277 then 30 else 1 end" if day == SPIKE_DAY else "1"
    return f"""
        select n, i, usage_id, key, moment, wait, (q * {spike})::decimal(18, 3) as q from (
            select n, usage_id, key, moment, (h % 600)::int as wait,
                ((1000 + (h // 7919) % 100000)::decimal(12, 0) * 0.001)::decimal(18, 3) as q,
                case when h % 100 < 20 then (((h // 100) % {items // 20}) * 20 + 7)::bigint
                    else ((h // 100) % {items})::bigint end as i
            from (
                select n, 'u-{day:%Y%m%d}-' || n as usage_id, md5('key {day} ' || n) as key,
                    md5_number_lower('row {day} ' || n) as h,
                    timestamp '{day}' + to_microseconds(n * 86400000000 // {max(rows, 1)}) as moment
                from range({rows}) as t(n)
            )
        )"""


def graduated(quantity):
    """The amount of a quantity of the first meter under TIERS, each part at its tier's price."""
    parts, low = [], "0"
    for up_to, unit_price, flat_fee in TIERS:
        top = quantity if up_to is None else f"least({quantity}, {up_to})"
        parts.append(f"case when {quantity} > {low} then ({top} - {low}) * {unit_price} + {flat_fee} else 0 end")
        low = up_to
    return " + ".join(parts)


def volume(quantity):
    """The same, everything at the price of the tier that the quantity falls into."""
    arms = " ".join(
        (f"when {quantity} <= {up_to} then " if up_to else "else ") + f"{quantity} * {unit_price} + {flat_fee}"
        for up_to, unit_price, flat_fee in TIERS)
    return f"case when {quantity} <= 0 then 0 {arms} end"


def bills(con, items):
    """Lines of three months, with known errors."""
    amounts = {
        "graduated": graduated("q"),
        "volume": volume("q"),
        "package": f"ceil(q / {PACKAGE_SIZE})::decimal(18, 0) * {PACKAGE_PRICE}",
        "per_unit": f"q * {UNIT_PRICE}",
    }
    factor = case([f"{factor}::decimal(4, 2)" for _, _, factor in METERS], "m")
    arms = " ".join(f"when '{model}' then ({sql})::decimal(24, 6)" for model, sql in amounts.items())
    con.execute(f"""
        create table lines as
        with billed as (
            select x.i, x.s, x.m, x.c, t.k::int as k, x.model, x.is_silent,
                x.anchor + to_months(t.k::int) as period_start, x.anchor + to_months(t.k::int + 1) as period_end,
                (case when x.is_silent and x.i % 4 = 0 and t.k = 2 then 100 else coalesce(u.q, 0) end)::decimal(15, 3) as q
            from items as x cross join range({PERIODS}) as t(k)
            left join (select i, k, sum(q) as q from used group by all) as u on u.i = x.i and u.k = t.k
            where not (x.i % 1000 = 77 and t.k = 2)
        ),
        rated as (
            select *, round(((case model {arms} end) * {factor})::decimal(38, 8), 2) as right_amount,
                round(((case model when 'graduated' then ({volume("q")})::decimal(24, 6)
                    else ({graduated("q")})::decimal(24, 6) end) * {factor})::decimal(38, 8), 2) as other_amount
            from billed
        )
        select *, (i * 3 + k) % 1000 = 3 and model in ('graduated', 'volume') as is_wrong,
            case when (i * 3 + k) % 1000 = 3 and model in ('graduated', 'volume') then other_amount
                else right_amount end as amount,
            'inv-' || lpad(s::varchar, 7, '0') || '-' || k as invoice_id, false as is_repeat
        from rated
        union all
        -- The last month once more, on an invoice of its own.
        select *, false, right_amount, 'inv-' || lpad(s::varchar, 7, '0') || '-' || k || '-again', true
        from rated where i % 1000 = 177 and k = 2""")


def tables(con, out):
    """Everything but usage."""
    billing, product = out / "billing", out / "product"
    decimal = "decimal(38, 12)"
    made = "(date_trunc('day', period_end) + interval 26 hours)"
    write(con, billing / "customers.parquet", """
        select distinct customer_id, 'Customer ' || c as name, 'active' as status, 'USD' as currency,
            'UTC' as timezone, false as is_test, timestamptz '2025-11-01 00:00:00+00' as created_at,
            timestamptz '2025-11-01 00:00:00+00' as updated_at
        from items order by customer_id""")
    write(con, billing / "subscriptions.parquet", f"""
        select distinct subscription_id, 'S-' || s as number, customer_id, 'active' as status, 'USD' as currency,
            anchor::timestamptz as started_at, (anchor + interval {PERIODS} months)::timestamptz as current_period_start,
            (anchor + interval {PERIODS + 1} months)::timestamptz as current_period_end,
            anchor::timestamptz as billing_anchor, anchor::timestamptz as updated_at
        from items order by subscription_id""")
    write(con, billing / "subscription_items.parquet", """
        select item_id, subscription_id, customer_id, 'price-' || meter || '-' || model as price_id, meter,
            anchor::timestamptz as effective_from, anchor::timestamptz as updated_at
        from items order by item_id""")
    meters = " union all ".join(
        f"select '{name}' as meter, '{name}' as name, '{unit}' as unit, 'sum' as aggregation" for name, unit, _ in METERS)
    for folder in (billing, product):
        write(con, folder / "meters.parquet", meters)
    write(con, billing / "prices.parquet", " union all ".join(
        price(name, unit, factor, model) for name, unit, factor in METERS
        for model in ("graduated", "volume", "package", "per_unit")))
    write(con, billing / "invoice_lines.parquet", f"""
        select 'line-' || l.i || '-' || l.k || case when is_repeat then '-again' else '' end as line_id, l.invoice_id,
            x.customer_id, x.subscription_id, x.item_id, 'price-' || x.meter || '-' || x.model as price_id, x.meter,
            'usage' as kind, x.meter || ', ' || x.model as description, l.q::{decimal} as quantity,
            l.amount::{decimal} as amount, 'USD' as currency, l.period_start::timestamptz as period_start,
            l.period_end::timestamptz as period_end, false as is_prorated, {made}::timestamptz as updated_at
        from lines as l join items as x on x.i = l.i order by l.k, l.i, is_repeat""")
    write(con, billing / "invoices.parquet", f"""
        select l.invoice_id, 'N' || upper(l.invoice_id[4:]) as number, any_value(x.customer_id) as customer_id,
            any_value(x.subscription_id) as subscription_id,
            'run-' || max(period_end)::date as bill_run_id, case when max(k) = {PERIODS - 1} then 'open' else 'paid' end as status,
            'USD' as currency, max({made})::date as invoice_date, max(period_end)::date as target_date,
            max({made} + interval 14 days)::timestamptz as due_at, max({made} + interval 1 hour)::timestamptz as finalized_at,
            min(period_start)::timestamptz as period_start, max(period_end)::timestamptz as period_end,
            sum(amount)::{decimal} as subtotal, 0::{decimal} as discount, 0::{decimal} as tax,
            sum(amount)::{decimal} as total, sum(amount)::{decimal} as amount_due,
            max({made})::timestamptz as created_at, max({made})::timestamptz as updated_at
        from lines as l join items as x on x.i = l.i group by l.invoice_id order by l.invoice_id""")
    write(con, billing / "bill_runs.parquet", f"""
        select distinct 'run-' || period_end::date as bill_run_id, 'R' || strftime(period_end, '%Y%m%d') as number,
            'completed' as status, period_end::date as target_date, {made}::date as invoice_date,
            {made}::timestamptz as executed_at, {made}::timestamptz as created_at, {made}::timestamptz as updated_at
        from lines order by bill_run_id""")
    write(con, product / "customers.parquet", """
        select distinct 'acct-' || customer_id as customer_id, 'active' as status, false as is_test
        from items where is_mirrored order by customer_id""")
    write(con, product / "entity_links.parquet", """
        select distinct 'customer' as entity_type, 'acct-' || customer_id as entity_id, 'billing' as other_source,
            customer_id as other_entity_id
        from items where is_mirrored order by entity_id""")


def price(name, unit, factor, model):
    """One price version, all its columns typed."""
    number = "decimal(38, 12)"
    def times(value):
        return f"({value} * {factor})::{number}"
    none = f"null::{number}"
    tiers = ", ".join(
        f"{{'up_to': {f'{up_to}::{number}' if up_to else none}, 'unit_price': {times(unit_price)}, "
        f"'flat_fee': {times(flat_fee)}, 'package_size': {none}, 'percentage_rate': {none}}}"
        for up_to, unit_price, flat_fee in TIERS)
    is_tiered = model in ("graduated", "volume")
    unit_price = {"package": times(PACKAGE_PRICE), "per_unit": times(UNIT_PRICE)}.get(model, none)
    size = f"{PACKAGE_SIZE}::{number}" if model == "package" else none
    tier_type = "struct(up_to {0}, unit_price {0}, flat_fee {0}, package_size {0}, percentage_rate {0})[]".format(number)
    return f"""
        select 'price-{name}-{model}' as price_id, 'prod-{name}' as product_id, '{name}' as product_name,
            'USD' as currency, '{model}' as charge_model, 'usage' as charge_type, '{name}' as meter, '{unit}' as unit,
            'sum' as aggregation, 'month' as billing_period, 1::int as billing_period_count,
            {unit_price} as unit_price, {size} as package_size, 'up' as package_rounding,
            {f'[{tiers}]' if is_tiered else f'null::{tier_type}'} as tiers, 'line' as rounding_stage,
            'half_up' as rounding_mode, timestamptz '2025-01-01 00:00:00+00' as effective_from, true as is_active,
            timestamptz '2025-01-01 00:00:00+00' as updated_at"""


def write(con, path, query):
    con.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd, row_group_size 262144)")


def summary(con):
    """How much there is, and how many errors of each kind."""
    def one(query):
        return con.execute(query).fetchone()[0]
    counts = dict(con.execute("select name, sum(n)::bigint from counts group by name order by name").fetchall())
    return {
        "items": one("select count(*) from items"),
        "invoice_lines": one("select count(*) from lines"),
        "errors": {
            "duplicate records": counts["duplicates"],
            "records without owner": counts["orphans"],
            "measured records that billing lacks": counts["missing"],
            "lines rated by the wrong model": one(
                "select count(*) from lines where is_wrong and abs(amount - right_amount) > 0.01"),
            "lines billed without usage": one("select count(*) from lines where is_silent and amount > 0"),
            "items without the last month's line": one("select count(*) from items where i % 1000 = 77 and not is_silent"),
            "lines billed twice": one("select count(*) from lines where is_repeat"),
            "items with a spike": one("select count(*) from items where i % 1000 = 277 and not is_silent"),
            "items that stopped": one("select count(*) from items where i % 1000 = 377 and not is_silent"),
        },
    }


if __name__ == "__main__":
    main()
