-- Usage whose price cannot be found, has no amount for the quantity, or fell to nothing.
-- The rules that rate a charge start from the price version in force: a line without one, or with one that gives no
-- amount, is in none of them. A price that is wrong in itself is tier-gap's; here it is only the charges billed by it.
with invoice_terms as (
  select
    source,
    invoice_id,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    number as invoice_number,
    status as invoice_status,
    currency as invoice_currency,
    bill_run_id,
    target_date,
    coalesce(
      status in ('draft', 'pending')
      or greatest(created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'))
        > $window_start,
      false
    ) as is_recent,
    case when period_start < period_end then period_start end as invoice_period_start,
    case when period_start < period_end then period_end end as invoice_period_end
  from invoices
),

items as (
  select
    source,
    item_id,
    subscription_id as item_subscription_id,
    price_id as item_price_id,
    meter as item_meter
  from subscription_items
),

-- A line that names no price has its item's, and one that tells no period its invoice's, as in line_terms.
dated_lines as (
  select
    l.source,
    l.line_id,
    l.invoice_id,
    v.invoice_number,
    v.invoice_status,
    v.bill_run_id,
    v.target_date,
    coalesce(v.is_recent, false) as is_recent,
    coalesce(l.customer_id, v.invoice_customer_id) as customer_id,
    coalesce(l.subscription_id, i.item_subscription_id, v.invoice_subscription_id) as subscription_id,
    l.item_id,
    coalesce(l.price_id, i.item_price_id) as price_id,
    coalesce(l.meter, i.item_meter) as meter,
    coalesce(
      l.period_start, case when coalesce(l.period_end > v.invoice_period_start, true) then v.invoice_period_start end
    ) as period_start,
    coalesce(
      l.period_end, case when coalesce(l.period_start < v.invoice_period_end, true) then v.invoice_period_end end
    ) as period_end,
    l.quantity,
    l.amount,
    coalesce(l.currency, v.invoice_currency) as currency,
    coalesce(l.is_prorated, false) as is_prorated
  from invoice_lines as l
  left join invoice_terms as v on v.source = l.source and v.invoice_id = l.invoice_id
  left join items as i on i.source = l.source and i.item_id = l.item_id
  where l.kind = 'usage'
    and coalesce(v.invoice_status, '') <> 'void'
),

usage_lines as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, meter, period_start, period_end, quantity, amount, currency, is_prorated
  from dated_lines
  where period_end > $window_start
),

-- Lines without a price version in force at their start. One for nothing, of nothing, needs no price.
unpriced_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.bill_run_id, l.target_date, l.customer_id,
    l.subscription_id, l.item_id, l.price_id, l.meter, l.period_start, l.period_end, l.quantity, l.amount, l.currency,
    u.used_quantity, u.used_records
  from dated_lines as l
  left anti join price_periods as p
    on p.source = l.source
    and p.price_id = l.price_id
    and p.valid_from <= l.period_start
    and (p.valid_to is null or l.period_start < p.valid_to)
  left join line_usage as u on u.source = l.source and u.line_id = l.line_id
  where (l.period_end > $window_start or l.is_recent)
    and l.period_end <= $window_end
    and not l.is_prorated
    and (l.amount <> 0 or l.quantity <> 0 or u.used_quantity <> 0)
),

-- Items whose price was not in force for the whole window: of the others there is nothing to find.
unsure_items as (
  select
    i.source, i.item_id, i.subscription_id, i.customer_id, i.price_id, i.meter as item_meter, i.aggregation,
    i.effective_from, i.effective_to, i.subscription_status, i.trial_end_at
  from item_terms as i
  left anti join price_periods as p
    on p.source = i.source
    and p.price_id = i.price_id
    and p.valid_from <= $window_start
    and (p.valid_to is null or p.valid_to >= $window_end)
  where coalesce(i.charge_type, 'usage') = 'usage'
),

