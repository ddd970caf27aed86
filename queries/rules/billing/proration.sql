-- Recurring charges for a part of a billing period whose amount is no part of the price by any usual way of counting:
-- actual seconds, actual days, months of 30 days, years of 365 or 366 days or twelfths of one.
-- Also the full amount for a part where the source prorates, a part for a whole period, and a change of plan after which
-- nothing of the old fee was given back.
with price_rhythms as (
  select
    source,
    price_id as rhythm_price_id,
    effective_from as rhythm_from,
    cast(
      case billing_period when 'month' then 1 when 'quarter' then 3 when 'year' then 12 else 0 end
      * coalesce(billing_period_count, 1) as bigint
    ) as months,
    cast(
      case billing_period when 'day' then 1 when 'week' then 7 else 0 end
      * coalesce(billing_period_count, 1) as bigint
    ) as days
  from prices
  where billing_period is not null
),

anchors as (
  select source, subscription_id as anchored_subscription_id, coalesce(billing_anchor, started_at) as anchor
  from subscriptions
),

licences as (
  select source, item_id as licensed_item_id, quantity as licensed_quantity
  from subscription_items
),

terms as (
  select source, line_id as term_line_id, price, charge_model, price_currency, price_effective_from
  from line_terms
  where kind = 'recurring' and charge_model in ('flat', 'per_unit')
),

fees as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.customer_id, l.subscription_id,
    l.item_id, l.price_id, l.amount, l.currency, l.period_start, l.period_end, l.is_prorated, l.bill_run_id,
    l.target_date, l.made_at, r.months, r.days, t.charge_model,
    coalesce(abs(l.quantity), i.licensed_quantity, cast(1 as decimal(38, 12))) as quantity,
    rate_unrounded(t.price, coalesce(abs(l.quantity), i.licensed_quantity, cast(1 as decimal(38, 12)))) as list_amount,
    -- A fee agreed on with one customer stands on the line, not in the price.
    cast(
      cast(l.unit_price as decimal(38, 12)) * coalesce(abs(l.quantity), i.licensed_quantity, cast(1 as decimal(38, 12)))
      as decimal(38, 12)
    ) as line_list_amount,
    a.anchor
  from billed_lines as l
  join terms as t on t.source = l.source and t.term_line_id = l.line_id
  join price_rhythms as r
    on r.source = l.source and r.rhythm_price_id = l.price_id and r.rhythm_from = t.price_effective_from
  left join anchors as a on a.source = l.source and a.anchored_subscription_id = l.subscription_id
  left join licences as i on i.source = l.source and i.licensed_item_id = l.item_id
  where l.kind = 'recurring'
    and l.amount <> 0
    and l.period_start < l.period_end
    and not l.is_made_good
    and (t.price_currency is null or l.currency is null or upper(t.price_currency) = upper(l.currency))
    -- A line is over with its period, or when it is made: the later of the two.
    and greatest(l.made_at, l.period_end) >= $window_start
    and coalesce(l.made_at, l.period_end) < $window_end
),

-- The whole period that a part may belong to: from its start, up to its end, and the one counted from the anchor.
bounded as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, months, days,
    charge_model, quantity, list_amount, line_list_amount, anchor,
    period_start + cast(concat(cast(months as varchar), ' months ', cast(days as varchar), ' days') as interval)
      as whole_end,
    period_end - cast(concat(cast(months as varchar), ' months ', cast(days as varchar), ' days') as interval)
      as whole_start,
    case
      when months > 0 then
        cast(floor(
          cast(
            (date_part('year', period_start) - date_part('year', anchor)) * 12
              + date_part('month', period_start) - date_part('month', anchor) as double
          ) / cast(months as double)
        ) as bigint) * months
    end as anchor_months
  from fees
),

anchored as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, months, days,
    charge_model, quantity, list_amount, line_list_amount, anchor, whole_end, whole_start,
    -- The anchor's day may lie behind the start in the start's own month.
    case
      when anchor + cast(concat(cast(anchor_months as varchar), ' months') as interval) > period_start
        then anchor_months - months
      else anchor_months
    end as anchor_months
  from bounded
),

