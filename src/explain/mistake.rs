//! The mistakes that have a name, and where each comes from.
//!
//! Their order decides between two that fit the same lines: the one that says more comes first.

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mistake {
    GraduatedBilledAsVolume,
    VolumeBilledAsGraduated,
    DuplicatesCounted,
    LateUsageMissing,
    UsageMissing,
    TestOrCancelledIncluded,
    PreviousPriceVersion,
    NextPriceVersion,
    IncludedUnitsIgnored,
    IncludedUnitsTwice,
    MinimumIgnored,
    MaximumIgnored,
    MinimumAppliedWithoutNeed,
    PackageNotRounded,
    PackageRoundedOtherWay,
    DiscountMissing,
    BilledTwice,
    CreditAppliedTwice,
    OtherCurrency,
    MinorUnitSlip,
    RoundedPerUnit,
    RoundedPerTier,
    Truncated,
    RoundedOtherwise,
    BoundaryOffByOne,
    MissingTier,
    PriceOfOtherPlan,
    OtherAggregation,
    ShiftedPeriod,
    ProratedWrongly,
    OtherChargeModel,
    UnitFactor,
}

/// What is said where no mistake fits.
pub(super) const UNEXPLAINED: &str = "unexplained";

/// And the cause of it: never an invented one.
pub(super) const UNKNOWN: &str = "unknown";

impl Mistake {
    /// The word of the finding's `explanation`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::GraduatedBilledAsVolume => "graduated_billed_as_volume",
            Self::VolumeBilledAsGraduated => "volume_billed_as_graduated",
            Self::DuplicatesCounted => "duplicates_counted",
            Self::LateUsageMissing => "late_usage_missing",
            Self::UsageMissing => "usage_missing",
            Self::TestOrCancelledIncluded => "test_or_cancelled_included",
            Self::PreviousPriceVersion => "previous_price_version",
            Self::NextPriceVersion => "next_price_version",
            Self::IncludedUnitsIgnored => "included_units_ignored",
            Self::IncludedUnitsTwice => "included_units_twice",
            Self::MinimumIgnored => "minimum_ignored",
            Self::MaximumIgnored => "maximum_ignored",
            Self::MinimumAppliedWithoutNeed => "minimum_applied_without_need",
            Self::PackageNotRounded => "package_not_rounded",
            Self::PackageRoundedOtherWay => "package_rounded_other_way",
            Self::DiscountMissing => "discount_missing",
            Self::BilledTwice => "billed_twice",
            Self::CreditAppliedTwice => "credit_applied_twice",
            Self::OtherCurrency => "other_currency",
            Self::MinorUnitSlip => "minor_unit_slip",
            Self::RoundedPerUnit => "rounded_per_unit",
            Self::RoundedPerTier => "rounded_per_tier",
            Self::Truncated => "truncated",
            Self::RoundedOtherwise => "rounded_otherwise",
            Self::BoundaryOffByOne => "boundary_off_by_one",
            Self::MissingTier => "missing_tier",
            Self::PriceOfOtherPlan => "price_of_other_plan",
            Self::OtherAggregation => "other_aggregation",
            Self::ShiftedPeriod => "shifted_period",
            Self::ProratedWrongly => "prorated_wrongly",
            Self::OtherChargeModel => "other_charge_model",
            Self::UnitFactor => "unit_factor",
        }
    }

    /// The word of the finding's `root_cause`.
    pub(super) const fn root_cause(self) -> &'static str {
        match self {
            Self::BoundaryOffByOne
            | Self::PackageNotRounded
            | Self::PackageRoundedOtherWay
            | Self::RoundedPerUnit
            | Self::RoundedPerTier
            | Self::Truncated
            | Self::RoundedOtherwise
            | Self::ProratedWrongly
            | Self::BilledTwice
            | Self::CreditAppliedTwice => "engine_defect",
            Self::MinorUnitSlip
            | Self::UnitFactor
            | Self::DuplicatesCounted
            | Self::TestOrCancelledIncluded => "data_quality",
            Self::LateUsageMissing => "timing",
            Self::UsageMissing => "integration",
            Self::GraduatedBilledAsVolume
            | Self::VolumeBilledAsGraduated
            | Self::PreviousPriceVersion
            | Self::NextPriceVersion
            | Self::IncludedUnitsIgnored
            | Self::IncludedUnitsTwice
            | Self::MinimumIgnored
            | Self::MaximumIgnored
            | Self::MinimumAppliedWithoutNeed
            | Self::DiscountMissing
            | Self::OtherCurrency
            | Self::MissingTier
            | Self::PriceOfOtherPlan
            | Self::OtherAggregation
            | Self::ShiftedPeriod
            | Self::OtherChargeModel => "configuration",
        }
    }
}
