-- Usage that arrived after the invoice covering its day was made, and that nothing has billed since.
-- Usage names an item, or only a subscription or customer; lines are offered under each of these keys.

with invoice_periods as (
    select
        source, invoice_id as period_invoice_id,
        case when period_start < period_end then period_start end as invoice_period_start,
        case when period_start < period_end then period_end end as invoice_period_end
    from invoices
),

dated_lines as (
    -- A line that tells no period has its invoice's.
    select
        l.source, l.line_id, l.invoice_id, l.item_id, l.subscription_id, l.meter,
        coalesce(
          l.period_start, case when coalesce(l.period_end > p.invoice_period_start, true) then p.invoice_period_start end
        ) as period_start,
        coalesce(
          l.period_end, case when coalesce(l.period_start < p.invoice_period_end, true) then p.invoice_period_end end
        ) as period_end
    from invoice_lines l
    left join invoice_periods p on p.source = l.source and p.period_invoice_id = l.invoice_id
    where l.kind = 'usage'
),

item_lives as (
    select
        i.source, i.customer_id, i.meter, i.item_id,
        coalesce(i.effective_from, s.started_at) as live_from,
        least(
            i.effective_to,
            coalesce(s.ended_at, case when s.status in ('cancelled', 'ended') then s.cancelled_at end)
        ) as live_to
    from subscription_items i
    left join subscriptions s on s.source = i.source and s.subscription_id = i.subscription_id
    where i.customer_id is not null and i.meter is not null
),

covering_lines as (
    select
        l.source, l.line_id, l.invoice_id, l.item_id, l.period_start, l.period_end,
        coalesce(l.subscription_id, i.subscription_id) as subscription_id,
        coalesce(l.meter, i.meter) as meter,
        v.number as invoice_number,
        v.status as invoice_status,
        v.bill_run_id,
        -- NULL = still takes up usage
        case
            when v.status not in ('draft', 'pending') or $include_drafts then coalesce(v.finalized_at, v.created_at)
        end as closed_at
    from dated_lines l
    join invoices v on v.source = l.source and v.invoice_id = l.invoice_id
    left join subscription_items i on i.source = l.source and i.item_id = l.item_id
    where v.status <> 'void'
        and l.period_end > $window_start
        and l.period_start < $window_end
),

customer_lines as (
    -- Usage that names only its customer can belong to no other item than the one that has the meter in that time.
    select l.source, l.line_id, i.customer_id as line_customer_id, i.meter as line_meter
    from covering_lines l
    join item_lives i on i.source = l.source and i.item_id = l.item_id
    left anti join item_lives o
        on o.source = i.source
        and o.customer_id = i.customer_id
        and o.meter = i.meter
        and o.item_id <> i.item_id
        and coalesce(o.live_from < l.period_end, true)
        and coalesce(o.live_to > l.period_start, true)
),

keyed_lines as (
    select
        source, 'item' as key_kind, item_id as key_id, '' as key_meter, line_id, invoice_id, item_id, period_start,
        period_end, invoice_number, invoice_status, bill_run_id, closed_at
    from covering_lines
    where item_id is not null
    union all
    select
        source, 'subscription', subscription_id, coalesce(meter, ''), line_id, invoice_id, item_id, period_start,
        period_end, invoice_number, invoice_status, bill_run_id, closed_at
    from covering_lines
    where subscription_id is not null
    union all
    select
        l.source, 'customer', s.line_customer_id, s.line_meter, l.line_id, l.invoice_id, l.item_id, l.period_start,
        l.period_end, l.invoice_number, l.invoice_status, l.bill_run_id, l.closed_at
    from covering_lines l
    join customer_lines s on s.source = l.source and s.line_id = l.line_id
),

