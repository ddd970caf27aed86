-- Usage records that are still pending although the invoice of their period is final, or long after they arrived.
-- A source that leaves all of its usage pending says nothing by it and is not judged. One row for each owner and meter.
with statuses as (
    select
        source as status_source,
        count(*) as records,
        count(*) filter (where status = 'pending') as pending_records
    from usage_records
    where usage_date >= cast($window_start as date)
        and usage_date < cast($as_of - cast($max_age as interval) as date)
        and coalesce(status, '') not in ('voided', 'error')
    group by source
    having count(*) filter (where status in ('processed', 'billed')) * 2 >= count(*)
),

pending_days as (
    select
        u.source, u.item_id, u.subscription_id, u.customer_id, u.meter, u.usage_date,
        count(*) as records,
        cast(sum(cast(u.quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
        min(u.occurred_at) as first_occurred_at,
        max(u.occurred_at) as last_occurred_at,
        max(coalesce(u.recorded_at, u.occurred_at)) as last_recorded_at
    from statuses as s
    join usage_records as u on u.source = s.status_source
    where u.status = 'pending'
        and u.invoice_line_id is null
        and u.quantity <> 0
        and u.usage_date >= cast($window_start as date)
        and u.occurred_at >= $window_start
        and u.occurred_at < $window_end
    group by u.source, u.item_id, u.subscription_id, u.customer_id, u.meter, u.usage_date
),

lines as (
    select
        l.source, l.item_id, coalesce(l.subscription_id, v.subscription_id) as subscription_id, l.meter, l.period_start,
        l.period_end, l.invoice_id, v.number as invoice_number, v.bill_run_id, v.status as invoice_status,
        case
            when v.status in ('open', 'paid', 'uncollectible') then coalesce(v.finalized_at, v.created_at)
        end as closed_at
    from invoice_lines as l
    join invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
    where l.kind = 'usage' and v.status <> 'void'
),

covered as (
    select
        d.source, d.item_id, d.subscription_id, d.customer_id, d.meter, d.usage_date, l.invoice_id, l.invoice_number,
        l.bill_run_id, l.invoice_status, l.period_start, l.period_end, l.closed_at
    from pending_days as d
    join lines as l
        on l.source = d.source
        and l.item_id = d.item_id
        and l.period_start <= d.first_occurred_at
        and l.period_end > d.last_occurred_at
    union all
    select
        d.source, d.item_id, d.subscription_id, d.customer_id, d.meter, d.usage_date, l.invoice_id, l.invoice_number,
        l.bill_run_id, l.invoice_status, l.period_start, l.period_end, l.closed_at
    from pending_days as d
    join lines as l
        on l.source = d.source
        and l.subscription_id = d.subscription_id
        and l.meter = d.meter
        and l.period_start <= d.first_occurred_at
        and l.period_end > d.last_occurred_at
    where d.item_id is null or l.item_id is null
),

-- An invoice that is still open may yet take the usage up; of several final ones the last could have.
latest as (
    select
        source as line_source, item_id as line_item, subscription_id as line_subscription, customer_id as line_customer,
        meter as line_meter, usage_date as line_date, invoice_id, invoice_number, bill_run_id, invoice_status,
        period_start, period_end, closed_at
    from covered
    qualify row_number() over (
        partition by source, item_id, subscription_id, customer_id, meter, usage_date
        order by closed_at desc nulls first, invoice_id
    ) = 1
),

judged as (
    select
        d.source, d.item_id, d.subscription_id, d.customer_id, d.meter, d.records, d.quantity, d.first_occurred_at,
        d.last_occurred_at, d.last_recorded_at, l.invoice_id, l.invoice_number, l.bill_run_id, l.period_start,
        l.period_end, l.closed_at,
        case
            when l.invoice_id is null and d.last_recorded_at < $as_of - cast($max_age as interval)
                then 'never_processed'
            -- What arrived after the invoice is late-usage's.
            when l.closed_at is not null and d.last_recorded_at <= l.closed_at then 'invoiced_without_it'
        end as explanation
    from pending_days as d
    left join latest as l
        on l.line_source = d.source
        and l.line_date = d.usage_date
        and (l.line_item is not distinct from d.item_id)
        and (l.line_subscription is not distinct from d.subscription_id)
        and (l.line_customer is not distinct from d.customer_id)
        and (l.line_meter is not distinct from d.meter)
),

owners as (
    select
        source, item_id, meter, explanation,
        max(subscription_id) as subscription_id,
        max(customer_id) as customer_id,
        last_value(invoice_id order by last_occurred_at) as invoice_id,
        last_value(invoice_number order by last_occurred_at) as invoice_number,
        last_value(bill_run_id order by last_occurred_at) as bill_run_id,
        last_value(closed_at order by last_occurred_at) as closed_at,
        min(first_occurred_at) as first_usage_at,
        max(last_occurred_at) as last_usage_at,
        sum(records) as record_count,
        cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity
    from judged
    where explanation is not null
    group by
        source, item_id, meter, explanation,
        case when item_id is null then subscription_id end,
        case when item_id is null and subscription_id is null then customer_id end
),

item_terms_of as (
    select
        source as item_source, item_id as item, subscription_id as item_subscription_id,
        customer_id as item_customer_id, price_id, unit
    from item_terms
)

select
    o.source,
    case
        when o.item_id is not null then 'subscription_item'
        when o.subscription_id is not null then 'subscription'
        else 'customer'
    end as entity_type,
    coalesce(o.item_id, o.subscription_id, o.customer_id) as entity_id,
    coalesce(i.item_customer_id, o.customer_id) as customer_id,
    coalesce(i.item_subscription_id, o.subscription_id) as subscription_id,
    o.item_id,
    i.price_id,
    o.invoice_id,
    o.bill_run_id,
    o.meter,
    o.first_usage_at as period_start,
    o.last_usage_at + interval '1 microsecond' as period_end,
    'pending' as entity_status,
    o.quantity as expected,
    cast(0 as decimal(38, 12)) as actual,
    i.unit,
    'still_pending' as reason,
    o.explanation,
    case when o.explanation = 'never_processed' then 'integration' else 'engine_defect' end as root_cause,
    o.record_count,
    o.first_usage_at,
    o.last_usage_at,
    o.invoice_number,
    o.closed_at
from owners as o
left join item_terms_of as i on i.item_source = o.source and i.item = o.item_id
where coalesce(o.item_id, o.subscription_id, o.customer_id) is not null
