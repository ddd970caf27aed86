-- Usage that fell between the items of a plan change: one item of a subscription and meter ended, another began, and
-- usage around the change that costs something is on no line of either, although billing has gone on past it.
-- Usage is billed by a line of its own item that touches it; by a line of the other item only where that bills more than
-- its own item used; usage that names no item by a line of any of them.
with metered_items as (
  select
    source, item_id, subscription_id, customer_id, price_id, meter, unit, aggregation, effective_from, effective_to,
    trial_end_at, subscription_number, subscription_status,
    coalesce(meter, '') as item_meter
  from item_terms
  -- A charge for usage may name no meter.
  where subscription_id is not null and (meter is not null or coalesce(charge_type, 'usage') = 'usage')
),

changes as (
  select
    a.source,
    a.subscription_id,
    a.customer_id,
    a.meter,
    a.subscription_number,
    a.subscription_status,
    a.trial_end_at,
    a.item_id as old_item_id,
    a.price_id as old_price_id,
    a.unit as old_unit,
    a.aggregation as old_aggregation,
    a.effective_from as old_from,
    a.effective_to as old_to,
    b.item_id as new_item_id,
    b.price_id as new_price_id,
    b.unit as new_unit,
    b.aggregation as new_aggregation,
    b.effective_from as new_from,
    b.effective_to as new_to
  from metered_items as a
  join metered_items as b
    on b.source = a.source and b.subscription_id = a.subscription_id and b.item_meter = a.item_meter
  where a.item_id <> b.item_id
    -- Usage up to five weeks behind the change is looked at.
    and a.effective_to > $window_start - interval '35 days' - cast($max_gap as interval)
    and a.effective_to <= $window_end
    and b.effective_from >= a.effective_to - interval '1 day'
    and b.effective_from <= a.effective_to + cast($max_gap as interval)
    and (a.effective_from is null or a.effective_from < b.effective_from)
  -- The first that follows is the successor.
  qualify row_number() over (partition by a.source, a.item_id order by b.effective_from, b.item_id) = 1
),

usage_lines as (
  select source, line_id, item_id, subscription_id, meter, quantity, period_start, period_end
  from billed_lines
  where kind = 'usage' and period_end > $window_start - interval '400 days' and period_start < period_end
),

-- Billing has gone past a moment when usage of a later one was billed, or an invoice was made for time behind it.
passed as (
  select source, passed_subscription_id, max(passed_until) as passed_until
  from (
    select source, subscription_id as passed_subscription_id, period_end as passed_until
    from usage_lines
    where subscription_id is not null and period_end <= $window_end
    union all
    select source, subscription_id as passed_subscription_id, period_end as passed_until
    from invoices
    where subscription_id is not null
      and coalesce(status, '') <> 'void'
      and period_start < period_end
      and period_end <= $window_end
      and coalesce(created_at, finalized_at) >= period_end
  )
  group by source, passed_subscription_id
),

-- Usage of either item, and usage of subscription and meter that belongs to no one item.
sides as (
  select
    c.source, c.old_item_id, 'old' as side, u.usage_key, u.usage_date, u.first_occurred_at, u.last_occurred_at,
    u.quantity_sum, u.record_count, u.quantity_max
  from changes as c
  join item_usage as u
    on u.source = c.source
    and u.item_id = c.old_item_id
    and (c.meter is null or u.meter is null or u.meter = c.meter)
  where (c.old_from is null or u.first_occurred_at >= c.old_from)
    and u.last_occurred_at >= c.old_to - interval '35 days'
    and u.first_occurred_at < c.new_from + interval '35 days'
  union all
  select
    c.source, c.old_item_id, 'new' as side, u.usage_key, u.usage_date, u.first_occurred_at, u.last_occurred_at,
    u.quantity_sum, u.record_count, u.quantity_max
  from changes as c
  join item_usage as u
    on u.source = c.source
    and u.item_id = c.new_item_id
    and (c.meter is null or u.meter is null or u.meter = c.meter)
  where (c.new_to is null or u.first_occurred_at < c.new_to)
    and u.last_occurred_at >= c.old_to - interval '35 days'
    and u.first_occurred_at < c.new_from + interval '35 days'
  union all
  select
    c.source, c.old_item_id, 'none' as side, u.usage_key, u.usage_date, u.first_occurred_at, u.last_occurred_at,
    u.quantity_sum, u.record_count, u.quantity_max
  from changes as c
  join item_usage as u
    on u.source = c.source
    and u.subscription_id = c.subscription_id
    and coalesce(u.meter, '') = coalesce(c.meter, '')
  where u.item_id is null
    and (c.old_from is null or u.first_occurred_at >= c.old_from)
    and (c.new_to is null or u.first_occurred_at < c.new_to)
    and u.last_occurred_at >= c.old_to - interval '35 days'
    and u.first_occurred_at < c.new_from + interval '35 days'
),

around as (
  select
    s.source, s.old_item_id as changed_item_id, s.side, s.usage_key, s.usage_date, s.first_occurred_at,
    s.last_occurred_at, s.quantity_sum, s.record_count, s.quantity_max,
    case
      when s.side = 'old' and s.first_occurred_at >= c.old_to and s.first_occurred_at >= c.new_from
        then 'left_on_old_item'
      when s.first_occurred_at >= c.old_to and s.first_occurred_at < c.new_from then 'between_items'
      when s.side = 'old' then 'old_item_unbilled'
      when s.side = 'new' then 'new_item_unbilled'
      else 'without_item'
    end as explanation
  from sides as s
  join changes as c on c.source = s.source and c.old_item_id = s.old_item_id
  join passed as p on p.source = c.source and p.passed_subscription_id = c.subscription_id
  where s.last_occurred_at < p.passed_until
    and (c.trial_end_at is null or s.first_occurred_at >= c.trial_end_at)
),

