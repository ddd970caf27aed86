-- materialise
-- Which version of a price is in force when: disjoint spans [valid_from, valid_to), valid_to NULL = still.
-- Where versions overlap the one with the latest effective_from holds; where none is in force there is no span.
-- A range join on these spans replaces the as-of join that the engine lacks, without a sort of the lines.
with bounds as (
  select source, price_id, effective_from as at from prices
  union
  select source, price_id, effective_to as at from prices where effective_to is not null
),

spans as (
  select
    source,
    price_id,
    at as valid_from,
    lead(at) over (partition by source, price_id order by at) as valid_to
  from bounds
)

select
  s.source,
  s.price_id,
  s.valid_from,
  s.valid_to,
  max(p.effective_from) as effective_from
from spans as s
join prices as p
  on p.source = s.source
  and p.price_id = s.price_id
  and p.effective_from <= s.valid_from
  and (p.effective_to is null or s.valid_from < p.effective_to)
group by s.source, s.price_id, s.valid_from, s.valid_to
