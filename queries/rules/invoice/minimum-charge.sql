-- Minimums that are billed as lines of their own: a line that is not what is missing to the price's minimum, and a
-- minimum that is due and not billed.
-- Where the usage line itself falls short of the minimum and there is no line for it, tier-miscalculation tells: it
-- rates with the minimum. So a missing one is judged here only without usage, or under a price that cannot be rated.
with invoice_terms as (
  select
    source,
    invoice_id as term_invoice_id,
    number as invoice_number,
    status as invoice_status,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    currency as invoice_currency,
    bill_run_id,
    target_date,
    coalesce(created_at, finalized_at, period_end) as made_at,
    period_start as invoice_start,
    period_end as invoice_end
  from invoices
  where coalesce(status, '') <> 'void'
),

items as (
  select
    i.source,
    i.item_id as term_item_id,
    i.subscription_id as item_subscription_id,
    coalesce(i.customer_id, s.customer_id) as item_customer_id,
    i.price_id as item_price_id,
    i.meter as item_meter,
    -- A first period may be shorter, and so may the last: the minimum of a part is a part.
    greatest(i.effective_from, s.started_at, s.trial_end_at) as item_begins_at,
    least(i.effective_to, coalesce(s.ended_at, s.cancelled_at)) as item_ends_at,
    coalesce(s.status, 'active') in ('active', 'past_due') as is_active
  from subscription_items as i
  left join subscriptions as s on s.source = i.source and s.subscription_id = i.subscription_id
),

-- Versions with a minimum, for as long as each is in force.
minimums as (
  select
    q.source,
    q.price_id as minimum_price_id,
    q.valid_from,
    q.valid_to,
    p.minimum_amount,
    p.charge_model,
    p.charge_type,
    p.meter as price_meter,
    upper(p.currency) as price_currency,
    p.product_name,
    p.billing_period in ('day', 'week') as is_short,
    case p.billing_period when 'month' then 1 when 'quarter' then 3 when 'year' then 12 end
      * coalesce(p.billing_period_count, 1) as price_months
  from price_periods as q
  join prices as p on p.source = q.source and p.price_id = q.price_id and p.effective_from = q.effective_from
  where p.minimum_amount > 0
),

parts as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.kind, l.quantity, l.amount, l.period_start, l.period_end,
    coalesce(l.is_prorated, false) as is_prorated,
    coalesce(l.customer_id, v.invoice_customer_id, i.item_customer_id) as customer_id,
    coalesce(l.subscription_id, i.item_subscription_id, v.invoice_subscription_id) as subscription_id,
    coalesce(l.price_id, i.item_price_id) as price_id,
    coalesce(l.meter, i.item_meter) as meter,
    coalesce(l.currency, v.invoice_currency) as currency,
    v.invoice_number, v.invoice_status, v.bill_run_id, v.target_date, v.made_at, i.item_begins_at, i.item_ends_at
  from invoice_lines as l
  join invoice_terms as v on v.source = l.source and v.term_invoice_id = l.invoice_id
  left join items as i on i.source = l.source and i.term_item_id = l.item_id
  where l.kind in ('usage', 'minimum')
    and l.item_id is not null
    and coalesce(l.period_end, v.invoice_end) > $window_start
    and coalesce(l.period_end, v.invoice_end) <= $window_end
),

