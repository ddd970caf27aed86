-- Usage records with a quantity below zero. The daily roll-up says on which days there are any,
-- so that only those days are read record by record.

with days as (
    select
        source, item_id, customer_id, subscription_id, meter, usage_date,
        cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as day_total
    from usage_daily
    where usage_date >= cast($window_start as date) and usage_date <= cast($window_end as date)
    group by source, item_id, customer_id, subscription_id, meter, usage_date
    having min(quantity_min) < 0
),

negative as (
    select
        u.source, u.usage_id, u.usage_date, u.customer_id, u.subscription_id, u.item_id, u.meter, u.quantity, u.unit,
        u.status, u.invoice_line_id, u.idempotency_key, u.occurred_at, u.recorded_at
    from usage_records u
    where u.quantity < 0
        and coalesce(u.status, '') not in ('voided', 'error')
        and u.usage_date >= cast($window_start as date)
        and u.occurred_at >= $window_start
        and u.occurred_at < $window_end
)

select
    n.source,
    'usage_record' as entity_type,
    n.usage_id as entity_id,
    n.customer_id,
    n.subscription_id,
    n.item_id,
    n.invoice_line_id,
    n.meter,
    -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
    n.occurred_at as period_start,
    n.occurred_at + interval '1 microsecond' as period_end,
    n.status as entity_status,
    cast(0 as decimal(38, 12)) as expected,
    n.quantity as actual,
    n.unit,
    case when d.day_total < 0 then 'day_below_zero' else 'record_below_zero' end as reason,
    'data_quality' as root_cause,
    n.occurred_at,
    n.recorded_at,
    n.idempotency_key,
    d.day_total
from negative n
join days d
    on d.source = n.source
    and d.usage_date = n.usage_date
    and (d.meter is not distinct from n.meter)
    and (d.item_id is not distinct from n.item_id)
    and (d.customer_id is not distinct from n.customer_id)
    and (d.subscription_id is not distinct from n.subscription_id)
-- A repeat is not counted, and duplicate-usage already reports it.
left anti join usage_duplicates r on r.source = n.source and r.usage_id = n.usage_id
where not ($allow_corrections and d.day_total >= 0)