measured as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, months, days,
    charge_model, quantity, list_amount, line_list_amount, whole_end, whole_start,
    coalesce(anchor + cast(concat(cast(anchor_months as varchar), ' months') as interval), whole_start) as cycle_start,
    coalesce(anchor + cast(concat(cast(anchor_months + months as varchar), ' months') as interval), period_end)
      as cycle_end,
    case minor_exponent(currency)
      when 0 then cast(1 as decimal(38, 12))
      when 3 then cast(0.001 as decimal(38, 12))
      else cast(0.01 as decimal(38, 12))
    end as minor_unit
  from anchored
),

judged as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, months, days,
    charge_model, quantity, list_amount, line_list_amount, whole_end, whole_start, cycle_start, cycle_end,
    -- A price per unit may be prorated and rounded for one unit, and then multiplied.
    greatest(cast($tolerance as decimal(38, 12)), minor_unit)
      + case
        when charge_model = 'per_unit' then cast(minor_unit * quantity / 2 as decimal(38, 12))
        else cast(0 as decimal(38, 12))
      end as allowed,
    -- An hour either way is a change of the clocks.
    abs(cast(period_end as bigint) - cast(whole_end as bigint)) <= 3600000000
      or abs(cast(period_start as bigint) - cast(whole_start as bigint)) <= 3600000000
      or (
        abs(cast(period_start as bigint) - cast(cycle_start as bigint)) <= 3600000000
        and abs(cast(period_end as bigint) - cast(cycle_end as bigint)) <= 3600000000
      ) as is_whole,
    cast(period_end as bigint) > cast(whole_end as bigint) + 3600000000 as is_longer,
    cast(period_end as bigint) - cast(period_start as bigint) as period_length,
    cast(cast(period_end as date) as int) - cast(cast(period_start as date) as int) as period_days
  from measured
  where is_prorated or cast(period_end as bigint) < cast(whole_end as bigint) - 3600000000
),

-- Numerator and denominator of each way of counting, side by side, whole numbers all. Days are those of the calendar, and
-- the started and the full ones of the time; a twelfth of a year is n * 12 / 365, to which the other days are scaled.
counted as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model, quantity,
    list_amount, whole_end, whole_start, cycle_start, cycle_end, allowed, is_whole, period_length, period_days,
    months, line_list_amount,
    period_length / 86400000000 as full_days,
    (period_length + 86399999999) / 86400000000 as started_days,
    cast(whole_end as bigint) - cast(period_start as bigint) as length_after,
    cast(period_end as bigint) - cast(whole_start as bigint) as length_before,
    cast(cycle_end as bigint) - cast(cycle_start as bigint) as length_of_cycle,
    cast(cast(cast(whole_end as date) as int) - cast(cast(period_start as date) as int) as bigint) as days_after,
    cast(cast(cast(period_end as date) as int) - cast(cast(whole_start as date) as int) as bigint) as days_before,
    cast(cast(cast(cycle_end as date) as int) - cast(cast(cycle_start as date) as int) as bigint) as days_of_cycle
  from judged
  where not is_longer and list_amount > 0
),

ways as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model, quantity,
    list_amount, whole_end, whole_start, cycle_start, cycle_end, allowed, is_whole, period_length, period_days,
    line_list_amount,
    unnest(make_array(
      period_length, period_length, period_length, period_length, period_length,
      period_days * 12, period_days * 12, period_days * 12, period_days * 12, period_days * 12, period_days * 12,
      full_days * 12, full_days * 12, full_days * 12, full_days * 12, full_days * 12, full_days * 12,
      started_days * 12, started_days * 12, started_days * 12, started_days * 12, started_days * 12, started_days * 12
    )) as numerator,
    unnest(make_array(
      length_after, length_before, length_of_cycle, months * 2592000000000, months * 2628000000000,
      days_after * 12, days_before * 12, days_of_cycle * 12, months * 360, months * 365, months * 366,
      days_after * 12, days_before * 12, days_of_cycle * 12, months * 360, months * 365, months * 366,
      days_after * 12, days_before * 12, days_of_cycle * 12, months * 360, months * 365, months * 366
    )) as denominator
  from counted
),

hypotheses as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model, quantity,
    list_amount, whole_end, whole_start, cycle_start, cycle_end, allowed, is_whole, period_length, period_days,
    numerator, denominator,
    unnest(make_array(list_amount, coalesce(line_list_amount, list_amount))) as whole_amount
  from ways
  -- A period of days or weeks has no months to count by.
  where denominator > 0
),