-- Their usage, while the item was in effect. A trial is not billed.
item_days as (
  select
    i.source, i.item_id, i.subscription_id, i.customer_id, i.price_id, i.aggregation, i.subscription_status,
    coalesce(u.meter, i.item_meter) as meter,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.first_occurred_at,
    u.last_occurred_at
  from unsure_items as i
  join item_usage as u
    on u.source = i.source
    and u.item_id = i.item_id
    and (i.item_meter is null or u.meter is null or u.meter = i.item_meter)
  where u.usage_date >= cast($window_start as date)
    and u.first_occurred_at >= $window_start
    and u.last_occurred_at < $window_end
    and (i.effective_from is null or u.first_occurred_at >= i.effective_from)
    and (i.effective_to is null or u.last_occurred_at < i.effective_to)
    and (i.trial_end_at is null or u.first_occurred_at >= i.trial_end_at)
),

-- An item that has a line is judged by the line. A line without item bills its subscription's meter; without a meter
-- too, it may bill any.
lines_of_items as (
  select distinct source, item_id from usage_lines where item_id is not null
),

lines_of_meters as (
  select distinct source, subscription_id, meter
  from usage_lines
  where item_id is null and subscription_id is not null and meter is not null
),

lines_of_subscriptions as (
  select distinct source, subscription_id
  from usage_lines
  where item_id is null and subscription_id is not null and meter is null
),

items_without_line as (
  select
    d.source, d.item_id, d.subscription_id, d.customer_id, d.price_id, d.subscription_status,
    max(d.meter) as meter,
    min(d.first_occurred_at) as first_used_at,
    -- A day leaves the window with its first use.
    max(d.first_occurred_at) + interval '1 microsecond' as used_until,
    sum(d.record_count) as used_records,
    case
      -- Quantities of several meters do not add up.
      when count(distinct d.meter) > 1 then null
      when d.aggregation = 'sum' then cast(sum(cast(d.quantity_sum as decimal(76, 12))) as decimal(38, 12))
      when d.aggregation = 'count' then cast(sum(d.record_count) as decimal(38, 12))
      when d.aggregation = 'max' then max(d.quantity_max)
      when d.aggregation = 'min' then min(d.quantity_min)
      when d.aggregation = 'last' then last_value(d.quantity_last order by d.last_occurred_at)
    end as used_quantity
  from item_days as d
  left anti join lines_of_items as l on l.source = d.source and l.item_id = d.item_id
  left anti join lines_of_meters as m
    on m.source = d.source and m.subscription_id = d.subscription_id and m.meter = d.meter
  left anti join lines_of_subscriptions as s on s.source = d.source and s.subscription_id = d.subscription_id
  group by
    d.source, d.item_id, d.subscription_id, d.customer_id, d.price_id, d.subscription_status, d.aggregation
),

-- An item is judged by its first use, as a line is by its start: from there on unbilled-usage can rate it.
unpriced_items as (
  select
    i.source, i.item_id, i.subscription_id, i.customer_id, i.price_id, i.subscription_status, i.meter,
    i.first_used_at, i.used_until, i.used_records, i.used_quantity
  from items_without_line as i
  left anti join price_periods as p
    on p.source = i.source
    and p.price_id = i.price_id
    and p.valid_from <= i.first_used_at
    and (p.valid_to is null or i.first_used_at < p.valid_to)
  where i.used_quantity is null or i.used_quantity > 0
),

