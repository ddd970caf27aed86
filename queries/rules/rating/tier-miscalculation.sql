-- Usage charges whose amount is not what the price in force makes of the quantity.
-- The rating alone is judged: where the billed quantity is not the used one, the billed one is rated here, and the
-- quantity is the finding of quantity-mismatch. One mistake, one finding.
with charges as (
  select
    source,
    line_id,
    line_count,
    invoice_id,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    customer_id,
    subscription_id,
    item_id,
    price_id,
    price_effective_from,
    meter,
    period_start,
    period_end,
    currency,
    amount,
    charge_model,
    price,
    product_name,
    aggregation,
    used_quantity,
    quantity as billed_quantity,
    coalesce(quantity, used_quantity) as rated_quantity
  from usage_charges
  where not is_prorated
    and charge_model not in ('prerated', 'custom', 'capacity')
    -- Another currency is the finding of invoice-total: the amounts cannot be compared.
    and (price_currency is null or currency is null or upper(currency) = upper(price_currency))
),

rated as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, price_effective_from, meter, period_start, period_end, currency, amount,
    charge_model, price, product_name, aggregation, used_quantity, billed_quantity, rated_quantity,
    rate(price, rated_quantity) as expected,
    rate(price, cast(0 as decimal(38, 12))) as amount_at_zero
  from charges
  -- A quantity below zero has an amount only where the price mirrors it.
  where rated_quantity >= 0 or get_field(price, 'negative_policy') = 'mirror'
),

-- Some platforms bill what is missing to the minimum as a line of its own.
minimum_lines as (
  select
    source,
    invoice_id,
    item_id,
    cast(sum(cast(amount as decimal(76, 12))) as decimal(38, 12)) as minimum_billed
  from invoice_lines
  where kind = 'minimum' and item_id is not null and period_end > $window_start
  group by source, invoice_id, item_id
),

wrong as (
  select
    r.source, r.line_id, r.line_count, r.invoice_id, r.invoice_number, r.invoice_status, r.bill_run_id, r.target_date,
    r.customer_id, r.subscription_id, r.item_id, r.price_id, r.price_effective_from, r.meter, r.period_start,
    r.period_end, r.currency, r.amount, r.charge_model, r.price, r.product_name, r.aggregation, r.used_quantity,
    r.billed_quantity, r.rated_quantity, r.expected
  from rated as r
  left join minimum_lines as m
    on m.source = r.source and m.invoice_id = r.invoice_id and m.item_id = r.item_id
  where abs(r.amount - r.expected) > $tolerance
    and (m.minimum_billed is null or abs(r.amount + m.minimum_billed - r.expected) > $tolerance)
    -- Without a billed quantity, an amount as if nothing was used, or any amount where nothing was, is a matter of
    -- the quantity: quantity-mismatch and billed-without-usage.
    and not (
      r.billed_quantity is null
      and (r.used_quantity = 0 or r.amount is not distinct from r.amount_at_zero)
    )
),

versions as (
  select t.source, t.price_id as version_price_id, t.effective_from as version_from, t.price as version_price
  from price_terms as t
  left anti join price_faults as f
    on f.source = t.source
    and f.price_id = t.price_id
    and f.effective_from = t.effective_from
    and f.stops_rating
),

-- The other versions of the same price that would give the billed amount.
other_versions as (
  select
    w.source,
    w.line_id,
    bool_or(t.version_from < w.price_effective_from) as is_previous,
    bool_or(t.version_from > w.price_effective_from) as is_next,
    max(t.version_from) filter (where t.version_from < w.price_effective_from) as previous_effective_from,
    min(t.version_from) filter (where t.version_from > w.price_effective_from) as next_effective_from
  from wrong as w
  join versions as t
    on t.source = w.source
    and t.version_price_id = w.price_id
    and t.version_from <> w.price_effective_from
  where rate(t.version_price, w.rated_quantity) = w.amount
  group by w.source, w.line_id
),

-- A hypothesis counts only when it gives the billed amount exactly.
explained as (
  select
    w.source, w.line_id, w.line_count, w.invoice_id, w.invoice_number, w.invoice_status, w.bill_run_id, w.target_date,
    w.customer_id, w.subscription_id, w.item_id, w.price_id, w.price_effective_from, w.meter, w.period_start,
    w.period_end, w.currency, w.amount, w.charge_model, w.price, w.product_name, w.aggregation, w.used_quantity,
    w.billed_quantity, w.rated_quantity, w.expected,
    case
      when w.charge_model = 'graduated' and rate_as(w.price, w.rated_quantity, 'volume') = w.amount
        then 'graduated_billed_as_volume'
      when w.charge_model = 'volume' and rate_as(w.price, w.rated_quantity, 'graduated') = w.amount
        then 'volume_billed_as_graduated'
      when o.is_previous then 'previous_price_version'
      when o.is_next then 'next_price_version'
      when w.expected <> 0 and (
          w.amount in (w.expected * 100, w.expected * 1000)
          or w.amount <> 0 and (
            w.expected in (w.amount * 100, w.amount * 1000)
            or w.amount = money_round(cast(w.expected / 100 as decimal(38, 12)), w.currency)
            or w.amount = money_round(cast(w.expected / 1000 as decimal(38, 12)), w.currency)
          )
        )
        then 'minor_unit_slip'
      else 'unexplained'
    end as explanation,
    case
      when o.is_previous then o.previous_effective_from
      when o.is_next then o.next_effective_from
    end as billed_version_from
  from wrong as w
  left join other_versions as o on o.source = w.source and o.line_id = w.line_id
)

select
  e.source,
  'invoice_line' as entity_type,
  e.line_id as entity_id,
  e.invoice_number as entity_number,
  e.customer_id,
  e.subscription_id,
  e.item_id,
  e.invoice_id,
  e.line_id as invoice_line_id,
  e.bill_run_id,
  e.price_id,
  e.meter,
  e.period_start,
  e.period_end,
  e.target_date,
  e.invoice_status as entity_status,
  e.expected,
  e.amount as actual,
  e.currency,
  case when e.amount > e.expected then 'overbilled' else 'underbilled' end as reason,
  e.explanation,
  case e.explanation
    when 'minor_unit_slip' then 'data_quality'
    when 'unexplained' then 'unknown'
    else 'configuration'
  end as root_cause,
  e.used_quantity,
  e.billed_quantity,
  rate_tiers(e.price, e.rated_quantity) as expected_tiers,
  l.billed_tiers,
  e.charge_model,
  rate_unrounded(e.price, e.rated_quantity) as unrounded,
  e.aggregation,
  e.product_name,
  e.price_effective_from,
  case when e.explanation in ('previous_price_version', 'next_price_version') then e.billed_version_from end
    as billed_version_from,
  e.line_count
from explained as e
left join invoice_lines as l on l.source = e.source and l.line_id = e.line_id
