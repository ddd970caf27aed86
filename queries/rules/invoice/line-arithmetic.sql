-- Lines that contradict themselves: recurring and one-time lines whose amount is not quantity times unit price, and
-- lines whose tiers do not add up to their amount.
-- A usage line is held against its price by tier-miscalculation. So here a usage line counts only where its amount is
-- what the price makes of the quantity, or where no price can say, and its printed tiers come to something else.
with dated_invoices as (
  select
    source,
    invoice_id,
    number as invoice_number,
    status as invoice_status,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    currency as invoice_currency,
    bill_run_id,
    target_date,
    coalesce(
      created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'), period_end
    ) as made_at
  from invoices
  where coalesce(status, '') <> 'void'
),

judged as (
  select
    source, invoice_id, invoice_number, invoice_status, invoice_customer_id, invoice_subscription_id, invoice_currency,
    bill_run_id, target_date, made_at
  from dated_invoices
  where made_at <= $window_end
),

moments as (
  select source as moment_source, invoice_id as moment_invoice_id, made_at from judged
),

items as (
  select source, item_id, subscription_id as item_subscription_id, price_id as item_price_id
  from subscription_items
),

periods as (
  select source, price_id as period_price_id, valid_from, valid_to, effective_from as version_from
  from price_periods
),

lines as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.meter, l.kind, l.quantity, l.unit_price, l.amount, l.is_prorated,
    l.period_start, l.period_end, l.billed_tiers,
    coalesce(l.customer_id, v.invoice_customer_id) as customer_id,
    coalesce(l.subscription_id, i.item_subscription_id, v.invoice_subscription_id) as subscription_id,
    coalesce(l.price_id, i.item_price_id) as price_id,
    coalesce(l.currency, v.invoice_currency) as currency,
    v.invoice_number, v.invoice_status, v.bill_run_id, v.target_date,
    -- One minor unit: rounding up or down may make as much.
    case minor_exponent(coalesce(l.currency, v.invoice_currency))
      when 0 then cast(1 as decimal(38, 12))
      when 3 then cast(0.001 as decimal(38, 12))
      when 4 then cast(0.0001 as decimal(38, 12))
      else cast(0.01 as decimal(38, 12))
    end as minor_unit,
    p.version_from
  from judged as v
  join invoice_lines as l on l.source = v.source and l.invoice_id = v.invoice_id
  left join items as i on i.source = l.source and i.item_id = l.item_id
  left join periods as p
    on p.source = l.source
    and p.period_price_id = coalesce(l.price_id, i.item_price_id)
    and p.valid_from <= l.period_start
    and (p.valid_to is null or l.period_start < p.valid_to)
  where l.kind in ('usage', 'recurring', 'one_time')
    -- A line is over with its period, or when it is made: the later of the two.
    and greatest(v.made_at, l.period_end) > $window_start
),

-- The terms of a version, and the version itself where an amount follows from it.
versions as (
  select
    source,
    price_id as version_price_id,
    effective_from as version_effective_from,
    charge_model,
    minimum_amount,
    maximum_amount,
    case billing_period when 'month' then 1 when 'quarter' then 3 when 'year' then 12 end
      * coalesce(billing_period_count, 1) as price_months
  from prices
),

rateable as (
  select
    t.source, t.price_id as rateable_price_id, t.effective_from as rateable_from, t.price
  from price_terms as t
  left anti join price_faults as f
    on f.source = t.source
    and f.price_id = t.price_id
    and f.effective_from = t.effective_from
    and f.stops_rating
  where t.charge_model not in ('prerated', 'custom', 'capacity')
),

priced as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.meter, l.kind, l.quantity, l.unit_price, l.amount, l.is_prorated,
    l.period_start, l.period_end, l.billed_tiers, l.customer_id, l.subscription_id, l.price_id, l.currency,
    l.invoice_number, l.invoice_status, l.bill_run_id, l.target_date, l.minor_unit,
    p.charge_model, p.minimum_amount, p.maximum_amount, p.price_months,
    rate(r.price, case when l.quantity >= 0 then l.quantity end) as rated,
    (date_part('year', l.period_end) - date_part('year', l.period_start)) * 12
      + date_part('month', l.period_end) - date_part('month', l.period_start) as months,
    -- Whole months end on the day they began on, or on the last of a month that has no such day.
    date_part('day', l.period_end) = date_part('day', l.period_start)
      or (
        date_part('day', l.period_end + interval '1 day') = 1
        and date_part('day', l.period_end) < date_part('day', l.period_start)
      )
      or (
        date_part('day', l.period_start + interval '1 day') = 1
        and date_part('day', l.period_start) < date_part('day', l.period_end)
      ) as has_whole_months
  from lines as l
  left join versions as p
    on p.source = l.source and p.version_price_id = l.price_id and p.version_effective_from = l.version_from
  left join rateable as r
    on r.source = l.source and r.rateable_price_id = l.price_id and r.rateable_from = l.version_from
),

