-- Records that arrived long after they happened, inside a period whose invoice is final, and that are exact twins of a
-- record which was there when that invoice was made: usage restored or sent again, about to be charged once more.
-- late_count of the roll-up says on which days anything came late, so that only those are read record by record.
with late_days as (
    select distinct source as late_source, usage_date as late_date, meter as late_meter
    from usage_daily
    where late_count > 0
        and usage_date >= cast($window_start - cast($lookback as interval) as date)
        and usage_date <= cast($window_end as date)
),

counted as (
    select
        u.source, u.usage_id, u.usage_date, u.item_id, u.subscription_id, u.customer_id, u.meter, u.quantity, u.unit,
        u.unique_value, u.status, u.invoice_line_id, u.idempotency_key, u.occurred_at, u.recorded_at,
        case
            when u.item_id is not null then concat('i:', u.item_id)
            when u.subscription_id is not null then concat('s:', u.subscription_id)
            else concat('c:', u.customer_id)
        end as owner
    from late_days as d
    join usage_records as u on u.source = d.late_source and u.usage_date = d.late_date and u.meter = d.late_meter
    where u.usage_date >= cast($window_start - cast($lookback as interval) as date)
        and u.usage_date <= cast($window_end as date)
        and coalesce(u.status, '') not in ('voided', 'error')
        and u.quantity <> 0
),

late as (
    select
        c.source, c.usage_id, c.usage_date, c.item_id, c.subscription_id, c.customer_id, c.meter, c.quantity, c.unit,
        c.unique_value, c.status, c.invoice_line_id, c.idempotency_key, c.occurred_at, c.recorded_at, c.owner
    from counted as c
    -- A repeat of a key is duplicate-usage's, and is not counted anyway.
    left anti join usage_duplicates as r on r.source = c.source and r.usage_id = c.usage_id
    where c.recorded_at > c.occurred_at + cast($min_delay as interval)
        and c.recorded_at >= $window_start
        and c.recorded_at < $window_end
),

paired as (
    select
        l.source, l.usage_id, l.item_id, l.subscription_id, l.customer_id, l.meter, l.quantity, l.unit, l.status,
        l.invoice_line_id, l.idempotency_key, l.occurred_at, l.recorded_at,
        o.usage_id as original_usage_id,
        o.recorded_at as original_recorded_at,
        o.invoice_line_id as original_line_id
    from late as l
    join counted as o
        on o.source = l.source
        and o.usage_date = l.usage_date
        and o.owner = l.owner
        and o.meter = l.meter
        and o.occurred_at = l.occurred_at
        and o.quantity = l.quantity
    where o.usage_id <> l.usage_id
        and o.recorded_at < l.recorded_at
        and (o.unique_value is not distinct from l.unique_value)
    qualify row_number() over (partition by l.source, l.usage_id order by o.recorded_at, o.usage_id) = 1
),

keyed as (
    select
        source, usage_id, item_id, subscription_id, customer_id, meter, quantity, unit, status, invoice_line_id,
        idempotency_key, occurred_at, recorded_at, original_usage_id, original_recorded_at, original_line_id,
        unnest(make_array(concat('i:', item_id), concat('s:', subscription_id, ' ', meter))) as late_key
    from paired
),

-- A line bills its item; for usage without one, its subscription's meter.
final_lines as (
    select
        l.source as line_source, l.line_id, l.invoice_id, l.item_id as line_item, l.period_start, l.period_end,
        l.price_id, v.number as invoice_number, v.bill_run_id,
        coalesce(v.finalized_at, v.created_at) as closed_at,
        unnest(
            make_array(
                concat('i:', l.item_id), concat('s:', coalesce(l.subscription_id, v.subscription_id), ' ', l.meter)
            )
        ) as line_key
    from invoice_lines as l
    join invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
    where l.kind = 'usage' and v.status in ('open', 'paid', 'uncollectible')
),

restored as (
    select
        k.source, k.usage_id, k.item_id, k.subscription_id, k.customer_id, k.meter, k.quantity, k.unit, k.status,
        k.invoice_line_id, k.idempotency_key, k.occurred_at, k.recorded_at, k.original_usage_id,
        k.original_recorded_at, k.original_line_id, l.line_id, l.invoice_id, l.invoice_number, l.bill_run_id,
        l.price_id, l.period_start, l.period_end, l.closed_at
    from keyed as k
    join final_lines as l on l.line_source = k.source and l.line_key = k.late_key
    where l.period_start <= k.occurred_at
        and l.period_end > k.occurred_at
        and k.original_recorded_at <= l.closed_at
        and k.recorded_at > l.closed_at
        and (k.item_id is null or l.line_item is null or k.item_id = l.line_item)
        and k.late_key not in ('i:', 's: ')
    qualify row_number() over (partition by k.source, k.usage_id order by l.closed_at, l.line_id) = 1
)

select
    source,
    'usage_record' as entity_type,
    usage_id as entity_id,
    customer_id,
    subscription_id,
    item_id,
    price_id,
    invoice_id,
    coalesce(invoice_line_id, line_id) as invoice_line_id,
    bill_run_id,
    meter,
    -- From when it happened to its arrival, by which the window takes it in or leaves it out.
    occurred_at as period_start,
    recorded_at + interval '1 microsecond' as period_end,
    status as entity_status,
    cast(0 as decimal(38, 12)) as expected,
    quantity as actual,
    unit,
    'invoiced_before' as reason,
    case
        when status = 'billed' or invoice_line_id is not null then 'billed_again'
        else 'waits_to_be_billed'
    end as explanation,
    'manual' as root_cause,
    case when status = 'billed' or invoice_line_id is not null then 'critical' end as severity,
    occurred_at,
    recorded_at,
    cast(recorded_at as date) as received_on,
    original_usage_id,
    original_recorded_at,
    original_line_id,
    period_start as line_period_start,
    period_end as line_period_end,
    invoice_number,
    closed_at,
    idempotency_key
from restored
