//! Subscriptions that change: a dearer plan, another usage price.
//!
//! The draw uses it for orderly changes and faults use it for disorderly ones; it bills nothing.

use super::draw::{item, usage_of};
use super::profile::Profile;
use super::random::Dice;
use super::time::Micros;
use super::world::World;

/// Ends the recurring item and begins the dearer one.
pub(super) fn upgrade(world: &World, profile: &mut Profile, at: Micros, dice: &mut Dice) {
    let old = 0;
    let key = format!(
        "{}-pro",
        world.catalogue.prices[profile.items[old].price].key
    );
    if let Some(price) = world.catalogue.find(&key) {
        let mut new = item(profile, price, at, dice);
        new.quantity = profile.items[old].quantity;
        profile.items[old].to = Some(at);
        profile.items.push(new);
    }
}

/// Ends a usage item and begins one of the other price of the same meter, if there is one.
pub(super) fn change_usage_price(
    world: &World,
    profile: &mut Profile,
    old: usize,
    at: Micros,
    dice: &mut Dice,
) -> Option<usize> {
    let price = world.catalogue.prices[profile.items[old].price].alternate?;
    let mut new = usage_of(item(profile, price, at, dice));
    (new.size, new.growth) = (profile.items[old].size, profile.items[old].growth);
    profile.items[old].to = Some(at);
    profile.items.push(new);
    Some(profile.items.len() - 1)
}