unpriced as (
  select
    source, 'invoice_line' as entity_type, line_id as entity_id, invoice_number as entity_number, customer_id,
    subscription_id, item_id, invoice_id, line_id as invoice_line_id, bill_run_id, price_id, meter, period_start,
    period_end, target_date, invoice_status as entity_status, amount, currency, quantity as billed_quantity,
    used_quantity, used_records
  from unpriced_lines
  union all
  select
    source, 'subscription_item' as entity_type, item_id as entity_id, cast(null as varchar) as entity_number,
    customer_id, subscription_id, item_id, cast(null as varchar) as invoice_id,
    cast(null as varchar) as invoice_line_id, cast(null as varchar) as bill_run_id, price_id, meter,
    first_used_at as period_start, used_until as period_end, cast(null as date) as target_date,
    subscription_status as entity_status, cast(null as decimal(38, 12)) as amount, cast(null as varchar) as currency,
    cast(null as decimal(38, 12)) as billed_quantity, used_quantity, used_records
  from unpriced_items
),

versions as (
  select source, price_id as version_price_id, effective_from as version_from, effective_to as version_to
  from prices
),

-- What there is instead of a version in force.
without_version as (
  select
    u.source, u.entity_type, u.entity_id, u.entity_number, u.customer_id, u.subscription_id, u.item_id, u.invoice_id,
    u.invoice_line_id, u.bill_run_id, u.price_id, u.meter, u.period_start, u.period_end, u.target_date,
    u.entity_status, u.amount, u.currency, u.billed_quantity, u.used_quantity, u.used_records,
    count(v.version_from) as version_count,
    max(v.version_to) filter (where v.version_to <= u.period_start) as previous_version_to,
    min(v.version_from) filter (where v.version_from > u.period_start) as next_version_from
  from unpriced as u
  left join versions as v on v.source = u.source and v.version_price_id = u.price_id
  group by
    u.source, u.entity_type, u.entity_id, u.entity_number, u.customer_id, u.subscription_id, u.item_id, u.invoice_id,
    u.invoice_line_id, u.bill_run_id, u.price_id, u.meter, u.period_start, u.period_end, u.target_date,
    u.entity_status, u.amount, u.currency, u.billed_quantity, u.used_quantity, u.used_records
),

broken_versions as (
  select source, price_id, effective_from, min(fault) as price_fault
  from price_faults
  where stops_rating
  group by source, price_id, effective_from
),

items_of_price as (
  select source, price_id, count(*) as item_count
  from subscription_items
  where effective_to is null or effective_to > $window_start
  group by source, price_id
),

-- tier-gap tells of a broken price once, as long as it can still bill.
told_prices as (
  select p.source, p.price_id, p.effective_from
  from prices as p
  left join items_of_price as i on i.source = p.source and i.price_id = p.price_id
  where (p.effective_to is null or p.effective_to > $window_start)
    and (coalesce(p.is_active, true) or i.item_count > 0)
),

broken_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.bill_run_id, l.target_date, l.customer_id,
    l.subscription_id, l.item_id, l.price_id, l.meter, l.period_start, l.period_end, l.quantity, l.amount,
    coalesce(l.currency, l.invoice_currency) as currency, l.charge_model, l.price_effective_from,
    b.price_fault,
    t.effective_from as told_from
  from line_terms as l
  join broken_versions as b
    on b.source = l.source and b.price_id = l.price_id and b.effective_from = l.price_effective_from
  left join told_prices as t
    on t.source = l.source and t.price_id = l.price_id and t.effective_from = l.price_effective_from
  where l.kind = 'usage'
    and coalesce(l.invoice_status, '') <> 'void'
    and (greatest(l.period_end, l.invoice_made_at) > $window_start or l.invoice_status in ('draft', 'pending'))
    and l.period_end <= $window_end
    and not coalesce(l.is_prorated, false)
),

by_broken_price as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.bill_run_id, l.target_date, l.customer_id,
    l.subscription_id, l.item_id, l.price_id, l.meter, l.period_start, l.period_end, l.quantity, l.amount, l.currency,
    l.charge_model, l.price_effective_from, l.price_fault, u.used_quantity, u.used_records
  from broken_lines as l
  left join line_usage as u on u.source = l.source and u.line_id = l.line_id
  where l.amount <> 0 or (l.told_from is null and (l.quantity <> 0 or u.used_quantity <> 0))
),

