-- Two invoice lines that charge the same item at the same price for times that overlap without being the same.
-- The very same period is the finding of duplicate-period, and of duplicate-line within one invoice.
-- The line made later is the one too many; what it charges for time not charged before stays due.

with signless as (
    -- Some platforms write a credit as a positive amount, some as a negative one.
    select source, line_id, kind, abs(amount) as amount from adjustments where line_id is not null
),

credits as (
    -- A credit note and the refund that pays it out are the same money: the larger of the two counts.
    select
        source, line_id,
        greatest(
            coalesce(cast(sum(cast(amount as decimal(76, 12))) filter (where kind = 'credit') as decimal(38, 12)), 0),
            coalesce(cast(sum(cast(amount as decimal(76, 12))) filter (where kind = 'refund') as decimal(38, 12)), 0)
        ) as credited
    from signless
    group by source, line_id
),

charges as (
    select
        l.source, l.line_id, l.invoice_id, coalesce(l.customer_id, v.customer_id) as customer_id, l.subscription_id,
        l.item_id, l.price_id, l.meter, l.kind, l.quantity, l.amount, coalesce(l.currency, v.currency) as currency,
        l.period_start, l.period_end, v.number as invoice_number, v.status as invoice_status, v.bill_run_id,
        v.target_date,
        coalesce(l.item_id, l.subscription_id) as charge_id,
        coalesce(l.price_id, '') as charge_price,
        coalesce(l.meter, '') as charge_meter,
        coalesce(c.credited, cast(0 as decimal(38, 12))) as credited,
        coalesce(v.created_at, v.finalized_at, arrow_cast(v.invoice_date, 'Timestamp(Microsecond, Some("UTC"))'))
            as made_at
    from invoice_lines l
    join invoices v on v.source = l.source and v.invoice_id = l.invoice_id
    left join credits c on c.source = l.source and c.line_id = l.line_id
    where l.kind in ('usage', 'recurring')
        and coalesce(v.status, '') <> 'void'
        and coalesce(l.is_prorated, false) = false
        and l.amount > 0
        and l.period_start < l.period_end
        -- The line that another overlaps may be over long before it.
        and l.period_end > $window_start - interval '400 days'
        and coalesce(l.item_id, l.subscription_id) is not null
),

numbered as (
    select
        source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, meter, kind, quantity, amount,
        currency, period_start, period_end, invoice_number, invoice_status, bill_run_id, target_date, charge_id,
        charge_price, charge_meter, credited,
        row_number() over (
            partition by source, charge_id, charge_price, charge_meter, kind
            order by made_at nulls first, period_start, line_id
        ) as made_as
    from charges
    where made_at is null or made_at < $window_end
),

overlaps as (
    select
        b.source, b.line_id, b.invoice_id, b.customer_id, b.subscription_id, b.item_id, b.price_id, b.meter, b.kind,
        b.amount, b.currency, b.period_start, b.period_end, b.invoice_number, b.invoice_status, b.bill_run_id,
        b.target_date, b.credited,
        a.line_id as other_line_id,
        a.invoice_id as other_invoice_id,
        a.invoice_number as other_invoice_number,
        a.invoice_status as other_invoice_status,
        a.period_start as other_period_start,
        a.period_end as other_period_end,
        a.amount as other_amount,
        a.credited as other_credited,
        greatest(a.period_start, b.period_start) as overlap_start,
        least(a.period_end, b.period_end) as overlap_end
    from numbered b
    join numbered a
        on a.source = b.source
        and a.charge_id = b.charge_id
        and a.charge_price = b.charge_price
        and a.charge_meter = b.charge_meter
        and a.kind = b.kind
    where a.made_as < b.made_as
        and b.period_end > $window_start
        and greatest(a.period_start, b.period_start) + cast($min_overlap as interval) <= least(a.period_end, b.period_end)
        and greatest(a.period_start, b.period_start) < least(a.period_end, b.period_end)
        and (a.period_start <> b.period_start or a.period_end <> b.period_end)
),

widest as (
    -- One row for each line too many, beside the earlier line that it covers most of.
    select
        source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, meter, kind, amount, currency,
        period_start, period_end, invoice_number, invoice_status, bill_run_id, target_date, credited, other_line_id,
        other_invoice_id, other_invoice_number, other_invoice_status, other_period_start, other_period_end,
        other_amount, other_credited, overlap_start, overlap_end,
        cast(overlap_end as bigint) - cast(overlap_start as bigint) as overlap_length,
        cast(period_end as bigint) - cast(period_start as bigint) as period_length
    from overlaps
    qualify row_number() over (
        partition by source, line_id
        order by cast(overlap_end as bigint) - cast(overlap_start as bigint) desc, other_line_id
    ) = 1
),

priced as (
    select
        source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, meter, kind, amount, currency,
        period_start, period_end, invoice_number, invoice_status, bill_run_id, target_date, credited, other_line_id,
        other_invoice_id, other_invoice_number, other_invoice_status, other_period_start, other_period_end,
        other_amount, other_credited, overlap_start, overlap_end,
        -- The line's share by time outside the overlap, in whole seconds; nothing where it lies inside.
        case
            when overlap_length >= period_length then cast(0 as decimal(38, 12))
            else money_round(
                cast(
                    amount * cast((period_length - overlap_length) / 1000000 as decimal(20, 0))
                    / cast(greatest(period_length / 1000000, 1) as decimal(20, 0)) as decimal(38, 12)
                ),
                currency
            )
        end as expected
    from widest
)

select
    source,
    'invoice_line' as entity_type,
    line_id as entity_id,
    customer_id,
    subscription_id,
    item_id,
    invoice_id,
    line_id as invoice_line_id,
    bill_run_id,
    price_id,
    meter,
    period_start,
    period_end,
    target_date,
    invoice_status as entity_status,
    expected,
    amount as actual,
    currency,
    case
        when expected = 0 then 'inside_other_period'
        else 'partial_overlap'
    end as reason,
    'engine_defect' as root_cause,
    kind,
    invoice_number,
    other_line_id,
    other_invoice_id,
    other_invoice_number,
    other_invoice_status,
    other_period_start,
    other_period_end,
    other_amount,
    overlap_start,
    overlap_end
from priced
-- Once either line is credited by what was charged too much, the customer is whole.
where expected is null or greatest(credited, other_credited) < amount - expected
