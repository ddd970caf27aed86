-- Days on which an item used far more, or far less, than it does on that weekday.
-- Baseline: the median of the same weekday in the six weeks before (usage_days); a day is never part of its own
-- baseline. Noise: the counting noise of the baseline plus the item's own relative scatter (usage_levels), which is
-- measured from zero and therefore widens while an item grows. Items with irregular days are compared with their other
-- active days instead. Days are numbered from 1970-01-01 (UTC).
-- A day without usage is the finding of usage-gap, usage that stopped that of zero-usage.
-- What many items of a meter do on one day is systemic-shift's, or source-coverage's where records are lost; a lasting
-- factor between units is unit-slip's.
-- Double precision serves the statistics alone; quantities stay exact.
with day_bounds as (
  select
    -- Whole days only: the first of which the window has a part, the last that ended inside it.
    cast(cast($window_start as date) as int) as first_day,
    cast(cast($window_end as date) as int) - 1 as last_day
),

-- What cannot be a finding whatever the noise ends here.
candidates as (
  select
    d.source, d.series, d.meter, d.item_id, d.subscription_id, d.customer_id, d.day, d.age, d.quantity, d.baseline,
    d.baseline_weeks, d.week_before, d.two_weeks_before, d.three_weeks_before, l.is_irregular, l.scatter,
    l.active_days, l.active_median, l.second_largest, l.log_scatter
  from usage_days as d
  join usage_levels as l on l.source = d.source and l.series = d.series and l.meter = d.meter
  cross join day_bounds as b
  where d.day >= b.first_day
    and d.day <= b.last_day
    and abs(cast(d.quantity - d.baseline as double))
      >= cast($min_change as double) * greatest(cast(d.baseline as double), cast(1 as double))
    -- A day without any usage is usage-gap's once usage is back, and zero-usage's while it is not.
    and d.quantity > 0
    -- A level that falls, such as storage, is not usage that was lost; a counter that falls is counter-reset's.
    and not (d.is_level and d.quantity < d.baseline)
),

judged as (
  select
    source, series, meter, item_id, subscription_id, customer_id, day, quantity, baseline_weeks, week_before,
    two_weeks_before, three_weeks_before, is_irregular, scatter, active_days, second_largest,
    case when is_irregular then active_median else baseline end as usual,
    case
      when not is_irregular then
        cast(quantity - baseline as double) / sqrt(
          greatest(cast(baseline as double), cast(1 as double)) + power(scatter * cast(baseline as double), 2)
        )
      when quantity > 0 and active_median > 0 then
        ln(cast(quantity as double) / cast(active_median as double))
        / greatest(cast(0.35 as double), 1.4826 * log_scatter)
    end as score,
    -- The level that a rise must stand out from: where usage scatters widely, six days say too little.
    greatest(
      case when scatter > 0.25 then greatest(cast(baseline as double), cast(active_median as double)) end,
      cast(baseline as double),
      cast(1 as double)
    ) as level,
    sqrt(
      greatest(cast(baseline as double), cast(1 as double)) + power(scatter * cast(baseline as double), 2)
    ) / greatest(cast(baseline as double), cast(1 as double)) as noise
  from candidates
),

unusual as (
  select
    source, series, meter, item_id, subscription_id, customer_id, day, quantity, usual, baseline_weeks, is_irregular,
    scatter, score,
    case when score > 0 then 'up' else 'down' end as reason
  from judged
  where (
      score >= cast($z as double)
      and case
        -- The scatter of few days is itself uncertain.
        when is_irregular
          then active_days >= 5
            and score >= cast($z as double) * (1 + 8 / cast(active_days as double))
            and quantity > cast(second_largest * 1.5 as decimal(38, 12))
        -- Sums of few records are skewed: their cube roots are not (Wilson and Hilferty).
        else cbrt(cast(quantity as double) / level) >= 1 - noise * noise / 9 + cast($z as double) * noise / 3
      end
      -- A ramp: every week rises, and this one by no more than half.
      and not (
        cast(two_weeks_before as double) >= 1.1 * cast(three_weeks_before as double)
        and cast(week_before as double) >= 1.1 * cast(two_weeks_before as double)
        and cast(quantity as double) <= 1.5 * cast(week_before as double)
      )
    )
    or (
      score <= -cast($z as double)
      and not is_irregular
      and not (
        1.1 * cast(two_weeks_before as double) <= cast(three_weeks_before as double)
        and 1.1 * cast(week_before as double) <= cast(two_weeks_before as double)
        and 1.5 * cast(quantity as double) >= cast(week_before as double)
      )
      and strpos($holidays, to_char(cast(day as date), '%m-%d')) = 0
    )
),