keyed_days as (
    select
        source, usage_date, first_occurred_at, last_occurred_at, late_count,
        case
            when item_id is not null then 'item' when subscription_id is not null then 'subscription' else 'customer'
        end as key_kind,
        coalesce(item_id, subscription_id, customer_id) as key_id,
        case when item_id is null then coalesce(meter, '') else '' end as key_meter
    from usage_daily
    where usage_date >= cast($window_start as date) and usage_date <= cast($window_end as date)
),

suspect_days as (
    -- Only these days are read record by record: late_count counts what came more than 24 hours late, and
    -- anything less late can miss an invoice only where it happened in the last 24 hours before the invoice.
    select distinct d.source, d.usage_date, d.key_kind, d.key_id, d.key_meter
    from keyed_days d
    join keyed_lines l
        on l.source = d.source and l.key_kind = d.key_kind and l.key_id = d.key_id and l.key_meter = d.key_meter
    where d.first_occurred_at < l.period_end
        and d.last_occurred_at >= l.period_start
        and (d.late_count > 0 or d.last_occurred_at >= l.closed_at - interval '24 hours')
),

unbilled as (
    select
        source, usage_id, usage_date, customer_id, subscription_id, item_id, meter, quantity, unit, status,
        occurred_at, recorded_at,
        case
            when item_id is not null then 'item' when subscription_id is not null then 'subscription' else 'customer'
        end as key_kind,
        coalesce(item_id, subscription_id, customer_id) as key_id,
        case when item_id is null then coalesce(meter, '') else '' end as key_meter
    from usage_records
    where invoice_line_id is null
        and coalesce(status, '') not in ('billed', 'voided', 'error')
        and (quantity is distinct from cast(0 as decimal(38, 12)))
        and usage_date >= cast($window_start as date)
        and occurred_at >= $window_start
        and recorded_at < $window_end
),

latest_cover as (
    -- Where several invoices cover the moment, the one made last is the one that could still have taken the record.
    select
        u.source, u.usage_id, u.customer_id, u.subscription_id, coalesce(u.item_id, l.item_id) as item_id, u.meter,
        u.quantity, u.unit, u.status, u.occurred_at, u.recorded_at, l.line_id, l.invoice_id, l.period_start,
        l.period_end, l.invoice_number, l.invoice_status, l.bill_run_id, l.closed_at
    from unbilled u
    join suspect_days d
        on d.source = u.source and d.usage_date = u.usage_date and d.key_kind = u.key_kind and d.key_id = u.key_id
        and d.key_meter = u.key_meter
    join keyed_lines l
        on l.source = u.source and l.key_kind = u.key_kind and l.key_id = u.key_id and l.key_meter = u.key_meter
    where u.occurred_at >= l.period_start and u.occurred_at < l.period_end
    qualify row_number() over (
        partition by u.source, u.usage_id order by l.closed_at desc nulls first, l.line_id
    ) = 1
)

select
    c.source,
    'usage_record' as entity_type,
    c.usage_id as entity_id,
    c.customer_id,
    c.subscription_id,
    c.item_id,
    c.invoice_id,
    c.line_id as invoice_line_id,
    c.bill_run_id,
    c.meter,
    -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
    c.occurred_at as period_start,
    c.occurred_at + interval '1 microsecond' as period_end,
    c.status as entity_status,
    c.quantity as expected,
    cast(0 as decimal(38, 12)) as actual,
    c.unit,
    'timing' as root_cause,
    c.occurred_at,
    c.recorded_at,
    c.closed_at,
    c.period_start as line_period_start,
    c.period_end as line_period_end,
    c.invoice_number,
    c.invoice_status
from latest_cover c
left anti join usage_duplicates r on r.source = c.source and r.usage_id = c.usage_id
-- Its twin was billed: usage that came in again is rebilled-backfill's, or repeated-usage's.
left anti join usage_twins t
    on t.source = c.source and t.usage_id = c.usage_id and t.occurrence > 1 and t.original_recorded_at <= c.closed_at
where c.recorded_at > c.closed_at
