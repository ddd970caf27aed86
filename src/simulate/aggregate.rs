//! From records to the quantity that is billed, by each aggregation, over a half-open span.
//!
//! The records of an item are in the order of their moments; which of them count is the caller's say.

use super::catalogue::Aggregation;
use super::money::ONE;
use super::time::Micros;
use super::usage::Usage;

/// What the records of a half-open span come to; `None` where no record says.
pub(super) fn aggregate(
    how: Aggregation,
    records: &[Usage],
    start: Micros,
    stop: Micros,
    counts: impl Fn(&Usage) -> bool,
) -> Option<i128> {
    let from = records.partition_point(|record| record.at < start);
    let to = records.partition_point(|record| record.at < stop);
    let mut inside = records[from..to.max(from)]
        .iter()
        .filter(|record| counts(record));
    match how {
        Aggregation::Sum => Some(inside.map(|record| record.quantity).sum()),
        Aggregation::Count => Some(inside.count() as i128 * ONE),
        Aggregation::UniqueCount => {
            let mut values: Vec<i64> = inside.filter_map(|record| record.unique).collect();
            values.sort_unstable();
            values.dedup();
            Some(values.len() as i128 * ONE)
        }
        Aggregation::Max => inside.map(|record| record.quantity).max(),
        Aggregation::Last => inside.next_back().map(|record| record.quantity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::money::whole;
    use crate::simulate::usage::Status;

    fn record(at: Micros, quantity: i64, unique: i64) -> Usage {
        Usage {
            serial: at,
            id_mark: "",
            key_mark: "",
            at,
            recorded: at,
            quantity: whole(quantity),
            unique: Some(unique),
            status: Status::Processed,
            reason: None,
            is_repeat: false,
            owner: None,
            updated: None,
        }
    }

    #[test]
    fn a_span_holds_its_start_and_not_its_end() {
        let mut records = [
            record(0, 5, 1),
            record(10, 7, 2),
            record(11, 3, 1),
            record(20, 9, 3),
        ];
        let of = |how, records: &[Usage]| aggregate(how, records, 0, 20, Usage::counts);
        assert_eq!(of(Aggregation::Sum, &records), Some(whole(15)));
        assert_eq!(of(Aggregation::Count, &records), Some(whole(3)));
        assert_eq!(of(Aggregation::UniqueCount, &records), Some(whole(2)));
        assert_eq!(of(Aggregation::Max, &records), Some(whole(7)));
        assert_eq!(of(Aggregation::Last, &records), Some(whole(3)));
        records[1].status = Status::Voided;
        records[2].is_repeat = true;
        assert_eq!(of(Aggregation::Sum, &records), Some(whole(5)));
        assert_eq!(
            aggregate(Aggregation::Max, &records, 12, 20, Usage::counts),
            None
        );
        assert_eq!(
            aggregate(Aggregation::Sum, &records, 12, 20, Usage::counts),
            Some(0)
        );
    }
}