-- An item's charges on one invoice. Lines that are all the same are one charge printed twice: duplicate-line tells.
invoice_charges as (
  select
    source,
    invoice_id,
    item_id,
    max(price_id) as price_id,
    max(meter) as meter,
    max(customer_id) as customer_id,
    max(subscription_id) as subscription_id,
    max(currency) as currency,
    max(invoice_number) as invoice_number,
    max(invoice_status) as invoice_status,
    max(bill_run_id) as bill_run_id,
    max(target_date) as target_date,
    max(made_at) as made_at,
    max(item_begins_at) as item_begins_at,
    max(item_ends_at) as item_ends_at,
    min(period_start) as period_start,
    max(period_end) as period_end,
    min(case when kind = 'minimum' then line_id end) as minimum_line_id,
    count(*) filter (where kind = 'minimum') as minimum_count,
    count(*) filter (where kind = 'usage') as usage_count,
    case
      when count(*) filter (where kind = 'minimum') > 1
        and min(case when kind = 'minimum' then amount end) = max(case when kind = 'minimum' then amount end)
        then min(case when kind = 'minimum' then amount end)
      else cast(sum(cast(case when kind = 'minimum' then amount else 0 end as decimal(76, 12))) as decimal(38, 12))
    end as billed_minimum,
    case
      when count(*) filter (where kind = 'usage') > 1
        and min(case when kind = 'usage' then amount end) = max(case when kind = 'usage' then amount end)
        and coalesce(
          min(case when kind = 'usage' then quantity end) = max(case when kind = 'usage' then quantity end), true
        )
        then min(case when kind = 'usage' then amount end)
      else cast(sum(cast(case when kind = 'usage' then amount else 0 end as decimal(76, 12))) as decimal(38, 12))
    end as usage_amount
  from parts
  group by source, invoice_id, item_id
  -- Several periods on one invoice, or two prices, have a minimum each.
  having not bool_or(is_prorated)
    and count(distinct period_start) = 1
    and count(distinct period_end) = 1
    and count(distinct price_id) = 1
),

-- And of one period: the minimum may stand on another invoice than the usage. Told is the last invoice with a minimum.
charges as (
  select
    source,
    item_id,
    price_id,
    period_start,
    period_end,
    max(meter) as meter,
    max(customer_id) as customer_id,
    max(subscription_id) as subscription_id,
    max(currency) as currency,
    max(item_begins_at) as item_begins_at,
    max(item_ends_at) as item_ends_at,
    last_value(invoice_id order by minimum_count > 0, made_at, invoice_id) as invoice_id,
    last_value(invoice_number order by minimum_count > 0, made_at, invoice_id) as invoice_number,
    last_value(invoice_status order by minimum_count > 0, made_at, invoice_id) as invoice_status,
    last_value(bill_run_id order by minimum_count > 0, made_at, invoice_id) as bill_run_id,
    last_value(target_date order by minimum_count > 0, made_at, invoice_id) as target_date,
    last_value(minimum_line_id order by minimum_count > 0, made_at, invoice_id) as minimum_line_id,
    count(*) filter (where minimum_count > 0) as minimum_count,
    sum(usage_count) as usage_count,
    count(distinct case when minimum_count > 0 then billed_minimum end) as minimum_amounts,
    max(case when minimum_count > 0 then billed_minimum end) as highest_minimum,
    cast(sum(cast(billed_minimum as decimal(76, 12))) as decimal(38, 12)) as billed_minimum,
    cast(sum(cast(usage_amount as decimal(76, 12))) as decimal(38, 12)) as usage_amount
  from invoice_charges
  group by source, item_id, price_id, period_start, period_end
  -- Usage on two invoices is a correction, or duplicate-period's.
  having count(*) filter (where usage_count > 0) <= 1
    and count(distinct currency) <= 1
),

lined as (
  select
    c.source, c.invoice_id, c.item_id, c.price_id, c.meter, c.customer_id, c.subscription_id, c.currency,
    c.invoice_number, c.invoice_status, c.bill_run_id, c.target_date, c.period_start, c.period_end, c.minimum_line_id,
    c.minimum_count, c.usage_count, c.billed_minimum, c.usage_amount,
    m.minimum_amount, m.charge_model, m.product_name, m.is_short, m.price_months,
    greatest(m.minimum_amount - c.usage_amount, cast(0 as decimal(38, 12))) as due_minimum,
    c.minimum_count > 1
      and c.minimum_amounts = 1
      and c.highest_minimum = m.minimum_amount - c.usage_amount as is_repeated
  from charges as c
  join minimums as m
    on m.source = c.source
    and m.minimum_price_id = c.price_id
    and m.valid_from <= c.period_start
    and (m.valid_to is null or c.period_start < m.valid_to)
  where (m.price_currency is null or c.currency is null or m.price_currency = upper(c.currency))
    and (c.item_begins_at is null or c.item_begins_at <= c.period_start)
    and (c.item_ends_at is null or c.item_ends_at >= c.period_end)
),

