//! One subscription: who it belongs to, what it bears, and its billing periods.
//!
//! It is plain data. How it is drawn is `draw`'s business, what it used and what it was billed is
//! made from it elsewhere.

use super::catalogue::ZUORA;
use super::time::{DAY, HOUR, MINUTE, Micros, add_months, day_of};
use super::timeline::Timeline;

/// How the usage of an item runs through the days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Every day, less at the weekend.
    Daily,
    /// Working days only.
    Office,
    /// On some days, with pauses of up to four days.
    Sparse,
    /// Every day but for one long pause, from the first of these days up to the other.
    Paused(i64, i64),
    /// Every day, and many times as much on the last and the first of a month.
    Batch,
    /// Every day, and more and more since this day.
    Ramp(i64),
}

/// A charge that the subscription bears.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    /// In the ids of its records.
    pub(super) number: u64,
    /// Place in the catalogue.
    pub(super) price: usize,
    /// Units of a licence.
    pub(super) quantity: Option<i128>,
    pub(super) from: Micros,
    pub(super) to: Option<Micros>,
    /// Part of the usual level, in per cent.
    pub(super) size: i64,
    /// Growth of a day, in thousandths of the first day's usage.
    pub(super) growth: i64,
    pub(super) habit: Habit,
    pub(super) is_usage: bool,
}

impl Item {
    /// The part of a period in which the item is in effect.
    pub(super) fn within(&self, start: Micros, stop: Micros) -> Option<(Micros, Micros)> {
        let (from, to) = (
            start.max(self.from),
            self.to.map_or(stop, |to| stop.min(to)),
        );
        (from < to).then_some((from, to))
    }
}

/// How metering knows the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    None,
    Customer,
    Item,
}

/// A billing period that is over and has an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: Micros,
    pub(super) stop: Micros,
    /// The period as the anchor cuts it; longer than the other where a life begins or ends in it.
    pub(super) full_start: Micros,
    pub(super) full_stop: Micros,
    /// When its invoice is made.
    pub(super) created: Micros,
}

/// A subscription.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) number: u64,
    pub(super) source: usize,
    pub(super) customer: String,
    pub(super) parent: Option<String>,
    pub(super) name: String,
    pub(super) subscription: String,
    pub(super) currency: &'static str,
    pub(super) is_test: bool,
    pub(super) anchor: Micros,
    pub(super) started: Micros,
    pub(super) trial_end: Option<Micros>,
    pub(super) ended: Option<Micros>,
    /// Per cent.
    pub(super) discount: Option<i64>,
    /// Until when the discount holds, where its lines say so.
    pub(super) discount_end: Option<Micros>,
    /// A fraction.
    pub(super) tax: Option<i128>,
    pub(super) items: Vec<Item>,
    /// Whether usage names its item, or only the subscription.
    pub(super) names_item: bool,
    pub(super) link: Link,
    /// Whether nothing about it is out of the ordinary, and its last invoice is still a draft.
    pub(super) is_plain: bool,
    pub(super) is_niche: bool,
}

impl Profile {
    /// When an invoice for a period that ends then is made.
    pub(super) fn created(&self, stop: Micros) -> Micros {
        let minutes = (self.number % 50) as i64;
        if self.source == ZUORA {
            // A run each night, at one o'clock.
            let midnight = (day_of(stop - 1) + 1) * DAY;
            midnight + HOUR + (5 + minutes) * MINUTE
        } else {
            stop + 2 * HOUR + minutes * MINUTE
        }
    }

    /// When charges begin.
    fn charged_from(&self) -> Micros {
        self.trial_end
            .map_or(self.started, |end| end.max(self.started))
    }

    /// The periods that are invoiced, in order.
    pub(super) fn periods(&self, timeline: &Timeline) -> Vec<Period> {
        let mut periods = Vec::new();
        for number in 0.. {
            let full_start = add_months(self.anchor, number);
            let full_stop = add_months(self.anchor, number + 1);
            let start = full_start.max(self.charged_from());
            let stop = self.ended.map_or(full_stop, |end| end.min(full_stop));
            let created = self.created(stop);
            if self.ended.is_some_and(|end| end <= full_start) || created > timeline.as_of {
                break;
            }
            if start < stop {
                periods.push(Period {
                    start,
                    stop,
                    full_start,
                    full_stop,
                    created,
                });
            }
        }
        periods
    }

    /// The running period at a moment.
    pub(super) fn running(&self, at: Micros) -> (Micros, Micros) {
        let mut number = 0;
        while add_months(self.anchor, number + 1) <= at {
            number += 1;
        }
        (
            add_months(self.anchor, number),
            add_months(self.anchor, number + 1),
        )
    }

    /// Until when a subscription or its item takes usage.
    pub(super) fn end_of(&self, item: &Item) -> Option<Micros> {
        match (self.ended, item.to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The places of the items that are charged by usage.
    pub(super) fn usage_items(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.items.len()).filter(|place| self.items[*place].is_usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::catalogue::STRIPE;
    use crate::simulate::time::{day_number, stamp};

    fn profile(anchor: Micros) -> Profile {
        Profile {
            number: 7,
            source: STRIPE,
            customer: "c".to_owned(),
            parent: None,
            name: "n".to_owned(),
            subscription: "s".to_owned(),
            currency: "USD",
            is_test: false,
            anchor,
            started: anchor,
            trial_end: None,
            ended: None,
            discount: None,
            discount_end: None,
            tax: None,
            items: Vec::new(),
            names_item: true,
            link: Link::None,
            is_plain: true,
            is_niche: false,
        }
    }

    #[test]
    fn periods_tile_the_months_and_are_clamped() {
        let timeline = Timeline::new(6);
        let anchor = day_number(2025, 12, 31) * DAY + 17;
        let periods = profile(anchor).periods(&timeline);
        let starts: Vec<String> = periods.iter().map(|period| stamp(period.start)).collect();
        assert_eq!(starts[1], "2026-01-31T00:00:00.000017Z");
        assert_eq!(starts[2], "2026-02-28T00:00:00.000017Z");
        assert_eq!(starts[3], "2026-03-31T00:00:00.000017Z");
        assert_eq!(periods.len(), 5);
        assert!(periods.windows(2).all(|pair| pair[0].stop == pair[1].start));
    }

    #[test]
    fn an_end_cuts_the_last_period() {
        let timeline = Timeline::new(6);
        let anchor = day_number(2026, 1, 1) * DAY;
        let mut short = profile(anchor);
        short.ended = Some(day_number(2026, 3, 20) * DAY);
        let periods = short.periods(&timeline);
        assert_eq!(periods.len(), 3);
        assert_eq!(stamp(periods[2].stop), "2026-03-20T00:00:00Z");
        assert_eq!(stamp(periods[2].full_stop), "2026-04-01T00:00:00Z");
    }
}
