-- Charges that stood on an item's invoices one after the other and are missing on the next, although the item goes on.
-- The next invoice is known by its company: a charge that stood beside the missing one last time stands on it again.
-- Where no invoice was made at all, a period was skipped: that is not judged here.
with charges as (
  select
    source, item_id, kind, invoice_id, period_start, period_end,
    max(subscription_id) as subscription_id,
    max(customer_id) as customer_id,
    max(price_id) as price_id,
    max(meter) as meter,
    max(currency) as currency,
    max(made_at) as made_at,
    bool_or(is_prorated) as is_prorated,
    bool_and(is_made_good) as is_made_good,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
    cast(sum(cast(amount as decimal(76, 12))) as decimal(38, 12)) as amount
  from billed_lines
  where kind in ('recurring', 'minimum', 'usage')
    and item_id is not null
    and subscription_id is not null
    and period_start < period_end
    -- Long enough for two charges of a year.
    and period_end > $window_start - interval '800 days'
    and made_at < $window_end
  group by source, item_id, kind, invoice_id, period_start, period_end
),

-- What an item's usage comes to beside its minimum.
with_usage as (
  select
    source, item_id, kind, invoice_id, period_start, period_end, subscription_id, customer_id, price_id, meter,
    currency, made_at, is_prorated, is_made_good, quantity, amount,
    cast(
      sum(cast(case when kind = 'usage' then amount else 0 end as decimal(76, 12))) over (
        partition by source, item_id, invoice_id
      ) as decimal(38, 12)
    ) as usage_amount
  from charges
),

sequences as (
  select
    source, item_id, kind, invoice_id, period_start, period_end, subscription_id, customer_id, price_id, meter,
    currency, made_at, is_prorated, is_made_good, quantity, amount, usage_amount,
    lag(period_end) over by_period as previous_end,
    lag(amount) over by_period as previous_amount,
    lag(usage_amount) over by_period as previous_usage_amount,
    lag(invoice_id) over by_period as previous_invoice_id,
    lag(is_prorated) over by_period as is_previous_prorated,
    lead(invoice_id) over by_period as next_invoice_id,
    lead(made_at) over by_period as next_made_at,
    lead(amount) over by_period as next_amount,
    cast(made_at as bigint) + cast(period_end as bigint) - cast(period_start as bigint) as due_micros
  from with_usage
  window by_period as (partition by source, item_id, kind order by period_end, period_start, made_at, invoice_id)
),

-- Of the charges beside it, the one that came again nearest to its date tells which invoice is the next.
in_company as (
  select
    source, item_id, kind, invoice_id, period_start, period_end, subscription_id, customer_id, price_id, meter,
    currency, made_at, is_prorated, is_made_good, quantity, amount, usage_amount, previous_end, previous_amount,
    previous_usage_amount, previous_invoice_id, is_previous_prorated, due_micros,
    next_invoice_id as own_next_invoice_id,
    first_value(next_invoice_id) over nearest as next_invoice_id,
    first_value(next_made_at) over nearest as next_made_at,
    sum(case when kind = 'usage' then cast(next_amount as decimal(76, 12)) else 0 end) over (
      partition by source, item_id, invoice_id
    ) as next_usage_amount
  from sequences
  window nearest as (
    partition by source, subscription_id, invoice_id
    order by abs(cast(next_made_at as bigint) - due_micros) nulls last, next_invoice_id
    rows between unbounded preceding and unbounded following
  )
),

-- The last charge of every item, if another stood directly before it: the next was due one period later.
overdue as (
  select
    source, item_id, kind, invoice_id as last_invoice_id, period_start as last_start, period_end as last_end,
    period_end + (period_end - period_start) as next_end,
    subscription_id, customer_id, price_id, meter, currency, quantity as last_quantity, amount as last_amount,
    usage_amount, previous_amount, previous_usage_amount, is_previous_prorated, due_micros, next_invoice_id,
    next_made_at,
    cast(next_usage_amount as decimal(38, 12)) as next_usage_amount
  from in_company
  where own_next_invoice_id is null
    and next_invoice_id is not null
    -- A charge is over when the invoice is made that lacks it, or with its period: the later of the two.
    and greatest(next_made_at, period_end + (period_end - period_start)) >= $window_start
    and not is_prorated
    and not is_made_good
    and amount >= 0
    and previous_invoice_id <> invoice_id
    and abs(cast(previous_end as bigint) - cast(period_start as bigint)) <= 86400000000
    -- Months differ in length, and runs in their hour; but a week's invoice must not be taken for the next week's.
    and abs(cast(next_made_at as bigint) - due_micros) <= least(
      cast(made_at + cast($slack as interval) as bigint) - cast(made_at as bigint),
      (cast(period_end as bigint) - cast(period_start as bigint)) / 4
    )
),