tested as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model, quantity,
    list_amount, whole_end, whole_start, cycle_start, cycle_end, allowed, is_whole, period_length, period_days,
    bool_or(
      abs(
        abs(amount) - money_round(
          cast(
            cast(whole_amount as decimal(38, 12)) * cast(numerator as decimal(20, 0))
            / cast(denominator as decimal(20, 0)) as decimal(38, 12)
          ),
          currency
        )
      ) <= allowed
    ) as is_part_amount,
    bool_or(abs(abs(amount) - money_round(cast(whole_amount as decimal(38, 12)), currency)) <= allowed)
      as is_whole_amount
  from hypotheses
  group by
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model, quantity,
    list_amount, whole_end, whole_start, cycle_start, cycle_end, allowed, is_whole, period_length, period_days
),

classified as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model, quantity,
    list_amount, whole_end, whole_start, cycle_start, cycle_end, allowed, is_whole, period_length, period_days,
    case
      when is_whole and not is_whole_amount and abs(amount) < list_amount then 'part_for_whole_period'
      when is_whole then 'right'
      when is_part_amount then 'right'
      when is_whole_amount then 'whole_for_part_of_period'
      else 'wrong_share'
    end as verdict
  from tested
),

-- What a source does most of the time is its policy: whole amounts for parts may be the contract.
with_habits as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model, quantity,
    list_amount, whole_end, whole_start, cycle_start, cycle_end, allowed, is_whole, period_length, period_days,
    verdict,
    count(*) filter (where verdict = 'right') over (partition by source) as right_lines,
    count(*) filter (where verdict = 'whole_for_part_of_period' and not is_prorated) over (partition by source)
      as whole_lines,
    count(*) filter (where verdict = 'part_for_whole_period') over (partition by source) as part_lines
  from classified
),

wrong as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, customer_id, subscription_id, item_id, price_id,
    amount, currency, period_start, period_end, is_prorated, bill_run_id, target_date, made_at, charge_model,
    quantity, list_amount, period_days, verdict, right_lines,
    -- The amount by time, of the whole period that the part touches.
    case
      when verdict = 'part_for_whole_period' then money_round(list_amount, currency)
      else money_round(
        cast(
          list_amount * cast(period_length as decimal(20, 0)) / cast(
            case
              when period_end = cycle_end or period_start = cycle_start
                then cast(cycle_end as bigint) - cast(cycle_start as bigint)
              else cast(whole_end as bigint) - cast(period_start as bigint)
            end as decimal(20, 0)
          ) as decimal(38, 12)
        ),
        currency
      )
    end as expected_size,
    round(
      cast(list_amount as double) * cast(period_length as double) / 86400000000e0 / cast(abs(amount) as double), 2
    ) as implied_days
  from with_habits
  where verdict = 'wrong_share'
    or (verdict = 'whole_for_part_of_period' and (is_prorated or right_lines >= 4 * whole_lines))
    or (verdict = 'part_for_whole_period' and right_lines >= 4 * part_lines)
),

-- A change of plan: a fee paid beyond the end of its item, and another item of the subscription that begins there.
ended_items as (
  select source, item_id as ended_item_id, subscription_id as ended_subscription_id, effective_to
  from subscription_items
  where effective_to is not null and effective_to <= $window_end
),

paid_beyond as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.customer_id, l.subscription_id,
    l.item_id, l.price_id, l.amount, l.credited, l.currency, l.period_start, l.period_end, l.is_prorated,
    l.bill_run_id, l.target_date, l.made_at, l.quantity, e.effective_to
  from billed_lines as l
  join ended_items as e on e.source = l.source and e.ended_item_id = l.item_id
  where l.kind = 'recurring'
    and l.amount > 0
    and l.credited = 0
    and not l.is_made_good
    and l.period_end > $window_start
    and l.period_start < e.effective_to
    and l.period_end >= e.effective_to + interval '1 day'
),

-- Money back need not name the item: any of the subscription or the customer since the change is taken for it.
invoice_credits as (
  select source, invoice_id as credited_invoice_id
  from adjustments
  where kind in ('credit', 'refund') and invoice_id is not null
  group by source, invoice_id
),

customer_credits as (
  select source, customer_id as credited_customer_id, max(created_at) as last_credit_at
  from adjustments
  where kind in ('credit', 'refund') and customer_id is not null
  group by source, customer_id
),

