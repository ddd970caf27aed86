//! The injectors: each takes a clean subscription and leaves it wrong in one known way.
//!
//! ```text
//!  usage · quantity · gaps · restated     what is metered
//!  identity · owner · life                whose it is, and since when
//!  rating · terms · rounding · catalogue  what it costs
//!  period · invoice · credit · run        how it is billed
//!  drift                                  how it is sent          one table of faults each
//!        └─► spot.rs: where in a subscription it is done
//! ```
//! An injector tells what it did and what would be right; where it cannot do its harm it changes
//! nothing. It never decides whom it meets: that is `plan`.

mod catalogue;
mod credit;
mod drift;
mod gaps;
mod identity;
mod invoice;
mod legitimate;
mod life;
mod owner;
mod period;
mod quantity;
mod rating;
mod restated;
mod rounding;
mod run;
mod spot;
mod terms;
mod usage;

use super::fault::Fault;
pub(super) use drift::drifted;
pub(super) use run::failed_run;
pub(super) use spot::main_price;

/// The faults of each stage.
pub(super) static TABLES: [&[Fault]; 17] = [
    usage::FAULTS,
    quantity::FAULTS,
    gaps::FAULTS,
    restated::FAULTS,
    identity::FAULTS,
    owner::FAULTS,
    life::FAULTS,
    rating::FAULTS,
    terms::FAULTS,
    rounding::FAULTS,
    catalogue::FAULTS,
    period::FAULTS,
    invoice::FAULTS,
    credit::FAULTS,
    legitimate::FAULTS,
    run::FAULTS,
    drift::FAULTS,
];