-- The last charges of a subscription tell that a period was invoiced; an item without any line in it was left out.
closed_periods as (
  select
    i.source, v.term_invoice_id as invoice_id, i.term_item_id as item_id, i.item_price_id as price_id,
    coalesce(i.item_meter, m.price_meter) as meter,
    coalesce(i.item_customer_id, v.invoice_customer_id) as customer_id,
    i.item_subscription_id as subscription_id,
    coalesce(m.price_currency, v.invoice_currency) as currency,
    v.invoice_number, v.invoice_status, v.bill_run_id, v.target_date,
    v.invoice_start as period_start,
    v.invoice_end as period_end,
    m.minimum_amount, m.charge_model, m.product_name, m.is_short, m.price_months
  from invoice_terms as v
  join items as i on i.source = v.source and i.item_subscription_id = v.invoice_subscription_id
  join minimums as m
    on m.source = i.source
    and m.minimum_price_id = i.item_price_id
    and m.valid_from <= v.invoice_start
    and (m.valid_to is null or v.invoice_start < m.valid_to)
  where i.is_active
    and coalesce(m.charge_type, 'usage') = 'usage'
    and v.invoice_start < v.invoice_end
    and v.invoice_end > $window_start
    and v.invoice_end <= $window_end
    -- An invoice made ahead has the charges of the time before.
    and v.made_at >= v.invoice_end - interval '1 hour'
    and (i.item_begins_at is null or i.item_begins_at <= v.invoice_start)
    and (i.item_ends_at is null or i.item_ends_at >= v.invoice_end)
    and (m.price_currency is null or v.invoice_currency is null or m.price_currency = upper(v.invoice_currency))
  qualify row_number() over (
    partition by i.source, i.term_item_id, v.invoice_start, v.invoice_end order by v.made_at desc, v.term_invoice_id
  ) = 1
),

charge_lines as (
  select
    l.source as charged_source,
    l.item_id as charged_item_id,
    coalesce(l.subscription_id, v.invoice_subscription_id) as charged_subscription_id,
    l.meter as charged_meter,
    l.period_start as charged_start,
    l.period_end as charged_end
  from invoice_lines as l
  join invoice_terms as v on v.source = l.source and v.term_invoice_id = l.invoice_id
  where l.kind in ('usage', 'minimum', 'recurring')
    and l.period_end > $window_start - interval '400 days'
),

recent_usage as (
  select source, item_id as used_item_id, first_occurred_at, last_occurred_at
  from item_usage
  where usage_date >= cast($window_start - interval '62 days' as date)
),

sources_with_usage as (
  select source as usage_source from usage_daily group by source
),

lineless as (
  select
    p.source, p.invoice_id, p.item_id, p.price_id, p.meter, p.customer_id, p.subscription_id, p.currency,
    p.invoice_number, p.invoice_status, p.bill_run_id, p.target_date, p.period_start, p.period_end, p.minimum_amount,
    p.charge_model, p.product_name, p.is_short, p.price_months
  from closed_periods as p
  join sources_with_usage as s on s.usage_source = p.source
  left anti join charge_lines as c
    on c.charged_source = p.source
    and c.charged_item_id = p.item_id
    and c.charged_start < p.period_end
    and c.charged_end > p.period_start
  -- A line without an item bills its subscription's meter; without a meter too, it may bill any.
  left anti join charge_lines as d
    on d.charged_source = p.source
    and d.charged_subscription_id = p.subscription_id
    and d.charged_item_id is null
    and (d.charged_meter is null or p.meter is null or d.charged_meter = p.meter)
    and d.charged_start < p.period_end
    and d.charged_end > p.period_start
  -- What was used and has no line is unbilled-usage's, minimum and all.
  left anti join recent_usage as u
    on u.source = p.source
    and u.used_item_id = p.item_id
    and u.last_occurred_at >= p.period_start
    and u.first_occurred_at < p.period_end
  where p.period_end < p.period_start + interval '63 days'
),