shifts as (
  select source as shift_source, meter as shift_meter, day as shift_day, direction from systemic_days
),

losses as (
  select distinct source as loss_source, meter as loss_meter, day as loss_day, 'down' as loss_direction
  from source_losses
),

slips as (
  select source as slip_source, series as slip_series, meter as slip_meter, day as slip_day from unit_slips
),

own as (
  select
    u.source, u.series, u.meter, u.item_id, u.subscription_id, u.customer_id, u.day, u.quantity, u.usual,
    u.baseline_weeks, u.is_irregular, u.scatter, u.score, u.reason
  from unusual as u
  left anti join shifts as s
    on s.shift_source = u.source and s.shift_meter = u.meter and s.shift_day = u.day and s.direction = u.reason
  left anti join losses as l
    on l.loss_source = u.source and l.loss_meter = u.meter and l.loss_day = u.day and l.loss_direction = u.reason
  left anti join slips as f
    on f.slip_source = u.source and f.slip_series = u.series and f.slip_meter = u.meter and f.slip_day = u.day
),

-- The same day of the month, a day either side, in the three months before: month-end work is no spike.
peer_days as (
  select
    source,
    series,
    meter,
    day,
    unnest(
      make_array(
        cast(cast(cast(day as date) - interval '1 month' as date) as int) - 1,
        cast(cast(cast(day as date) - interval '1 month' as date) as int),
        cast(cast(cast(day as date) - interval '1 month' as date) as int) + 1,
        cast(cast(cast(day as date) - interval '2 months' as date) as int) - 1,
        cast(cast(cast(day as date) - interval '2 months' as date) as int),
        cast(cast(cast(day as date) - interval '2 months' as date) as int) + 1,
        cast(cast(cast(day as date) - interval '3 months' as date) as int) - 1,
        cast(cast(cast(day as date) - interval '3 months' as date) as int),
        cast(cast(cast(day as date) - interval '3 months' as date) as int) + 1
      )
    ) as peer_day
  from own
),

peer_quantities as (
  select
    p.source,
    p.series,
    p.meter,
    p.day,
    strpos($holidays, to_char(cast(p.peer_day as date), '%m-%d')) > 0 as is_holiday,
    h.weeks[1 + (h.last_day - p.peer_day) % 7][1 + (h.last_day - p.peer_day) / 7] as peer_quantity,
    array_sort(
      array_remove_all(h.weeks[1 + (h.last_day - p.peer_day) % 7], cast(0 as decimal(38, 12)))
    ) as same_weekdays
  from peer_days as p
  join usage_history as h on h.source = p.source and h.series = p.series and h.meter = p.meter
  -- The first day of a series is a part of a day.
  where h.last_day - p.peer_day < least(h.first_age, 98)
),

-- A peer that is a Sunday is no measure for a Monday: each is taken relative to its own weekday. A
-- public holiday is none for a working day.
peers as (
  select
    source as peer_source,
    series as peer_series,
    meter as peer_meter,
    day as peer_of,
    count(*) as peer_days,
    max(peer_quantity) filter (where not is_holiday) as peer_largest,
    min(peer_quantity) filter (where not is_holiday) as peer_smallest,
    max(
      cast(peer_quantity as double)
      / cast(same_weekdays[(cast(cardinality(same_weekdays) as bigint) + 1) / 2] as double)
    ) filter (where not is_holiday) as peer_highest,
    min(
      cast(peer_quantity as double)
      / cast(same_weekdays[(cast(cardinality(same_weekdays) as bigint) + 1) / 2] as double)
    ) filter (where not is_holiday) as peer_lowest
  from peer_quantities
  group by source, series, meter, day
),

item_lives as (
  select
    source as item_source, item_id as item, subscription_id as item_subscription_id,
    customer_id as item_customer_id, price_id, unit as item_unit, effective_from, effective_to, ended_at
  from item_terms
),