tier_amounts as (
  select source, price_id, effective_from, unnest(tiers) as tier
  from prices
  where array_length(tiers) > 0
),

paid_tiers as (
  select distinct source, price_id, effective_from
  from tier_amounts
  where tier['unit_price'] <> 0 or tier['flat_fee'] <> 0 or tier['percentage_rate'] <> 0
),

-- Versions that end at their last tier, and versions under which nothing costs anything.
odd_versions as (
  select
    source,
    price_id as odd_price_id,
    effective_from as odd_from,
    'beyond_last_tier' as oddity,
    up_to as last_tier_up_to
  from price_faults
  where fault = 'no_open_tier'
  union all
  select
    p.source, p.price_id as odd_price_id, p.effective_from as odd_from, 'zero_price' as oddity,
    cast(null as decimal(38, 12)) as last_tier_up_to
  from prices as p
  left anti join paid_tiers as t
    on t.source = p.source and t.price_id = p.price_id and t.effective_from = p.effective_from
  where p.charge_model not in ('prerated', 'custom', 'capacity')
    and (p.unit_price is null or p.unit_price = 0)
    and (p.flat_fee is null or p.flat_fee = 0)
    and (p.overage_price is null or p.overage_price = 0)
    and (p.percentage_rate is null or p.percentage_rate = 0)
    and (p.minimum_amount is null or p.minimum_amount = 0)
),

-- Whole charges: a platform that prints a line a tier has no line above its last tier.
odd_charges as (
  select
    c.source, c.line_id, c.invoice_id, c.invoice_number, c.invoice_status, c.bill_run_id, c.target_date, c.customer_id,
    c.subscription_id, c.item_id, c.price_id, c.price_effective_from, c.meter, c.period_start, c.period_end, c.amount,
    c.currency, c.charge_model, c.price, c.quantity, c.used_quantity, c.used_records,
    -- A negative quantity has no amount, or one that mirrors it; no usage says nothing where usage is not exported.
    case when c.quantity >= 0 then c.quantity end as billed,
    case when c.used_quantity > 0 then c.used_quantity end as used,
    o.oddity,
    o.last_tier_up_to
  from usage_charges as c
  join odd_versions as o
    on o.source = c.source and o.odd_price_id = c.price_id and o.odd_from = c.price_effective_from
  where not c.is_prorated
    and (c.price_currency is null or c.currency is null or upper(c.currency) = upper(c.price_currency))
),

sound_versions as (
  select t.source, t.price_id as version_price_id, t.effective_from as version_from, t.price as version_price
  from price_terms as t
  left anti join broken_versions as b
    on b.source = t.source and b.price_id = t.price_id and b.effective_from = t.effective_from
),

-- The same quantity under every earlier version, for the charges of a free one.
compared as (
  select
    c.source, c.line_id, c.invoice_id, c.invoice_number, c.invoice_status, c.bill_run_id, c.target_date, c.customer_id,
    c.subscription_id, c.item_id, c.price_id, c.price_effective_from, c.meter, c.period_start, c.period_end, c.amount,
    c.currency, c.charge_model, c.price, c.quantity, c.used_quantity, c.used_records, c.billed, c.used, c.oddity,
    c.last_tier_up_to,
    v.version_from as earlier_version_from,
    rate(v.version_price, greatest(c.billed, c.used)) as earlier_amount
  from odd_charges as c
  left join sound_versions as v
    on v.source = c.source
    and v.version_price_id = c.price_id
    and v.version_from < c.price_effective_from
    and c.oddity = 'zero_price'
),