candidates as (
  select
    source, invoice_id, item_id, price_id, meter, customer_id, subscription_id, currency, invoice_number,
    invoice_status, bill_run_id, target_date, period_start, period_end, minimum_line_id, usage_count, billed_minimum,
    usage_amount, minimum_amount, due_minimum, charge_model, product_name, is_short, price_months, is_repeated
  from lined
  where (minimum_count > 0 and abs(billed_minimum - due_minimum) > $tolerance)
    or (
      minimum_count = 0
      and charge_model in ('prerated', 'custom', 'capacity')
      and due_minimum > $tolerance
    )
  union all
  select
    source, invoice_id, item_id, price_id, meter, customer_id, subscription_id, currency, invoice_number,
    invoice_status, bill_run_id, target_date, period_start, period_end,
    cast(null as varchar) as minimum_line_id,
    cast(0 as bigint) as usage_count,
    cast(0 as decimal(38, 12)) as billed_minimum,
    cast(0 as decimal(38, 12)) as usage_amount,
    minimum_amount,
    minimum_amount as due_minimum,
    charge_model, product_name, is_short, price_months,
    false as is_repeated
  from lineless
),

-- Whole months end on the day they began on, or on the last of a month that has no such day.
whole as (
  select
    source, invoice_id, item_id, price_id, meter, customer_id, subscription_id, currency, invoice_number,
    invoice_status, bill_run_id, target_date, period_start, period_end, minimum_line_id, usage_count, billed_minimum,
    usage_amount, minimum_amount, due_minimum, charge_model, product_name, is_short, price_months, is_repeated,
    (date_part('year', period_end) - date_part('year', period_start)) * 12
      + date_part('month', period_end) - date_part('month', period_start) as months,
    date_part('day', period_end) = date_part('day', period_start)
      or (
        date_part('day', period_end + interval '1 day') = 1
        and date_part('day', period_end) < date_part('day', period_start)
      )
      or (
        date_part('day', period_start + interval '1 day') = 1
        and date_part('day', period_start) < date_part('day', period_end)
      ) as has_whole_months
  from candidates
),

other_versions as (
  select
    w.source as other_source,
    w.minimum_line_id as other_line_id,
    min(m.minimum_amount) as other_minimum
  from whole as w
  join minimums as m on m.source = w.source and m.minimum_price_id = w.price_id
  where m.minimum_amount <> w.minimum_amount
    and m.minimum_amount - w.usage_amount = w.billed_minimum
  group by w.source, w.minimum_line_id
)

select
  w.source,
  case when w.minimum_line_id is null then 'subscription_item' else 'invoice_line' end as entity_type,
  coalesce(w.minimum_line_id, w.item_id) as entity_id,
  w.invoice_number as entity_number,
  w.customer_id,
  w.subscription_id,
  w.item_id,
  w.invoice_id,
  w.minimum_line_id as invoice_line_id,
  w.bill_run_id,
  w.price_id,
  w.meter,
  w.period_start,
  w.period_end,
  w.target_date,
  w.invoice_status as entity_status,
  w.due_minimum as expected,
  w.billed_minimum as actual,
  w.currency,
  case when w.billed_minimum > w.due_minimum then 'overbilled' else 'underbilled' end as reason,
  case
    when w.minimum_line_id is null then 'minimum_missing'
    when w.is_repeated then 'billed_twice'
    when w.usage_amount > 0 and w.billed_minimum = w.minimum_amount then 'usage_not_deducted'
    when w.due_minimum = 0 then 'minimum_not_due'
    when o.other_minimum is not null then 'other_version'
    else 'unexplained'
  end as explanation,
  case
    when w.minimum_line_id is null then 'configuration'
    when w.is_repeated
      or w.due_minimum = 0
      or (w.usage_amount > 0 and w.billed_minimum = w.minimum_amount)
      then 'engine_defect'
    when o.other_minimum is not null then 'configuration'
    else 'unknown'
  end as root_cause,
  w.minimum_amount,
  w.usage_amount,
  w.usage_count,
  o.other_minimum,
  w.charge_model,
  w.product_name
from whole as w
left join other_versions as o on o.other_source = w.source and o.other_line_id = w.minimum_line_id
where w.is_short
  or (w.has_whole_months and w.months = coalesce(w.price_months, w.months) and w.months > 0)
