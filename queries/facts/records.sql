-- The records of each wrong line's period, one by one, made into quantities: those that count, of those what had been
-- received when the invoice was made, and with repeats, and with what is voided or in error. Records are read for the
-- days of the lines only. A record belongs to a line as in item_usage: by its item, else by its subscription or
-- customer where these have one item of the meter at its time (sole_items).
with raw as (
  select
    source,
    usage_id,
    item_id,
    subscription_id,
    meter as usage_meter,
    quantity,
    unique_value,
    occurred_at,
    recorded_at,
    coalesce(status, '') in ('voided', 'error') as is_voided,
    case
      when item_id is not null then concat('i:', item_id)
      when subscription_id is not null then concat('s:', subscription_id)
      when customer_id is not null then concat('c:', customer_id)
    end as record_key
  from usage_records
  where usage_date >= cast($window_start as date) and usage_date <= cast($window_end as date)
),

sole_owners as (
  select source as sole_source, owner, asked_meter, item_id as sole_item_id, sole_from, sole_to
  from sole_items
),

belonging as (
  select
    r.source, r.usage_id, coalesce(r.item_id, i.sole_item_id) as item_id, r.subscription_id, r.usage_meter, r.quantity,
    r.unique_value, r.occurred_at, r.recorded_at, r.is_voided
  from sole_owners as i
  right join raw as r
    on i.sole_source = r.source
    and i.owner = r.record_key
    and i.asked_meter = coalesce(r.usage_meter, '')
    and i.sole_from <= r.occurred_at
    and i.sole_to > r.occurred_at
    and r.item_id is null
),

owned as (
  select
    w.source, w.line_id, w.invoice_created_at, r.usage_id, r.quantity, r.unique_value, r.occurred_at, r.recorded_at,
    r.is_voided
  from wrong_terms as w
  join belonging as r
    on r.source = w.source
    and r.item_id = w.item_id
    and (w.meter is null or r.usage_meter is null or r.usage_meter = w.meter)
    and r.occurred_at >= w.period_start
    and r.occurred_at < w.period_end
  union all
  -- Where either has no item, the line is billed for its subscription's meter.
  select
    w.source, w.line_id, w.invoice_created_at, r.usage_id, r.quantity, r.unique_value, r.occurred_at, r.recorded_at,
    r.is_voided
  from wrong_terms as w
  join belonging as r
    on r.source = w.source
    and r.subscription_id = w.subscription_id
    and coalesce(r.usage_meter, '') = coalesce(w.meter, '')
    and (w.item_id is null or r.item_id is null)
    and r.occurred_at >= w.period_start
    and r.occurred_at < w.period_end
),

repeats as (
  select source, usage_id as repeated_id
  from usage_duplicates
),

flagged as (
  select
    o.source, o.line_id, o.usage_id, o.quantity, o.unique_value, o.occurred_at, o.recorded_at, o.is_voided,
    d.repeated_id is not null as is_repeat,
    o.recorded_at is null or o.invoice_created_at is null or o.recorded_at < o.invoice_created_at as is_received
  from owned as o
  left join repeats as d on d.source = o.source and d.repeated_id = o.usage_id
),

counted as (
  select
    f.source, f.line_id, m.measure, f.usage_id, f.quantity, f.unique_value, f.occurred_at, f.recorded_at
  from flagged as f
  cross join (values ('own'), ('received'), ('with_repeats'), ('with_voided')) as m (measure)
  where case m.measure
    when 'own' then not f.is_repeat and not f.is_voided
    when 'received' then not f.is_repeat and not f.is_voided and f.is_received
    when 'with_repeats' then not f.is_voided
    else not f.is_repeat
  end
)

select
  source,
  line_id,
  measure,
  cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
  count(*) as record_count,
  max(quantity) as quantity_max,
  min(quantity) as quantity_min,
  last_value(quantity order by occurred_at, recorded_at, usage_id) as quantity_last,
  count(distinct unique_value) as unique_values
from counted
group by source, line_id, measure
