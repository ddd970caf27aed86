-- Usage records that repeat the idempotency key of an earlier record of the same source.
-- usage_duplicates names the candidates; the records themselves say which of them still count.

with candidates as (
    select source, idempotency_key, usage_id, usage_date, original_usage_id, original_usage_date
    from usage_duplicates
    where occurred_at >= $window_start and occurred_at < $window_end
),

members as (
    -- Repeats and originals are looked up alike; the union drops an original that several repeats name.
    select source, idempotency_key, usage_id, usage_date from candidates
    union
    select source, idempotency_key, original_usage_id, original_usage_date from candidates
),

live as (
    -- A voided or failed record is never charged, so it is neither a repeat nor an original.
    select
        u.source, m.idempotency_key, u.usage_id, u.customer_id, u.subscription_id, u.item_id, u.meter, u.quantity,
        u.unit, u.status, u.invoice_line_id, u.occurred_at, u.recorded_at
    from members m
    join usage_records u on u.source = m.source and u.usage_date = m.usage_date and u.usage_id = m.usage_id
    where coalesce(u.status, '') not in ('voided', 'error')
),

ordered as (
    select
        source, idempotency_key, usage_id, customer_id, subscription_id, item_id, meter, quantity, unit, status,
        invoice_line_id, occurred_at, recorded_at,
        cast(row_number() over same_key as bigint) as occurrence,
        first_value(usage_id) over same_key as original_usage_id,
        first_value(occurred_at) over same_key as original_occurred_at,
        first_value(recorded_at) over same_key as original_recorded_at,
        first_value(quantity) over same_key as original_quantity,
        -- Equal in owner, meter and quantity: the same usage sent again. Otherwise two different usages share a key.
        (quantity is not distinct from first_value(quantity) over same_key)
            and (meter is not distinct from first_value(meter) over same_key)
            and (item_id is not distinct from first_value(item_id) over same_key)
            and (subscription_id is not distinct from first_value(subscription_id) over same_key)
            and (customer_id is not distinct from first_value(customer_id) over same_key) as is_same_usage
    from live
    window same_key as (partition by source, idempotency_key order by occurred_at, recorded_at, usage_id)
)

select
    source,
    'usage_record' as entity_type,
    usage_id as entity_id,
    customer_id,
    subscription_id,
    item_id,
    invoice_line_id,
    meter,
    -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
    occurred_at as period_start,
    occurred_at + interval '1 microsecond' as period_end,
    status as entity_status,
    -- What a reused key should have counted cannot be known from the records.
    case when is_same_usage then cast(0 as decimal(38, 12)) end as expected,
    quantity as actual,
    unit,
    case when is_same_usage then 'sent_again' else 'key_reused' end as reason,
    case when is_same_usage then 'data_quality' else 'integration' end as root_cause,
    idempotency_key,
    occurrence,
    occurred_at,
    recorded_at,
    original_usage_id,
    original_occurred_at,
    original_recorded_at,
    original_quantity
from ordered
where occurrence > 1 and occurred_at >= $window_start and occurred_at < $window_end