replaced as (
  select
    p.source, p.line_id, p.invoice_id, p.invoice_number, p.invoice_status, p.customer_id, p.subscription_id,
    p.item_id, p.price_id, p.amount, p.currency, p.period_start, p.period_end, p.is_prorated, p.bill_run_id,
    p.target_date, p.made_at, p.quantity, p.effective_to,
    first_value(n.line_id order by n.line_id) filter (where
      n.kind = 'recurring'
      and n.amount > 0
      and not n.is_made_good
      and n.item_id <> p.item_id
      and n.period_start >= p.effective_to - interval '1 day'
      and n.period_start <= p.effective_to + interval '1 day'
      and (n.is_prorated or n.period_end = p.period_end)
    ) as next_line_id,
    bool_or(
      n.amount < 0
      and n.kind <> 'discount'
      and coalesce(n.made_at, n.period_end) >= p.effective_to - interval '1 day'
    ) as is_given_back
  from paid_beyond as p
  join billed_lines as n on n.source = p.source and n.subscription_id = p.subscription_id
  group by
    p.source, p.line_id, p.invoice_id, p.invoice_number, p.invoice_status, p.customer_id, p.subscription_id,
    p.item_id, p.price_id, p.amount, p.currency, p.period_start, p.period_end, p.is_prorated, p.bill_run_id,
    p.target_date, p.made_at, p.quantity, p.effective_to
),

next_lines as (
  select source, line_id as known_line_id, item_id as next_item_id, invoice_id as next_invoice_id
  from invoice_lines
),

uncredited as (
  select
    r.source, r.line_id, r.invoice_id, r.invoice_number, r.invoice_status, r.customer_id, r.subscription_id,
    r.item_id, r.price_id, r.amount, r.currency, r.period_start, r.period_end, r.is_prorated, r.bill_run_id,
    r.target_date, r.made_at, r.quantity, r.effective_to, r.next_line_id, n.next_item_id, n.next_invoice_id
  from replaced as r
  left join next_lines as n on n.source = r.source and n.known_line_id = r.next_line_id
  left join invoice_credits as v on v.source = r.source and v.credited_invoice_id = r.invoice_id
  left join customer_credits as c on c.source = r.source and c.credited_customer_id = r.customer_id
  where r.next_line_id is not null
    and not coalesce(r.is_given_back, false)
    and v.credited_invoice_id is null
    and not coalesce(c.last_credit_at >= r.effective_to - interval '1 day', false)
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
  period_start,
  period_end,
  target_date,
  invoice_status as entity_status,
  case when amount < 0 then -expected_size else expected_size end as expected,
  amount as actual,
  currency,
  verdict as reason,
  case
    when verdict = 'wrong_share' and abs(implied_days - round(implied_days)) <= 0.05e0 then 'wrong_denominator'
    when verdict = 'wrong_share' then 'unexplained_share'
    else verdict
  end as explanation,
  case when verdict = 'wrong_share' then 'engine_defect' else 'configuration' end as root_cause,
  implied_days,
  period_days as charged_days,
  list_amount as whole_amount,
  quantity,
  charge_model,
  is_prorated,
  right_lines,
  made_at,
  arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as changed_at,
  cast(null as varchar) as next_item_id,
  cast(null as varchar) as next_line_id,
  cast(null as varchar) as next_invoice_id
from wrong
union all
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
  period_start,
  period_end,
  target_date,
  invoice_status as entity_status,
  money_round(
    cast(
      amount * cast(cast(effective_to as bigint) - cast(period_start as bigint) as decimal(20, 0))
      / cast(cast(period_end as bigint) - cast(period_start as bigint) as decimal(20, 0)) as decimal(38, 12)
    ),
    currency
  ) as expected,
  amount as actual,
  currency,
  'credit_missing' as reason,
  'plan_change_without_credit' as explanation,
  'configuration' as root_cause,
  cast(null as double) as implied_days,
  cast(cast(period_end as date) as int) - cast(cast(period_start as date) as int) as charged_days,
  amount as whole_amount,
  quantity,
  cast(null as varchar) as charge_model,
  is_prorated,
  cast(null as bigint) as right_lines,
  made_at,
  effective_to as changed_at,
  next_item_id,
  next_line_id,
  next_invoice_id
from uncredited