meter_units as (
  select source as unit_source, meter as unit_meter, unit as meter_unit from meters
),

-- A wave that the calendar explains is no finding: at most half as much again as the same days of the months before.
unexplained as (
  select
    o.source, o.series, o.meter, o.item_id, o.day, o.quantity, o.usual, o.baseline_weeks, o.is_irregular, o.scatter,
    o.score, o.reason, i.price_id,
    coalesce(i.item_subscription_id, o.subscription_id) as subscription_id,
    coalesce(i.item_customer_id, o.customer_id) as customer_id,
    coalesce(i.item_unit, m.meter_unit) as unit,
    coalesce(p.peer_days, 0) as peer_days, p.peer_largest, p.peer_smallest
  from own as o
  left join peers as p
    on p.peer_source = o.source and p.peer_series = o.series and p.peer_meter = o.meter and p.peer_of = o.day
  left join item_lives as i on i.item_source = o.source and i.item = o.item_id
  left join meter_units as m on m.unit_source = o.source and m.unit_meter = o.meter
  where case
      when coalesce(p.peer_days, 0) < 3 then true
      when o.reason = 'up' and (o.usual <= 0 or o.is_irregular or p.peer_highest is null)
        then o.quantity > cast(p.peer_largest * 1.5 as decimal(38, 12))
      when o.reason = 'up' then cast(o.quantity as double) > 1.5 * p.peer_highest * cast(o.usual as double)
      when o.quantity <= 0 or p.peer_lowest is null then true
      else 1.5 * cast(o.quantity as double) < p.peer_lowest * cast(o.usual as double)
    end
    -- The first and last day of an item are parts of a day.
    and (i.effective_from is null or cast(cast(i.effective_from as date) as int) < o.day)
    and (i.effective_to is null or cast(cast(i.effective_to as date) as int) > o.day)
    and (i.ended_at is null or cast(cast(i.ended_at as date) as int) > o.day)
),

-- Money where one unit has one price; elsewhere a day's worth depends on the rest of the period.
priced as (
  select
    u.source, u.series, u.meter, u.item_id, u.day, u.quantity, u.usual, u.baseline_weeks, u.is_irregular, u.scatter,
    u.score, u.reason, u.price_id, u.subscription_id, u.customer_id, u.unit, u.peer_days, u.peer_largest,
    u.peer_smallest,
    t.currency,
    case
      when t.charge_model = 'per_unit'
        then cast(cast(abs(u.quantity - u.usual) as decimal(76, 12)) * t.price['unit_price'] as decimal(38, 12))
    end as impact
  from unexplained as u
  left join price_periods as p
    on p.source = u.source
    and p.price_id = u.price_id
    and p.valid_from <= arrow_cast(cast(u.day as date), 'Timestamp(Microsecond, Some("UTC"))')
    and (p.valid_to is null or arrow_cast(cast(u.day as date), 'Timestamp(Microsecond, Some("UTC"))') < p.valid_to)
  left join price_terms as t
    on t.source = p.source and t.price_id = p.price_id and t.effective_from = p.effective_from
),

-- One row for each series and direction: its most unusual day.
worst as (
  select
    source, series, meter, item_id, day, quantity, usual, baseline_weeks, is_irregular, scatter, score, reason,
    price_id, subscription_id, customer_id, unit, peer_days, peer_largest, peer_smallest, currency, impact,
    case
      when usual > 0 and quantity > 0
        then exp(abs(ln(cast(quantity as double) / cast(usual as double))))
    end as ratio,
    count(*) over (partition by source, series, meter, reason) as unusual_days
  from priced
  where impact is null or impact >= $min_impact
  qualify row_number() over (partition by source, series, meter, reason order by abs(score) desc, day) = 1
),