going_items as (
  select
    i.source,
    i.item_id as going_item_id,
    i.quantity as item_quantity,
    i.effective_to as item_ends_at,
    s.number as subscription_number,
    s.status as subscription_status,
    least(s.ended_at, s.cancelled_at) as subscription_ends_at,
    s.trial_end_at
  from subscription_items as i
  left join subscriptions as s on s.source = i.source and s.subscription_id = i.subscription_id
  where (i.quantity is distinct from cast(0 as decimal(38, 12)))
    and coalesce(s.status, 'active') in ('active', 'past_due')
),

-- An item that the subscription got in the meantime takes the place of the old one.
newest_items as (
  select source, subscription_id as newest_subscription_id, max(effective_from) as newest_from
  from subscription_items
  group by source, subscription_id
),

known_prices as (
  select distinct source, price_id as known_price_id
  from prices
),

terms as (
  select
    q.source,
    q.price_id as term_price_id,
    q.valid_from,
    q.valid_to,
    p.minimum_amount
  from price_periods as q
  join prices as p on p.source = q.source and p.price_id = q.price_id and p.effective_from = q.effective_from
),

rateable as (
  select
    q.source, q.price_id as rateable_price_id, q.valid_from as rateable_from, q.valid_to as rateable_to, t.price
  from price_periods as q
  join price_terms as t
    on t.source = q.source and t.price_id = q.price_id and t.effective_from = q.effective_from
  left anti join price_faults as f
    on f.source = t.source
    and f.price_id = t.price_id
    and f.effective_from = t.effective_from
    and f.stops_rating
  where t.charge_model not in ('prerated', 'custom', 'capacity')
),

missing as (
  select
    o.source, o.item_id, o.kind, o.last_invoice_id, o.last_start, o.last_end, o.next_end, o.subscription_id,
    o.customer_id, o.price_id, o.meter, o.currency, o.last_quantity, o.last_amount, o.usage_amount,
    o.previous_amount, o.previous_usage_amount, o.is_previous_prorated, o.next_invoice_id, o.next_made_at,
    o.next_usage_amount,
    i.item_quantity,
    i.subscription_number,
    i.subscription_status,
    t.minimum_amount,
    rate(r.price, case when o.last_quantity >= 0 then o.last_quantity else cast(1 as decimal(38, 12)) end)
      as rated_last,
    rate(
      r.price,
      case
        when o.kind = 'usage' then cast(0 as decimal(38, 12))
        when coalesce(i.item_quantity, o.last_quantity) >= 0 then coalesce(i.item_quantity, o.last_quantity)
        else cast(1 as decimal(38, 12))
      end
    ) as rated_next
  from overdue as o
  join going_items as i on i.source = o.source and i.going_item_id = o.item_id
  left join newest_items as w on w.source = o.source and w.newest_subscription_id = o.subscription_id
  left join known_prices as k on k.source = o.source and k.known_price_id = o.price_id
  left join terms as t
    on t.source = o.source
    and t.term_price_id = o.price_id
    and t.valid_from <= o.last_end
    and (t.valid_to is null or o.last_end < t.valid_to)
  left join rateable as r
    on r.source = o.source
    and r.rateable_price_id = o.price_id
    and r.rateable_from <= o.last_end
    and (r.rateable_to is null or o.last_end < r.rateable_to)
  where (i.item_ends_at is null or i.item_ends_at > o.last_end)
    and (i.subscription_ends_at is null or i.subscription_ends_at > o.last_end)
    and (i.trial_end_at is null or i.trial_end_at <= o.last_end)
    and (w.newest_from is null or w.newest_from <= o.last_start or w.newest_from > o.next_made_at)
    -- A price that has ended asks for nothing.
    and (k.known_price_id is null or t.valid_from is not null)
),