odd_amounts as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, price_effective_from, meter, period_start, period_end, amount, currency,
    charge_model, quantity, used_quantity, used_records, oddity, last_tier_up_to, earlier_version_from, earlier_amount
  from compared
  where case oddity
    -- Whether any tier holds a quantity is asked of rating itself, with all that it does to a quantity before it picks
    -- a tier: rated as volume, what lies above a closed last tier has no amount. Billed for more than the tiers hold is
    -- another amount than the price's: tier-miscalculation.
    when 'beyond_last_tier' then
      (
        (coalesce(used, billed) is not null and rate_as(price, coalesce(used, billed), 'volume') is null)
        or (billed is not null and rate(price, billed) is null)
      )
      and coalesce(amount <= rate(price, coalesce(billed, used)), true)
    -- Without an earlier version that this quantity was not free under, the price is meant to be free.
    else amount = 0 and greatest(billed, used) > 0 and earlier_amount > 0
  end
  -- One finding a charge: the tier first, else against the latest earlier version that was not free.
  qualify row_number() over (
    partition by source, line_id order by oddity, earlier_version_from desc
  ) = 1
),

found as (
  select
    source, entity_type, entity_id, entity_number, customer_id, subscription_id, item_id, invoice_id, invoice_line_id,
    bill_run_id, price_id, meter, period_start, period_end, target_date, entity_status, amount, currency,
    case
      when price_id is null then 'no_price'
      when version_count = 0 then 'unknown_price'
      when previous_version_to is null then 'version_begins_later'
      else 'no_version_in_force'
    end as reason,
    billed_quantity, used_quantity, used_records,
    cast(null as varchar) as charge_model,
    cast(null as timestamp with time zone) as price_effective_from,
    previous_version_to,
    next_version_from,
    cast(null as varchar) as price_fault,
    cast(null as decimal(38, 12)) as last_tier_up_to,
    cast(null as timestamp with time zone) as earlier_version_from,
    cast(null as decimal(38, 12)) as earlier_amount
  from without_version
  -- Without a start no version can be said to be in force or not.
  where price_id is null or version_count = 0 or period_start is not null
  union all
  select
    source, 'invoice_line' as entity_type, line_id as entity_id, invoice_number as entity_number, customer_id,
    subscription_id, item_id, invoice_id, line_id as invoice_line_id, bill_run_id, price_id, meter, period_start,
    period_end, target_date, invoice_status as entity_status, amount, currency, 'broken_price' as reason,
    quantity as billed_quantity, used_quantity, used_records, charge_model, price_effective_from,
    cast(null as timestamp with time zone) as previous_version_to,
    cast(null as timestamp with time zone) as next_version_from,
    price_fault,
    cast(null as decimal(38, 12)) as last_tier_up_to,
    cast(null as timestamp with time zone) as earlier_version_from,
    cast(null as decimal(38, 12)) as earlier_amount
  from by_broken_price
  union all
  select
    source, 'invoice_line' as entity_type, line_id as entity_id, invoice_number as entity_number, customer_id,
    subscription_id, item_id, invoice_id, line_id as invoice_line_id, bill_run_id, price_id, meter, period_start,
    period_end, target_date, invoice_status as entity_status, amount, currency, oddity as reason,
    quantity as billed_quantity, used_quantity, used_records, charge_model, price_effective_from,
    cast(null as timestamp with time zone) as previous_version_to,
    cast(null as timestamp with time zone) as next_version_from,
    cast(null as varchar) as price_fault,
    last_tier_up_to,
    earlier_version_from,
    earlier_amount
  from odd_amounts
)

select
  source,
  entity_type,
  entity_id,
  entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  period_start,
  period_end,
  target_date,
  entity_status,
  -- What should have been billed is just what is not known.
  cast(null as decimal(38, 12)) as expected,
  amount as actual,
  currency,
  reason,
  reason as explanation,
  case when reason = 'unknown_price' then 'integration' else 'configuration' end as root_cause,
  billed_quantity,
  used_quantity,
  used_records,
  charge_model,
  price_effective_from,
  previous_version_to,
  next_version_from,
  price_fault,
  last_tier_up_to,
  earlier_version_from,
  earlier_amount
from found
