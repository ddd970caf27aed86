//! What a price does where it does not say: one table, general first, then the platforms whose
//! documented behaviour differs. Nothing else in `rating` supplies a default.
//!
//! The general row is the one billing systems agree on. A platform differs only where its
//! behaviour is certain and has not changed over time; anything else belongs in the price's columns.

use super::terms::{NegativePolicy, PackageRounding, RoundingMode, RoundingStage, TierPick};

/// The behaviour of a platform where the columns of the price are NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Where an amount is rounded.
    pub rounding_stage: RoundingStage,
    /// How it is rounded; to which scale is the currency's business.
    pub rounding_mode: RoundingMode,
    /// Whether a package that is not full counts.
    pub package_rounding: PackageRounding,
    /// Which quantity picks a tier.
    pub tier_pick: TierPick,
    /// Whether the first tier's flat fee is due without any usage.
    pub flat_fee_at_zero: bool,
    /// What a negative quantity means.
    pub negative_policy: NegativePolicy,
}

/// The defaults of every platform that is not listed.
pub const GENERAL: Defaults = Defaults {
    rounding_stage: RoundingStage::Line,
    rounding_mode: RoundingMode::HalfUp,
    package_rounding: PackageRounding::Up,
    tier_pick: TierPick::Exact,
    flat_fee_at_zero: false,
    negative_policy: NegativePolicy::Zero,
};

const PLATFORMS: &[(&str, Defaults)] = &[
    // Picks the tier of a volume price with the quantity rounded up.
    (
        "lago",
        Defaults {
            tier_pick: TierPick::Ceil,
            ..GENERAL
        },
    ),
    // Rounds every detailed line, and bills the first tier's flat fee on an empty period.
    (
        "openmeter",
        Defaults {
            rounding_stage: RoundingStage::Component,
            flat_fee_at_zero: true,
            ..GENERAL
        },
    ),
];

/// The defaults of a platform; of the general kind where it is not listed.
pub fn for_platform(platform: &str) -> Defaults {
    PLATFORMS
        .iter()
        .find(|(name, _)| *name == platform)
        .map_or(GENERAL, |(_, defaults)| *defaults)
}