-- A ratio near a factor between units is worth naming before anything else is looked at.
named as (
  select
    source, series, meter, item_id, day, quantity, usual, baseline_weeks, is_irregular, scatter, score, reason,
    price_id, subscription_id, customer_id, unit, peer_days, peer_largest, peer_smallest, currency, impact,
    unusual_days,
    case
      when ratio between 60 * 0.98 and 60 * 1.02 then 60
      when ratio between 100 * 0.98 and 100 * 1.02 then 100
      when ratio between 1000 * 0.98 and 1012 then 1000
      when ratio between 1012 and 1024 * 1.02 then 1024
      when ratio between 3600 * 0.98 and 3600 * 1.02 then 3600
      when ratio between 10000 * 0.98 and 10000 * 1.02 then 10000
      when ratio between 1000000 * 0.98 and 1000000 * 1.02 then 1000000
      when ratio between 1048576 * 0.98 and 1048576 * 1.02 then 1048576
      when ratio between 1000000000 * 0.98 and 1000000000 * 1.02 then 1000000000
      when ratio between 1073741824 * 0.98 and 1073741824 * 1.02 then 1073741824
    end as factor
  from worst
),

-- How many records the day has, beside the usual number where that hardly varies.
record_days as (
  select
    source as record_source,
    case when item_id is not null then concat('i:', item_id) else usage_key end as record_series,
    meter as record_meter,
    cast(usage_date as int) as record_day,
    cast(sum(record_count) as double) as day_records,
    cast(max(quantity_max) as double) / cast(sum(cast(quantity_sum as decimal(76, 12))) as double) as largest_share
  from item_usage
  where usage_date >= cast($window_start as date) and usage_date < cast($window_end as date)
  group by source, case when item_id is not null then concat('i:', item_id) else usage_key end, meter, usage_date
  having sum(cast(quantity_sum as decimal(76, 12))) > 0
),

steady as (
  select
    source as steady_source, series as steady_series, meter as steady_meter,
    cast(records as double) / cast(used_days as double) as usual_records
  from usage_history
  where records > 0
    and used_days >= 14
    and record_squares / cast(used_days as double) - power(cast(records as double) / cast(used_days as double), 2)
      <= 0.3 * cast(records as double) / cast(used_days as double)
),

-- A sender that sends a steady number of records and sends clearly fewer has lost some. One that sends as many, each
-- larger by much the same, day after day, is being used more: no single record and no repeat made the rise.
judged_records as (
  select
    n.source, n.series, n.meter, n.item_id, n.day, n.quantity, n.usual, n.baseline_weeks, n.is_irregular, n.scatter,
    n.score, n.reason, n.price_id, n.subscription_id, n.customer_id, n.unit, n.peer_days, n.peer_largest,
    n.peer_smallest, n.currency, n.impact, n.unusual_days, n.factor, d.day_records, s.usual_records,
    coalesce(n.reason = 'down' and d.day_records <= 0.7 * s.usual_records, false) as has_fewer_records,
    coalesce(
      n.reason = 'up'
        and n.factor is null
        and n.unusual_days >= 2
        and cast(n.quantity as double) < 10 * cast(n.usual as double)
        and d.day_records between 0.8 * s.usual_records and 1.2 * s.usual_records
        and s.usual_records >= 2
        and d.largest_share <= 2 / s.usual_records,
      false
    ) as is_larger_use
  from named as n
  left join record_days as d
    on d.record_source = n.source and d.record_series = n.series and d.record_meter = n.meter and d.record_day = n.day
  left join steady as s on s.steady_source = n.source and s.steady_series = n.series and s.steady_meter = n.meter
)

select
  source,
  case
    when item_id is not null then 'subscription_item'
    when subscription_id is not null then 'subscription'
    else 'customer'
  end as entity_type,
  coalesce(item_id, subscription_id, customer_id) as entity_id,
  customer_id,
  subscription_id,
  item_id,
  price_id,
  meter,
  arrow_cast(cast(day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  usual as expected,
  quantity as actual,
  unit,
  reason,
  case
    when factor is not null then 'unit_factor'
    when is_larger_use then 'larger_use'
    when reason = 'up' then 'spike'
    else 'drop'
  end as explanation,
  case
    when factor is not null then 'data_quality'
    when has_fewer_records then 'integration'
    else 'unknown'
  end as root_cause,
  case when not is_larger_use then 'medium' end as severity,
  round(score, 2) as score,
  round(scatter, 4) as scatter,
  is_irregular,
  cast(baseline_weeks as bigint) as baseline_days,
  cast(unusual_days as bigint) as unusual_days,
  peer_days,
  peer_largest,
  peer_smallest,
  cast(factor as bigint) as factor,
  cast(day_records as bigint) as day_records,
  round(usual_records, 2) as usual_records,
  impact,
  currency as impact_currency
from judged_records
