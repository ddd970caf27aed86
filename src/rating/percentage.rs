//! Shares of amounts. The quantity is an amount of money here: the total of a period, or the
//! amounts of single events where fees and allowances apply to each of them.

use super::breakdown::{Breakdown, Row};
use super::error::RatingError;
use super::exact::Exact;
use super::price::Price;
use super::rate::above;
use super::rounding::Rounding;
use super::terms::{ChargeModel, NegativePolicy};
use super::tiered;
use crate::model::Decimal;

/// A share of the total above the free amount. What applies to single events cannot be computed
/// from a total, and is not guessed.
pub(super) fn of_quantity(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    let rate = price.needs("percentage_rate", price.percentage_rate)?;
    let per_event = [
        ("flat_fee", price.flat_fee.filter(|fee| !fee.is_zero())),
        ("free_events", price.free_events),
        ("event_minimum", price.event_minimum),
        ("event_maximum", price.event_maximum),
    ];
    if quantity.is_zero() {
        return Ok(());
    }
    if let Some((column, _)) = per_event.into_iter().find(|(_, value)| value.is_some()) {
        return Err(RatingError::NeedsEvents { column });
    }
    let paid = above(quantity, price.free_amount.unwrap_or(Decimal::ZERO))?;
    let row = Row {
        up_to: None,
        quantity: paid,
        unit_price: rate,
        flat_fee: Decimal::ZERO,
    };
    parts.add(row, Exact::percent(paid, rate)?)
}

/// Every part of the amount at the rate of its tier.
pub(super) fn graduated(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    tiered::fill(price, quantity, parts, |tier, units| {
        let rate = tier.percentage_rate.unwrap_or(Decimal::ZERO);
        Ok((rate, Exact::percent(units, rate)?))
    })
}

/// Events one by one. The free part ends at the first of `free_events` events or `free_amount`
/// money; an event that straddles the free amount pays for its excess, and the fee. The minimum
/// and maximum of an event bound its share and fee together. A negative event is ignored, mirrored
/// or refused, as the policy says.
pub(super) fn of_events(
    price: &Price,
    events: &[Decimal],
    each: Option<Rounding>,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    if price.charge_model != ChargeModel::Percentage {
        return Err(RatingError::WrongUsage {
            model: price.charge_model,
            form: "events",
        });
    }
    let rate = price.needs("percentage_rate", price.percentage_rate)?;
    let fee = price.flat_fee.unwrap_or(Decimal::ZERO);
    let mut free = Free::new(price);
    let mut paid_amount = Decimal::ZERO;
    let mut fees = Decimal::ZERO;
    let (mut unrounded, mut total) = (Exact::ZERO, Exact::ZERO);
    for &event in events {
        let negative = event.is_negative();
        if negative {
            match price.negative_policy() {
                NegativePolicy::Zero => continue,
                NegativePolicy::Mirror => {}
                NegativePolicy::Error => return Err(RatingError::Negative { quantity: event }),
            }
        }
        let part = if negative {
            Some(event.abs())
        } else {
            free.paid_part(event)?
        };
        let Some(paid) = part else { continue };
        let mut amount = Exact::percent(paid, rate)?.add(Exact::money(fee))?;
        if let Some(maximum) = price.event_maximum {
            amount = amount.at_most(Exact::money(maximum));
        }
        if let Some(minimum) = price.event_minimum {
            amount = amount.at_least(Exact::money(minimum));
        }
        let rounded = match each {
            Some(rounding) => amount.rounded(rounding)?,
            None => amount,
        };
        let (paid, fee, amount, rounded) = if negative {
            let fee = fee.checked_neg().ok_or(RatingError::Overflow)?;
            (event, fee, amount.negated()?, rounded.negated()?)
        } else {
            (paid, fee, amount, rounded)
        };
        paid_amount = paid_amount.checked_add(paid).ok_or(RatingError::Overflow)?;
        fees = fees.checked_add(fee).ok_or(RatingError::Overflow)?;
        unrounded = unrounded.add(amount)?;
        total = total.add(rounded)?;
    }
    if events.is_empty() {
        return Ok(());
    }
    let row = Row {
        up_to: None,
        quantity: paid_amount,
        unit_price: rate,
        flat_fee: fees,
    };
    parts.add_amounts(row, unrounded, total)
}

/// What is left of the free part.
struct Free {
    events: Option<Decimal>,
    amount: Option<Decimal>,
}

impl Free {
    fn new(price: &Price) -> Self {
        Self {
            events: price.free_events,
            amount: price.free_amount,
        }
    }

    /// The part of an event that is to be paid; `None` if all of it is free.
    fn paid_part(&mut self, event: Decimal) -> Result<Option<Decimal>, RatingError> {
        let is_open = match (self.events, self.amount) {
            (None, None) => false,
            (events, amount) => {
                events.is_none_or(|left| left >= Decimal::ONE)
                    && amount.is_none_or(|left| left > Decimal::ZERO)
            }
        };
        if !is_open {
            return Ok(Some(event));
        }
        if let Some(left) = self.events {
            self.events = Some(above(left, Decimal::ONE)?);
        }
        let Some(left) = self.amount else {
            return Ok(None);
        };
        let excess = above(event, left)?;
        self.amount = Some(above(left, event)?);
        Ok((!excess.is_zero()).then_some(excess))
    }
}
