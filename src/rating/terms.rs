//! The closed vocabularies of a price. Each word is spelled as the lake spells it; a word that is
//! not listed is refused by name, never taken for a default.

use std::fmt;
use std::str::FromStr;

/// A word that a column of the price does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {column} `{word}`")]
pub struct UnknownTerm {
    /// The column that holds the word.
    pub column: &'static str,
    /// The word as it came.
    pub word: String,
}

macro_rules! terms {
    (
        $(#[$doc:meta])*
        $name:ident, $column:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every word of the vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word of the lake.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownTerm;

            fn from_str(word: &str) -> Result<Self, UnknownTerm> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownTerm { column: $column, word: word.to_owned() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

terms! {
    /// How a quantity becomes an amount.
    ChargeModel, "charge_model" {
        /// One amount, whatever the quantity.
        Flat = "flat",
        /// Quantity times price.
        PerUnit = "per_unit",
        /// Every unit at the price of the tier it falls into.
        Graduated = "graduated",
        /// All units at the price of the tier the whole quantity falls into.
        Volume = "volume",
        /// The flat fee of the tier the quantity falls into.
        Stairstep = "stairstep",
        /// A price for every started (or full) package of units.
        Package = "package",
        /// A share of the amounts of events, with fees per event.
        Percentage = "percentage",
        /// Every part of an amount at the rate of its tier.
        GraduatedPercentage = "graduated_percentage",
        /// Units above the included ones at the overage price.
        Overage = "overage",
        /// Graduated tiers, and the overage price above the last of them.
        TieredOverage = "tiered_overage",
        /// Blocks of units, filled tier after tier.
        GraduatedBlock = "graduated_block",
        /// Blocks of units at the price of the tier the whole quantity reaches.
        VolumeBlock = "volume_block",
        /// The price of the first tier that holds every unit type.
        Capacity = "capacity",
        /// The usage carries its own price.
        Prerated = "prerated",
        /// A formula of the platform that no column describes: it cannot be rated here.
        Custom = "custom",
    }
}

terms! {
    /// Where an amount is rounded.
    RoundingStage, "rounding_stage" {
        /// The amount of the line, once.
        Line = "line",
        /// The usage part and the flat part of every tier.
        Component = "component",
        /// The amount of every usage record.
        Record = "record",
        /// The total of the invoice: lines stay as they are.
        Invoice = "invoice",
        /// Nowhere.
        None = "none",
    }
}

terms! {
    /// How what lies between two steps is rounded.
    RoundingMode, "rounding_mode" {
        /// To the nearest, halves away from zero.
        HalfUp = "half_up",
        /// To the nearest, halves to the even neighbour.
        HalfEven = "half_even",
        /// Away from zero.
        Up = "up",
        /// Toward zero.
        Down = "down",
    }
}

terms! {
    /// What happens to a package that is not full.
    PackageRounding, "package_rounding" {
        /// It counts.
        Up = "up",
        /// It does not count.
        Down = "down",
    }
}

terms! {
    /// How a quantity is rounded before anything else.
    QuantityRounding, "quantity_rounding" {
        /// Not at all.
        None = "none",
        /// Away from zero.
        Up = "up",
        /// Toward zero.
        Down = "down",
        /// To the nearest, halves away from zero.
        HalfUp = "half_up",
    }
}

terms! {
    /// Which quantity picks the tier of a volume or stairstep price.
    TierPick, "tier_pick" {
        /// The quantity itself.
        Exact = "exact",
        /// The quantity rounded up to whole units.
        Ceil = "ceil",
    }
}

terms! {
    /// What a negative quantity means.
    NegativePolicy, "negative_policy" {
        /// It is rated as zero.
        Zero = "zero",
        /// Its size is rated and the amount negated.
        Mirror = "mirror",
        /// It is refused.
        Error = "error",
    }
}

terms! {
    /// How the records of a period become one quantity.
    Aggregation, "aggregation" {
        /// The sum of the values.
        Sum = "sum",
        /// How many records.
        Count = "count",
        /// How many different values.
        UniqueCount = "unique_count",
        /// The greatest value.
        Max = "max",
        /// The value of the latest record.
        Last = "last",
        /// The running total weighted by the time it was in force.
        WeightedSum = "weighted_sum",
        /// The least value.
        Min = "min",
        /// The mean of the values.
        Avg = "avg",
        /// The greatest of the sums of single UTC days.
        DailySumMax = "daily_sum_max",
    }
}
