-- Cumulative meters (the last or the highest value of a period is charged) whose counter starts again inside a period:
-- what was counted before is lost. A counter is told by its steps: they do not fall, and mostly rise. A restart falls
-- to about one day's rise and goes on from there; a level that is reduced, such as storage, stays far above that.
-- A restart with the billing period, or with the calendar month, is how many counters work: they restart every month.
with values_by_day as (
    select
        u.source, u.item_id, u.meter, u.usage_date,
        max(u.subscription_id) as subscription_id,
        max(u.customer_id) as customer_id,
        max(u.quantity_max) as highest,
        last_value(u.quantity_last order by u.last_occurred_at) as latest,
        max(u.last_occurred_at) as last_occurred_at
    from item_usage as u
    join item_terms as i on i.source = u.source and i.item_id = u.item_id
    where i.aggregation in ('last', 'max')
        and u.usage_date >= cast($window_start - interval '45 days' as date)
        and u.last_occurred_at < $window_end
    group by u.source, u.item_id, u.meter, u.usage_date
),

steps as (
    select
        source, item_id, meter, usage_date, subscription_id, customer_id, highest, latest, last_occurred_at,
        lag(latest) over by_day as value_before,
        lag(last_occurred_at) over by_day as before_at,
        lead(latest) over by_day as value_after,
        latest - lag(latest) over by_day as step
    from values_by_day
    window by_day as (partition by source, item_id, meter order by usage_date)
),

profiles as (
    select
        source, item_id, meter, usage_date, subscription_id, customer_id, highest, latest, last_occurred_at, value_before,
        before_at, value_after, step,
        median(case when step > 0 then step end) over whole as usual_rise,
        cast(count(step) over whole as double) as steps,
        cast(count(case when step >= 0 then 1 end) over whole as double) as steady_steps,
        cast(count(case when step > 0 then 1 end) over whole as double) as rises,
        min(usage_date) over whole as first_date,
        -- Whether it fell about a month before as well.
        count(case when step < 0 then 1 end) over (
            partition by source, item_id, meter order by usage_date
            range between interval '33 days' preceding and interval '26 days' preceding
        ) as falls_a_month_before
    from steps
    window whole as (partition by source, item_id, meter)
),

falls as (
    select
        source, item_id, meter, usage_date, subscription_id, customer_id, latest, last_occurred_at, before_at, usual_rise,
        extract(day from usage_date) as day_of_month,
        greatest(value_before, highest) as value_before,
        -- What starts again with its period did so a month before, unless it is younger, or the quarter begins.
        falls_a_month_before > 0
            or first_date > usage_date - interval '33 days'
            or (extract(day from usage_date) = 1 and extract(month from usage_date) in (1, 4, 7, 10)) as is_habit
    from profiles
    where step < 0
        and steps >= 10
        and steady_steps >= 0.85 * steps
        and rises >= 0.5 * steps
        and usage_date >= cast($window_start as date)
        and latest <= cast(value_before * 0.5 as decimal(38, 12))
        and latest <= cast(usual_rise * 3 as decimal(38, 12))
        -- It goes on counting.
        and value_after >= latest
),

anchors as (
    select
        i.source as anchor_source, i.item_id as anchor_item,
        unnest(make_array(s.billing_anchor, s.started_at, s.current_period_start, i.effective_from)) as anchor
    from subscription_items as i
    join subscriptions as s on s.source = i.source and s.subscription_id = i.subscription_id
    union all
    select source, item_id, period_start
    from invoice_lines
    where item_id is not null
),

-- A period begins on the day of the month of one of these, in the last days of a month where it is too short for it.
anchor_days as (
    select
        anchor_source, anchor_item,
        array_agg(distinct extract(day from anchor)) as days,
        max(extract(day from anchor)) as last_day
    from anchors
    where anchor is not null
    group by anchor_source, anchor_item
),

resets as (
    select
        f.source, f.item_id, f.meter, f.usage_date, f.subscription_id, f.customer_id, f.latest, f.value_before,
        f.last_occurred_at, f.before_at, f.usual_rise,
        count(*) over (partition by f.source, f.item_id, f.meter) as item_resets,
        count(*) over (partition by f.source, f.meter, f.usage_date) as resets_that_day
    from falls as f
    left join anchor_days as a on a.anchor_source = f.source and a.anchor_item = f.item_id
    where not (
        f.is_habit
        and (
            f.day_of_month = 1
            or coalesce(array_has(a.days, f.day_of_month), false)
            or coalesce(array_has(a.days, f.day_of_month - 1), false)
            or coalesce(array_has(a.days, f.day_of_month + 1), false)
            or (coalesce(a.last_day, 0) >= 28 and f.day_of_month >= 28)
        )
    )
),

item_terms_of as (
    select
        source as item_source, item_id as item, subscription_id as item_subscription_id,
        customer_id as item_customer_id, price_id, unit, aggregation
    from item_terms
)

select
    r.source,
    'subscription_item' as entity_type,
    r.item_id as entity_id,
    coalesce(i.item_customer_id, r.customer_id) as customer_id,
    coalesce(i.item_subscription_id, r.subscription_id) as subscription_id,
    r.item_id,
    i.price_id,
    r.meter,
    arrow_cast(r.usage_date, 'Timestamp(Microsecond, Some("UTC"))') as period_start,
    arrow_cast(r.usage_date + interval '1 day', 'Timestamp(Microsecond, Some("UTC"))') as period_end,
    -- A counter that had not started again would stand at both together.
    cast(r.value_before + r.latest as decimal(38, 12)) as expected,
    r.latest as actual,
    i.unit,
    'counter_fell' as reason,
    case when r.resets_that_day >= 3 then 'counters_of_meter_restarted' else 'counter_restarted' end as explanation,
    'engine_defect' as root_cause,
    -- What one signal is about: the day on which many counters restarted, or the one item.
    case
        when r.resets_that_day >= 3 then concat(r.meter, ' ', cast(r.usage_date as varchar))
        else r.item_id
    end as subject,
    r.value_before,
    r.before_at,
    r.last_occurred_at,
    cast(r.usual_rise as decimal(38, 12)) as usual_rise,
    cast(r.item_resets as bigint) as item_resets,
    i.aggregation
from resets as r
left join item_terms_of as i on i.item_source = r.source and i.item = r.item_id
-- More than a few restarts in the window are the way this counter works.
where r.item_resets <= 3
