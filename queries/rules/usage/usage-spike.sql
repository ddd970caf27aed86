-- Days on which an item used far more, or far less, than it does on that weekday.
-- Baseline: the median of the same weekday in the six weeks before; a day is never part of its own baseline.
-- Noise: the counting noise of the baseline plus the item's own relative scatter over the six weeks before, which is
-- measured from zero and therefore widens while an item grows. Items with irregular days are compared with their other
-- active days instead. Days are numbered from 1970-01-01 (UTC), so that a week is a subtraction of seven.
-- Usage that stopped is the finding of zero-usage: a day without usage counts here only once usage has come back.
-- Double precision serves the statistics alone; quantities stay exact.
with day_bounds as (
  select
    -- Whole days only: the first that began inside the window, the last that ended inside it.
    cast(cast($window_start + interval '1 day' - interval '1 microsecond' as date) as int) as first_day,
    cast(cast($window_end as date) as int) - 1 as last_day
),

days as (
  select
    u.source,
    coalesce(concat('i:', u.item_id), u.usage_key) as series,
    u.meter,
    cast(u.usage_date as int) as day,
    max(u.item_id) as item_id,
    max(u.subscription_id) as subscription_id,
    max(u.customer_id) as customer_id,
    cast(sum(cast(u.quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    cast(sum(u.record_count) as decimal(38, 12)) as record_count,
    max(u.quantity_max) as quantity_max,
    last_value(u.quantity_last order by u.last_occurred_at) as quantity_last
  from item_usage as u
  where u.usage_date >= cast($window_start - interval '100 days' as date)
    and u.usage_key is not null
    and u.record_count > 0
  group by u.source, coalesce(concat('i:', u.item_id), u.usage_key), u.meter, u.usage_date
),

-- One quantity a day, by what the meter counts.
daily as (
  select
    d.source,
    d.series,
    d.meter,
    d.day,
    d.item_id,
    d.subscription_id,
    d.customer_id,
    case coalesce(i.aggregation, m.aggregation, 'sum')
      when 'count' then d.record_count
      when 'unique_count' then d.record_count
      when 'max' then d.quantity_max
      when 'last' then d.quantity_last
      else d.quantity_sum
    end as quantity
  from days as d
  left join item_terms as i on i.source = d.source and i.item_id = d.item_id
  left join meters as m on m.source = d.source and m.meter = d.meter
),

series as (
  select
    source,
    series,
    meter,
    min(day) as first_day,
    max(day) as last_day,
    max(item_id) as item_id,
    max(subscription_id) as subscription_id,
    max(customer_id) as customer_id
  from daily
  group by source, series, meter
),

-- The judged days of every series and the same weekday of six weeks before, as far back as the series goes.
calendar as (
  select
    s.source,
    s.series,
    s.meter,
    s.first_day,
    s.last_day,
    s.item_id,
    s.subscription_id,
    s.customer_id,
    b.first_day + g.step as judged_day,
    k.lag_days,
    b.first_day + g.step - k.lag_days as day
  from day_bounds as b
  cross join (select cast(value as int) as step from generate_series(0, 31)) as g
  cross join (values (0), (7), (14), (21), (28), (35), (42)) as k (lag_days)
  cross join series as s
  where b.first_day + g.step <= b.last_day
    and s.first_day < b.first_day + g.step
    and s.first_day <= b.first_day + g.step - k.lag_days
),

based as (
  select
    c.source,
    c.series,
    c.meter,
    c.judged_day,
    c.first_day,
    c.last_day,
    c.item_id,
    c.subscription_id,
    c.customer_id,
    max(case when c.lag_days = 0 then coalesce(d.quantity, cast(0 as decimal(38, 12))) end) as quantity,
    median(case when c.lag_days > 0 then coalesce(d.quantity, cast(0 as decimal(38, 12))) end) as baseline,
    count(*) - 1 as baseline_days
  from calendar as c
  left join daily as d
    on d.source = c.source and d.series = c.series and d.meter = c.meter and d.day = c.day
  group by
    c.source, c.series, c.meter, c.judged_day, c.first_day, c.last_day, c.item_id, c.subscription_id, c.customer_id
),

-- What cannot be a finding whatever the noise ends here, so that history is read for few.
candidates as (
  select
    b.source, b.series, b.meter, b.judged_day, b.first_day, b.item_id, b.quantity, b.baseline, b.baseline_days,
    coalesce(i.subscription_id, b.subscription_id) as subscription_id,
    coalesce(i.customer_id, b.customer_id) as customer_id,
    i.price_id,
    coalesce(i.unit, m.unit) as unit
  from based as b
  left join item_terms as i on i.source = b.source and i.item_id = b.item_id
  left join meters as m on m.source = b.source and m.meter = b.meter
  where b.baseline_days >= 3
    and abs(cast(b.quantity - b.baseline as double))
      >= cast($min_change as double) * greatest(cast(b.baseline as double), 1)
    and (b.quantity > 0 or b.last_day > b.judged_day)
    -- The first and last day of an item are parts of a day.
    and (i.effective_from is null or cast(cast(i.effective_from as date) as int) < b.judged_day)
    and (i.effective_to is null or cast(cast(i.effective_to as date) as int) > b.judged_day)
    and (i.ended_at is null or cast(cast(i.ended_at as date) as int) > b.judged_day)
),

history as (
  select
    c.source,
    c.series,
    c.meter,
    c.judged_day,
    c.first_day,
    c.quantity,
    c.baseline,
    g.age,
    c.judged_day - g.age as day,
    coalesce(d.quantity, cast(0 as decimal(38, 12))) as past_quantity
  from candidates as c
  cross join (select cast(value as int) as age from generate_series(1, 98)) as g
  left join daily as d
    on d.source = c.source and d.series = c.series and d.meter = c.meter and d.day = c.judged_day - g.age
  where c.judged_day - g.age >= c.first_day
),

-- Each past day beside its own six weeks. The calendar is dense, so a lag of seven rows is a week.
with_weeks as (
  select
    source, series, meter, judged_day, first_day, quantity, baseline, age, day, past_quantity,
    array_sort(
      make_array(
        lag(past_quantity, 7) over past,
        lag(past_quantity, 14) over past,
        lag(past_quantity, 21) over past,
        lag(past_quantity, 28) over past,
        lag(past_quantity, 35) over past,
        lag(past_quantity, 42) over past
      ),
      'ASC',
      'NULLS LAST'
    ) as weeks,
    least((day - first_day) / 7, 6) as week_count,
    case when past_quantity > 0 and age <= 56 then ln(cast(past_quantity as double)) end as log_quantity
  from history
  window past as (partition by source, series, meter, judged_day order by day)
),

residuals as (
  select
    source, series, meter, judged_day, first_day, quantity, baseline, age, day, past_quantity, log_quantity,
    case
      when age <= 42 and week_count >= 3 then
        abs(
          cast(past_quantity as double)
          - cast(weeks[(week_count + 1) / 2] + weeks[(week_count + 2) / 2] as double) / 2
        ) / greatest(cast(weeks[(week_count + 1) / 2] + weeks[(week_count + 2) / 2] as double) / 2, 1)
    end as residual,
    median(log_quantity) over (partition by source, series, meter, judged_day) as log_median,
    -- The same day of the month, a day either side, in the three months before: month-end work is no spike.
    (
      abs(day - cast(cast(cast(judged_day as date) - interval '1 month' as date) as int)) <= 1
      or abs(day - cast(cast(cast(judged_day as date) - interval '2 months' as date) as int)) <= 1
      or abs(day - cast(cast(cast(judged_day as date) - interval '3 months' as date) as int)) <= 1
    ) as is_peer
  from with_weeks
),

statistics as (
  select
    source,
    series,
    meter,
    judged_day,
    median(residual) as median_residual,
    count(residual) as residual_days,
    -- Weekdays that are empty week after week are the item's habit and do not make it irregular.
    cast(count(*) filter (where age <= 56 and past_quantity = 0) as double)
      / cast(count(*) filter (where age <= 56) as double)
      - (
        cast(count(distinct case when age <= 56 then age % 7 end) as double)
        - cast(count(distinct case when age <= 56 and past_quantity > 0 then age % 7 end) as double)
      ) / 7 as irregular_share,
    max(log_median) as log_median,
    median(abs(log_quantity - log_median)) as log_scatter,
    count(log_quantity) as active_days,
    median(case when age <= 56 and past_quantity > 0 then past_quantity end) as active_median,
    array_sort(
      array_agg(past_quantity) filter (where age <= 56 and past_quantity > 0), 'DESC', 'NULLS LAST'
    )[2] as second_largest,
    count(*) filter (where is_peer) as peer_days,
    max(past_quantity) filter (where is_peer) as peer_largest,
    min(past_quantity) filter (where is_peer) as peer_smallest
  from residuals
  group by source, series, meter, judged_day
),

scored as (
  select
    c.source, c.series, c.meter, c.judged_day, c.item_id, c.subscription_id, c.customer_id, c.price_id, c.unit,
    c.quantity, c.baseline, c.baseline_days, s.second_largest, s.active_days, s.peer_days, s.peer_largest,
    s.peer_smallest,
    coalesce(s.irregular_share > 0.3, false) as is_irregular,
    s.active_median,
    case
      when s.residual_days >= 7 then greatest(cast(0.05 as double), 1.4826 * s.median_residual)
      else cast(0.25 as double)
    end as scatter,
    case
      when c.quantity > 0
        then (ln(cast(c.quantity as double)) - s.log_median) / greatest(cast(0.35 as double), 1.4826 * s.log_scatter)
    end as log_score
  from candidates as c
  left join statistics as s
    on s.source = c.source and s.series = c.series and s.meter = c.meter and s.judged_day = c.judged_day
),

judged as (
  select
    source, series, meter, judged_day, item_id, subscription_id, customer_id, price_id, unit, quantity,
    baseline_days, second_largest, active_days, peer_days, peer_largest, peer_smallest, is_irregular, scatter,
    case when is_irregular then active_median else baseline end as usual,
    case
      when is_irregular then log_score
      else
        cast(quantity - baseline as double) / sqrt(
          greatest(cast(baseline as double), 1) + power(scatter * cast(baseline as double), 2)
        )
    end as score
  from scored
),

-- A wave that the calendar explains is no finding: at most half as much again as the same days of the months before.
unusual as (
  select
    source, series, meter, judged_day, item_id, subscription_id, customer_id, price_id, unit, quantity, usual,
    baseline_days, is_irregular, scatter, score, peer_days, peer_largest, peer_smallest
  from judged
  where (
      score >= cast($z as double)
      and (not is_irregular or (active_days >= 5 and quantity > cast(second_largest * 1.5 as decimal(38, 12))))
      and not (peer_days >= 3 and quantity <= cast(peer_largest * 1.5 as decimal(38, 12)))
    )
    or (
      score <= -cast($z as double)
      and not is_irregular
      and not (
        peer_days >= 3 and quantity > 0 and cast(quantity * 1.5 as decimal(38, 12)) >= peer_smallest
      )
    )
),

-- Money where one unit has one price; elsewhere a day's worth depends on the rest of the period.
priced as (
  select
    u.source, u.series, u.meter, u.judged_day, u.item_id, u.subscription_id, u.customer_id, u.price_id, u.unit,
    u.quantity, u.usual, u.baseline_days, u.is_irregular, u.scatter, u.score, u.peer_days, u.peer_largest,
    u.peer_smallest,
    t.currency,
    case
      when t.charge_model = 'per_unit'
        then cast(cast(abs(u.quantity - u.usual) as decimal(76, 12)) * t.price['unit_price'] as decimal(38, 12))
    end as impact
  from unusual as u
  left join price_periods as p
    on p.source = u.source
    and p.price_id = u.price_id
    and p.valid_from <= arrow_cast(cast(u.judged_day as date), 'Timestamp(Microsecond, Some("UTC"))')
    and (
      p.valid_to is null
      or arrow_cast(cast(u.judged_day as date), 'Timestamp(Microsecond, Some("UTC"))') < p.valid_to
    )
  left join price_terms as t
    on t.source = p.source and t.price_id = p.price_id and t.effective_from = p.effective_from
),

-- One row for each series and direction: its most unusual day.
worst as (
  select
    source, meter, judged_day, item_id, subscription_id, customer_id, price_id, unit, quantity, usual, baseline_days,
    is_irregular, scatter, score, peer_days, peer_largest, peer_smallest, currency, impact, series,
    count(*) over (partition by source, series, meter, score > 0) as unusual_days
  from priced
  where impact is null or impact >= $min_impact
  qualify row_number() over (
    partition by source, series, meter, score > 0 order by abs(score) desc, judged_day
  ) = 1
),

-- A ratio near a factor between units is worth naming before anything else is looked at.
named as (
  select
    w.source, w.series, w.meter, w.judged_day, max(f.factor) as factor
  from worst as w
  cross join (
    values (60), (100), (1000), (1024), (3600), (10000), (1048576), (1073741824)
  ) as f (factor)
  where w.usual > 0
    and (
      abs(cast(w.quantity as double) / cast(w.usual as double) / cast(f.factor as double) - 1) <= 0.02
      or abs(cast(w.quantity as double) / cast(w.usual as double) * cast(f.factor as double) - 1) <= 0.02
    )
  group by w.source, w.series, w.meter, w.judged_day
)

select
  w.source,
  case
    when w.item_id is not null then 'subscription_item'
    when w.subscription_id is not null then 'subscription'
    else 'customer'
  end as entity_type,
  coalesce(w.item_id, w.subscription_id, w.customer_id) as entity_id,
  w.customer_id,
  w.subscription_id,
  w.item_id,
  w.price_id,
  w.meter,
  arrow_cast(cast(w.judged_day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(w.judged_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  w.usual as expected,
  w.quantity as actual,
  w.unit,
  case when w.score > 0 then 'up' else 'down' end as reason,
  case
    when n.factor is not null then 'unit_factor'
    when w.score > 0 then 'spike'
    else 'drop'
  end as explanation,
  case when n.factor is not null then 'data_quality' else 'unknown' end as root_cause,
  round(w.score, 2) as score,
  round(w.scatter, 4) as scatter,
  w.is_irregular,
  cast(w.baseline_days as bigint) as baseline_days,
  cast(w.unusual_days as bigint) as unusual_days,
  w.peer_days,
  w.peer_largest,
  w.peer_smallest,
  cast(n.factor as bigint) as factor,
  w.impact,
  w.currency as impact_currency
from worst as w
left join named as n
  on n.source = w.source and n.series = w.series and n.meter = w.meter and n.judged_day = w.judged_day
