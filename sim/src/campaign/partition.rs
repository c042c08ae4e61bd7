//! A share of a campaign: number `k` of `n`, so that any batch system can spread it over machines.
//! Who plays a seed depends on its place alone: shares never overlap and leave nothing out. Their
//! results are put together by [`crate::verb`]'s `merge`.

use std::fmt;
use std::str::FromStr;

/// Share `k` of `n`, from 1: every n-th seed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    which: usize,
    of: usize,
}

impl Partition {
    /// Whether the piece at this place, from 0, belongs to the share.
    pub fn has(self, place: usize) -> bool {
        place % self.of == self.which - 1
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.which, self.of)
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a share such as 1/4 (the first of four), found {text:?}");
        let (which, of) = text.split_once('/').ok_or_else(expected)?;
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| expected());
        let (which, of) = (number(which)?, number(of)?);
        match (1..=of).contains(&which) {
            true => Ok(Self { which, of }),
            false => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_leave_nothing_out_and_never_overlap() {
        let shares: Vec<Partition> = ["1/3", "2/3", "3/3"].map(|s| s.parse().unwrap()).into();
        for place in 0..10 {
            assert_eq!(shares.iter().filter(|share| share.has(place)).count(), 1, "{place}");
        }
    }

    #[test]
    fn a_share_that_cannot_be_is_refused() {
        for text in ["0/3", "4/3", "1", "x/2", "1/0", ""] {
            let refused = text.parse::<Partition>().unwrap_err();
            assert!(refused.contains("such as 1/4"), "{refused}");
        }
    }
}