-- Whatever else bills the item on that invoice takes the charge's place; a minimum stands beside its usage.
invoiced_items as (
  select source, invoice_id as billed_invoice_id, item_id as billed_item_id, kind as billed_kind
  from invoice_lines
  where item_id is not null and kind in ('usage', 'recurring', 'minimum', 'one_time', 'adjustment')
),

-- Only what a period of a month or two may hold: a fixed part of a longer period is not judged.
recent_usage as (
  select source, item_id as used_item_id, first_occurred_at, last_occurred_at
  from item_usage
  where usage_date >= cast($window_start - interval '62 days' as date)
),

sources_with_usage as (
  select source as usage_source from usage_daily group by source
),

expectations as (
  select
    m.source, m.item_id, m.kind, m.last_invoice_id, m.last_end, m.next_end, m.subscription_id, m.customer_id,
    m.price_id, m.meter, m.currency, m.last_quantity, m.last_amount, m.previous_amount, m.next_invoice_id,
    m.next_made_at, m.item_quantity, m.subscription_number, m.subscription_status,
    case m.kind
      -- The same amount twice is what comes next; else the price says it, where it also said the last amount.
      when 'recurring' then
        case
          when not m.is_previous_prorated
            and m.previous_amount = m.last_amount
            and coalesce(m.item_quantity = m.last_quantity, true)
            then m.last_amount
          when m.rated_last = m.last_amount then m.rated_next
        end
      when 'minimum' then m.last_amount + m.usage_amount - m.next_usage_amount
      else m.rated_next
    end as expected
  from missing as m
  left join sources_with_usage as s on s.usage_source = m.source
  left anti join invoiced_items as b
    on b.source = m.source
    and b.billed_invoice_id = m.next_invoice_id
    and b.billed_item_id = m.item_id
    and (m.kind <> 'minimum' or b.billed_kind <> 'usage')
  left anti join recent_usage as u
    on u.source = m.source
    and u.used_item_id = m.item_id
    and u.last_occurred_at >= m.last_end
    and u.first_occurred_at < m.next_end
    and m.kind = 'usage'
  where case m.kind
      when 'recurring' then m.last_amount > 0 and coalesce(m.rated_next > 0, true)
      -- A minimum that no price holds shows itself: usage and minimum came to the same sum twice.
      when 'minimum' then
        m.minimum_amount is null
        and m.last_amount + m.usage_amount = m.previous_amount + m.previous_usage_amount
        and m.last_amount + m.usage_amount > m.next_usage_amount
      -- What a usage price asks for without any usage.
      else
        m.minimum_amount is null
        and m.rated_next > 0
        and s.usage_source is not null
        and m.next_end < m.last_end + interval '63 days'
    end
),

next_terms as (
  select source, invoice_id as term_invoice_id, number, status, bill_run_id, target_date
  from invoices
)

select
  e.source,
  'subscription_item' as entity_type,
  e.item_id as entity_id,
  e.customer_id,
  e.subscription_id,
  e.item_id,
  e.next_invoice_id as invoice_id,
  v.bill_run_id,
  e.price_id,
  e.meter,
  e.last_end as period_start,
  e.next_end as period_end,
  v.target_date,
  v.status as entity_status,
  e.expected,
  case when e.expected is not null then cast(0 as decimal(38, 12)) end as actual,
  e.currency,
  e.kind as reason,
  case e.kind
    when 'recurring' then 'recurring_missing'
    when 'minimum' then 'minimum_missing'
    else 'fixed_part_missing'
  end as explanation,
  'configuration' as root_cause,
  v.number as invoice_number,
  e.next_made_at as invoice_made_at,
  e.last_invoice_id,
  e.last_amount,
  e.previous_amount,
  e.last_quantity,
  e.item_quantity,
  e.subscription_number,
  e.subscription_status
from expectations as e
left join next_terms as v on v.source = e.source and v.term_invoice_id = e.next_invoice_id
