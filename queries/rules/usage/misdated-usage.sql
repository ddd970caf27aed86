-- Usage records whose time cannot be right: later than their own arrival, before the year 2000 (an empty time that was
-- read as zero), or before the subscription they name began. The roll-up says on which days the latter two lie.
with lives as (
    select
        i.source as life_source, i.item_id as life_item,
        least(s.started_at, i.effective_from) as begins_at
    from subscription_items as i
    left join subscriptions as s on s.source = i.source and s.subscription_id = i.subscription_id
),

subscription_lives as (
    select source as life_source, subscription_id as life_subscription, started_at as begins_at
    from subscriptions
),

days as (
    select
        d.source, d.usage_date, d.meter, d.item_id, d.subscription_id, d.customer_id,
        case when d.item_id is not null then i.begins_at else s.begins_at end as begins_at
    from usage_daily as d
    left join lives as i on i.life_source = d.source and i.life_item = d.item_id
    left join subscription_lives as s on s.life_source = d.source and s.life_subscription = d.subscription_id
    where d.usage_date < cast($window_end as date)
),

suspect_days as (
    select distinct
        source, usage_date, meter, item_id, subscription_id, customer_id, begins_at,
        case when usage_date < date '2000-01-01' then 'epoch_dated' else 'before_subscription' end as explanation
    from days
    where usage_date < date '2000-01-01'
        or (
            usage_date < cast(begins_at - cast($grace as interval) as date)
            and usage_date >= cast($window_start - cast($lookback as interval) as date)
        )
),

counted as (
    select
        source, usage_id, usage_date, customer_id, subscription_id, item_id, meter, quantity, unit, status,
        invoice_line_id, idempotency_key, occurred_at, recorded_at
    from usage_records
    where coalesce(status, '') not in ('voided', 'error')
),

found as (
    select
        u.source, u.usage_id, u.customer_id, u.subscription_id, u.item_id, u.meter, u.quantity, u.unit, u.status,
        u.invoice_line_id, u.idempotency_key, u.occurred_at, u.recorded_at, d.explanation, d.begins_at
    from suspect_days as d
    join counted as u
        on u.source = d.source
        and u.usage_date = d.usage_date
        and (u.meter is not distinct from d.meter)
        and (u.item_id is not distinct from d.item_id)
        and (u.subscription_id is not distinct from d.subscription_id)
        and (u.customer_id is not distinct from d.customer_id)
    where u.recorded_at is null or u.recorded_at >= $window_start
    union all
    select
        source, usage_id, customer_id, subscription_id, item_id, meter, quantity, unit, status,
        invoice_line_id, idempotency_key, occurred_at, recorded_at, 'future_dated' as explanation,
        arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as begins_at
    from counted
    where usage_date >= cast($window_start as date)
        and occurred_at >= $window_start
        and occurred_at > least(recorded_at, $as_of) + cast($clock_skew as interval)
)

select
    f.source,
    'usage_record' as entity_type,
    f.usage_id as entity_id,
    f.customer_id,
    f.subscription_id,
    f.item_id,
    f.invoice_line_id,
    f.meter,
    -- From the time it claims, where there can be any, to what the window goes by: its arrival, else that time itself.
    case when f.explanation = 'epoch_dated' then f.recorded_at else f.occurred_at end as period_start,
    case f.explanation
        when 'future_dated' then f.occurred_at + interval '1 microsecond'
        when 'epoch_dated' then f.recorded_at + interval '1 microsecond'
        else least(
            f.recorded_at + interval '1 microsecond',
            date_trunc('day', f.occurred_at) + interval '1 day' + cast($lookback as interval)
        )
    end as period_end,
    f.status as entity_status,
    cast(0 as decimal(38, 12)) as expected,
    f.quantity as actual,
    f.unit,
    'impossible_time' as reason,
    f.explanation,
    'data_quality' as root_cause,
    case when f.explanation = 'epoch_dated' then 'high' end as severity,
    f.occurred_at,
    f.recorded_at,
    f.begins_at,
    f.idempotency_key,
    round(cast(cast(f.occurred_at as bigint) - cast(f.recorded_at as bigint) as double) / 60000000, 1) as minutes_ahead
from found as f
-- A repeat is not counted, and duplicate-usage already reports it.
left anti join usage_duplicates as r on r.source = f.source and r.usage_id = f.usage_id
