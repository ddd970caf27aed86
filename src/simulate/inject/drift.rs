//! Systems that changed what they send, and told nobody.
//!
//! Each takes a system to itself; its records are changed as they are written.

use super::gaps::anyone;
use crate::simulate::case::Case;
use crate::simulate::catalogue::SOURCES;
use crate::simulate::drift::Change;
use crate::simulate::fault::{Fault, Harm, Scope};
use crate::simulate::label::Label;
use crate::simulate::random::Dice;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        scope: Scope::Source,
        drift: Some(Change::NewStatus),
        effects: &["rejected-usage"],
        ..Fault::new(
            "unknown-status",
            "F3",
            "integration",
            &["schema-drift"],
            &["unknown_value"],
            anyone,
            nothing,
        )
    },
    Fault {
        scope: Scope::Source,
        drift: Some(Change::NoKeys),
        ..Fault::new(
            "keys-not-sent",
            "F3",
            "integration",
            &["schema-drift"],
            &["column_emptied"],
            anyone,
            nothing,
        )
    },
];

/// Systems are no subscriptions.
fn nothing(_: &World, _: &mut Case, _: &mut Dice) -> Option<Harm> {
    None
}

/// The label of a system that drifted.
pub(in crate::simulate) fn drifted(
    world: &World,
    source: usize,
    fault: &'static Fault,
) -> Option<Label> {
    let column = fault.drift?.column();
    let harm = Harm {
        records: vec![("export", column.to_owned())],
        expected: None,
        actual: None,
        is_money: false,
        visible: world.drift.since,
    };
    let name = SOURCES[source];
    Some(Label::new(fault, name, name, "USD", harm))
}