line_totals as (
  select source, line_id as total_line_id, used_quantity
  from line_usage
),

-- What the lines of a changed subscription offer: `offers_to` is the side whose usage a line bills. One that bills more
-- than its own item used carries the usage of the other too.
offers as (
  select
    c.source,
    c.old_item_id as offered_item_id,
    l.period_start as offer_start,
    l.period_end as offer_end,
    case
      when l.item_id is null or coalesce(l.quantity > t.used_quantity, false) then 'both'
      when l.item_id = c.old_item_id then 'old'
      else 'new'
    end as offers_to
  from changes as c
  join usage_lines as l on l.source = c.source and l.subscription_id = c.subscription_id
  left join line_totals as t on t.source = l.source and t.total_line_id = l.line_id
  where (l.item_id is null and coalesce(l.meter = c.meter, true))
    or l.item_id in (c.old_item_id, c.new_item_id)
),

judged_rows as (
  select
    r.source, r.changed_item_id, r.side, r.explanation, r.usage_key, r.usage_date, r.first_occurred_at,
    r.last_occurred_at, r.record_count, r.quantity_sum, r.quantity_max,
    bool_or(
      o.offers_to is not null and (r.side = 'none' or o.offers_to in ('both', r.side))
    ) as is_billed
  from around as r
  left join offers as o
    on o.source = r.source
    and o.offered_item_id = r.changed_item_id
    and o.offer_start <= r.last_occurred_at
    and r.first_occurred_at < o.offer_end
  group by
    r.source, r.changed_item_id, r.side, r.explanation, r.usage_key, r.usage_date, r.first_occurred_at,
    r.last_occurred_at, r.record_count, r.quantity_sum, r.quantity_max
),

lost as (
  select
    source, changed_item_id, side, explanation,
    min(first_occurred_at) as first_used_at,
    max(last_occurred_at) as last_used_at,
    count(*) as day_count,
    sum(record_count) as record_count,
    cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    max(quantity_max) as quantity_max
  from judged_rows
  where not is_billed
  group by source, changed_item_id, side, explanation
),

-- Priced by the item that it stands on; what stands on the old one after the change, or on none, by the new one.
charged as (
  select
    c.source, c.subscription_id, c.customer_id, c.meter, c.subscription_number, c.subscription_status,
    c.old_item_id, c.new_item_id, c.old_to, c.new_from, l.side, l.explanation, l.first_used_at, l.last_used_at,
    l.day_count, l.record_count,
    case when l.explanation = 'old_item_unbilled' then c.old_price_id else c.new_price_id end as price_id,
    case when l.explanation = 'old_item_unbilled' then c.old_unit else c.new_unit end as unit,
    case when l.explanation = 'old_item_unbilled' then c.old_aggregation else c.new_aggregation end as aggregation,
    case case when l.explanation = 'old_item_unbilled' then c.old_aggregation else c.new_aggregation end
      when 'sum' then l.quantity_sum
      when 'max' then l.quantity_max
      when 'last' then l.quantity_max
      else cast(l.record_count as decimal(38, 12))
    end as quantity
  from lost as l
  join changes as c on c.source = l.source and c.old_item_id = l.changed_item_id
),

priced as (
  select
    c.source, c.subscription_id, c.customer_id, c.meter, c.subscription_number, c.subscription_status,
    c.old_item_id, c.new_item_id, c.old_to, c.new_from, c.side, c.explanation, c.first_used_at, c.last_used_at,
    c.day_count, c.record_count, c.price_id, c.unit, c.quantity, t.currency,
    rate(t.price, c.quantity) as worth
  from charged as c
  join price_periods as q
    on q.source = c.source
    and q.price_id = c.price_id
    and q.valid_from <= c.last_used_at
    and (q.valid_to is null or c.last_used_at < q.valid_to)
  join price_terms as t on t.source = q.source and t.price_id = q.price_id and t.effective_from = q.effective_from
  left anti join price_faults as f
    on f.source = t.source and f.price_id = t.price_id and f.effective_from = t.effective_from and f.stops_rating
  where c.quantity > 0
    and t.charge_model not in ('prerated', 'custom', 'capacity')
)

select
  source,
  case when side = 'none' then 'subscription' else 'subscription_item' end as entity_type,
  case side when 'old' then old_item_id when 'new' then new_item_id else subscription_id end as entity_id,
  customer_id,
  subscription_id,
  case side when 'old' then old_item_id when 'new' then new_item_id end as item_id,
  price_id,
  meter,
  first_used_at as period_start,
  last_used_at as period_end,
  subscription_status as entity_status,
  quantity as expected,
  cast(0 as decimal(38, 12)) as actual,
  coalesce(unit, 'quantity') as unit,
  'plan_change' as reason,
  explanation,
  case explanation when 'between_items' then 'configuration' else 'engine_defect' end as root_cause,
  old_item_id,
  new_item_id,
  old_to as old_item_ended_at,
  new_from as new_item_began_at,
  day_count,
  record_count,
  subscription_number,
  -- By itself; on an invoice it shares tiers and included units with the rest of its period.
  worth as likely_amount,
  currency as likely_currency
from priced
where worth > $tolerance
  -- A loss is over with the change, or with its last usage: the later of the two.
  and greatest(old_to, last_used_at) > $window_start