products as (
  select
    source, line_id, invoice_id, item_id, meter, kind, quantity, unit_price, amount, period_start, period_end,
    customer_id, subscription_id, price_id, currency, invoice_number, invoice_status, bill_run_id, target_date,
    minor_unit, charge_model, rated, months, price_months,
    cast(cast(quantity as decimal(50, 12)) * cast(unit_price as decimal(26, 12)) as decimal(38, 12)) as product,
    greatest($tolerance, minor_unit)
      -- Where no price tells more, a unit price may be shown rounded to the minor unit.
      + case
        when charge_model is null and quantity <> 1 and unit_price = money_round(unit_price, currency)
          then cast(abs(quantity) * minor_unit / 2 as decimal(38, 12))
        else cast(0 as decimal(38, 12))
      end as allowed
  from priced
  where kind in ('recurring', 'one_time')
    and quantity is not null
    and unit_price is not null
    and coalesce(charge_model, 'per_unit') in ('per_unit', 'flat')
    and coalesce(is_prorated, false) = false
    -- A part of a period costs a part; where the line does not say, its dates do.
    and (kind = 'one_time' or is_prorated is not null or (has_whole_months and months > 0))
),

wrong_products as (
  select
    source, line_id, invoice_id, item_id, meter, kind, quantity, unit_price, amount, period_start, period_end,
    customer_id, subscription_id, price_id, currency, invoice_number, invoice_status, bill_run_id, target_date,
    charge_model, product, money_round(product, currency) as expected
  from products
  -- A reversal says the same with a minus.
  where abs(abs(amount) - abs(product)) > allowed
    and (rated is null or abs(abs(amount) - abs(rated)) > allowed)
    -- A price per month on a line of several months, or a price of a year in monthly parts.
    and (
      kind = 'one_time'
      or months <= 0
      or (
        abs(abs(amount) - abs(product * cast(months as decimal(5, 0)))) > allowed
        and abs(abs(amount) - abs(product) * cast(months as decimal(5, 0)) / coalesce(price_months, 12)) > allowed
        and abs(abs(amount) - abs(product) * cast(months as decimal(5, 0)) / coalesce(price_months, 3)) > allowed
      )
    )
),

tiers as (
  select source, line_id, minor_unit, unnest(billed_tiers) as tier
  from priced
  where array_length(billed_tiers) > 0
),

tier_sums as (
  select
    source,
    line_id as tiered_line_id,
    count(*) as tier_count,
    cast(sum(cast(tier['amount'] as decimal(76, 12))) as decimal(38, 12)) as tier_sum
  from tiers
  group by source, line_id
  -- A tier without an amount says nothing about the sum.
  having count(tier['amount']) = count(*)
),

wrong_tiers as (
  select
    p.source, p.line_id, p.invoice_id, p.item_id, p.meter, p.kind, p.quantity, p.unit_price, p.amount, p.period_start,
    p.period_end, p.customer_id, p.subscription_id, p.price_id, p.currency, p.invoice_number, p.invoice_status,
    p.bill_run_id, p.target_date, p.charge_model, p.rated, t.tier_count, t.tier_sum,
    p.kind = 'usage' and coalesce(p.is_prorated, false) = false and p.rated is not null as is_held_against_price
  from priced as p
  join tier_sums as t on t.source = p.source and t.tiered_line_id = p.line_id
  -- Each tier and the line may be rounded by themselves.
  where abs(p.amount - t.tier_sum) > greatest($tolerance, p.minor_unit) * cast(t.tier_count as decimal(10, 0))
    -- What lifts a line to its minimum or keeps it at its maximum is in no tier.
    and (p.amount is distinct from p.minimum_amount)
    and (p.amount is distinct from p.maximum_amount)
),

findings as (
  select
    source, line_id, invoice_id, item_id, meter, kind, quantity, unit_price, amount, period_start, period_end,
    customer_id, subscription_id, price_id, currency, invoice_number, invoice_status, bill_run_id, target_date,
    charge_model, expected,
    'quantity_times_price' as reason,
    cast(null as bigint) as tier_count,
    cast(null as decimal(38, 12)) as tier_sum,
    case
      when expected <> 0 and (
          amount in (expected * 100, expected * 1000)
          or amount <> 0 and expected in (amount * 100, amount * 1000)
        )
        then 'minor_unit_slip'
      else 'product_differs'
    end as explanation
  from wrong_products
  union all
  select
    w.source, w.line_id, w.invoice_id, w.item_id, w.meter, w.kind, w.quantity, w.unit_price, w.amount,
    w.period_start, w.period_end, w.customer_id, w.subscription_id, w.price_id, w.currency, w.invoice_number,
    w.invoice_status, w.bill_run_id, w.target_date, w.charge_model,
    -- The amount is right by the price: what is printed is wrong, and no money.
    case when not w.is_held_against_price then w.tier_sum end as expected,
    'sum_of_tiers' as reason,
    w.tier_count,
    w.tier_sum,
    case when w.is_held_against_price then 'tiers_shown_wrong' else 'tiers_do_not_add_up' end as explanation
  from wrong_tiers as w
  left anti join wrong_products as p on p.source = w.source and p.line_id = w.line_id
  where not w.is_held_against_price or abs(w.amount - w.rated) <= $tolerance
)

select
  source,
  'invoice_line' as entity_type,
  line_id as entity_id,
  invoice_number as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  line_id as invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  period_start,
  -- Without a period, the moment by which the window takes it in or leaves it out.
  coalesce(period_end, made_at) as period_end,
  target_date,
  invoice_status as entity_status,
  expected,
  case when expected is not null then amount end as actual,
  currency,
  reason,
  explanation,
  case explanation
    when 'minor_unit_slip' then 'data_quality'
    when 'product_differs' then 'manual'
    else 'engine_defect'
  end as root_cause,
  kind,
  quantity,
  unit_price,
  amount as billed_amount,
  tier_count,
  tier_sum,
  charge_model
from findings
left join moments on moment_source = source and moment_invoice_id = invoice_id
