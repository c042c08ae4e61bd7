//! A sum of floats without rounding: the whole range of f64 as one long integer, kept sparse.
//! Rounded once, when asked; order and grouping leave no trace, neither in the result nor in the
//! bytes of the state. Used by [`super::aggregate::sum_exact`].

use serde::{Deserialize, Serialize};

/// Bits per limb; limbs are i64, so that carries may wait.
const LIMB: u32 = 32;
/// A limb beyond this makes the carries move on: far from the end of i64.
const SWELL: u64 = 1 << 61;

/// A sum of f64s, exact: an integer in units of 2^-1074, the smallest f64.
///
/// ```
/// use slackwater_dataflow::window::ExactSum;
/// let mut sum = ExactSum::default();
/// [1e100, 1.0, -1e100].into_iter().for_each(|x| sum.add(x));
/// assert_eq!(sum.round(), 1.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Canonical", into = "Canonical")]
pub struct ExactSum {
    /// How many limbs of zeros lie below the first one.
    base: u32,
    /// Little-endian; each weighs 2^32 times the one before it, and has its own sign.
    limbs: Vec<i64>,
    /// The sum of what is not finite: infinities and NaN; 0 if there was none.
    special: f64,
}

/// The one form of a value: carries done, no zeros at either end.
#[derive(Serialize, Deserialize)]
#[serde(rename = "ExactSum")]
struct Canonical {
    base: u32,
    limbs: Vec<i64>,
    special: f64,
}

impl From<ExactSum> for Canonical {
    fn from(mut sum: ExactSum) -> Self {
        sum.normalize();
        // One NaN stands for all: which one a sum of NaNs gives depends on the order.
        let special = if sum.special.is_nan() { f64::NAN } else { sum.special };
        Self { base: sum.base, limbs: sum.limbs, special }
    }
}

impl From<Canonical> for ExactSum {
    fn from(Canonical { base, limbs, special }: Canonical) -> Self {
        Self { base, limbs, special }
    }
}

impl ExactSum {
    /// Adds a number.
    pub fn add(&mut self, number: f64) {
        if !number.is_finite() {
            self.special += number;
            return;
        }
        let bits = number.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, power) =
            if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        if mantissa == 0 {
            return;
        }
        let first = self.reach(power / LIMB);
        let mut rest = u128::from(mantissa) << (power % LIMB);
        let sign = if number < 0.0 { -1 } else { 1 };
        let mut swollen = false;
        for limb in &mut self.limbs[first..first + 3] {
            *limb += sign * (rest as u32 as i64);
            rest >>= LIMB;
            swollen |= limb.unsigned_abs() > SWELL;
        }
        if swollen {
            self.normalize();
        }
    }

    /// Makes room for three limbs from `limb` on; gives the index of the first.
    fn reach(&mut self, limb: u32) -> usize {
        if self.limbs.is_empty() {
            self.base = limb;
        }
        if limb < self.base {
            let missing = (self.base - limb) as usize;
            self.limbs.splice(0..0, std::iter::repeat_n(0, missing));
            self.base = limb;
        }
        let first = (limb - self.base) as usize;
        if self.limbs.len() < first + 3 {
            self.limbs.resize(first + 3, 0);
        }
        first
    }

    /// Brings the limbs into their one form: all but the last in 0..2^32, no zeros at either end.
    fn normalize(&mut self) {
        let mut carry = 0;
        for limb in &mut self.limbs {
            let whole = *limb + carry;
            (*limb, carry) = (whole & 0xffff_ffff, whole >> LIMB);
        }
        while carry != 0 && carry != -1 {
            self.limbs.push(carry & 0xffff_ffff);
            carry >>= LIMB;
        }
        if carry == -1 {
            self.limbs.push(-1);
        }
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
        let zeros = self.limbs.iter().take_while(|limb| **limb == 0).count();
        self.limbs.drain(..zeros);
        self.base = if self.limbs.is_empty() { 0 } else { self.base + zeros as u32 };
        // −1 above a limb is that limb less 2^32: the shorter form is the one form.
        while let [.., below, -1] = self.limbs.as_mut_slice() {
            *below -= 1 << LIMB;
            self.limbs.pop();
        }
    }

    /// The sum, rounded once, half to even; infinite only if it lies beyond the greatest f64.
    pub fn round(&self) -> f64 {
        if self.special != 0.0 {
            return self.special;
        }
        let mut sum = self.clone();
        sum.normalize();
        let negative = sum.limbs.last().is_some_and(|top| *top < 0);
        if negative {
            sum.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            sum.normalize();
        }
        let magnitude = round_magnitude(sum.base, &sum.limbs);
        if negative { -magnitude } else { magnitude }
    }
}

/// The nearest f64 of a canonical, non-negative number.
fn round_magnitude(base: u32, limbs: &[i64]) -> f64 {
    let Some(top) = limbs.last() else { return 0.0 };
    let bits = limbs.len() as u32 * LIMB - (*top as u32).leading_zeros();
    // The highest 64 bits, and whether anything lies below them: enough to round once, because
    // 64 is more than 53 + 2. Below 2^-1022 there are fewer than 53 bits and nothing is rounded.
    let shift = bits.saturating_sub(64);
    let mut head = 0u64;
    let mut sticky = false;
    for (index, limb) in limbs.iter().enumerate() {
        let (low, limb) = (index as u32 * LIMB, *limb as u64);
        if low >= shift {
            head |= limb << (low - shift);
        } else if shift - low < LIMB {
            head |= limb >> (shift - low);
            sticky |= limb & ((1 << (shift - low)) - 1) != 0;
        } else {
            sticky |= limb != 0;
        }
    }
    let exponent = (base * LIMB + shift) as i32 - 1074;
    scale((head | u64::from(sticky)) as f64, exponent)
}

/// `number` × 2^`exponent`; exact unless the result overflows, by the argument above.
fn scale(mut number: f64, mut exponent: i32) -> f64 {
    while exponent > 0 {
        let step = exponent.min(1_000);
        number *= power_of_two(step);
        exponent -= step;
    }
    while exponent < 0 {
        let step = exponent.max(-1_000);
        number *= power_of_two(step);
        exponent -= step;
    }
    number
}

/// 2^`exponent` for |exponent| ≤ 1000.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        numbers.iter().for_each(|number| sum.add(*number));
        sum.round()
    }

    fn check(numbers: &[f64], expected: f64) {
        assert_eq!(sum(numbers).to_bits(), expected.to_bits(), "{numbers:?}: {}", sum(numbers));
    }

    #[test]
    fn a_sum_is_rounded_once() {
        check(&[], 0.0);
        check(&[-0.0], 0.0);
        check(&[0.1; 10], 1.0);
        check(&[1e16, 1.0, 1e-16], 1e16 + 2.0);
        check(&[1e16, 1.0], 1e16);
        check(&[1.0, 1e-300, -1.0], 1e-300);
        check(&[-1.5, -2.5], -4.0);
        check(&[4294967296.0, -1.0], 4294967295.0);
        check(&[-4294967296.0, 1.0], -4294967295.0);
        check(&[5e-324, 5e-324, -1.5e-323], -5e-324);
        check(&[2.2250738585072014e-308, -5e-324], 2.225073858507201e-308);
    }

    #[test]
    fn what_overflows_on_the_way_comes_back() {
        check(&[f64::MAX, f64::MAX, -f64::MAX], f64::MAX);
        check(&[f64::MAX, f64::MAX], f64::INFINITY);
        check(&[f64::INFINITY, -1.0], f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    proptest! {
        #[test]
        fn order_leaves_no_trace(
            numbers in prop::collection::vec(prop_oneof![
                any::<f64>().prop_filter("finite", |x| x.is_finite()),
                -1e3..1e3f64,
            ], 0..24),
            turn in 0usize..24,
        ) {
            let add = |numbers: &mut dyn Iterator<Item = f64>| {
                let mut sum = ExactSum::default();
                numbers.for_each(|number| sum.add(number));
                (sum.round().to_bits(), postcardless(sum))
            };
            let forward = add(&mut numbers.iter().copied());
            let turned = turn.min(numbers.len());
            prop_assert_eq!(&forward, &add(&mut numbers.iter().rev().copied()));
            let (head, tail) = numbers.split_at(turned);
            prop_assert_eq!(&forward, &add(&mut tail.iter().chain(head).copied()));
        }

        #[test]
        fn integers_that_fit_sum_as_integers(numbers in prop::collection::vec(-(1i64 << 52)..1 << 52, 0..40)) {
            let floats: Vec<f64> = numbers.iter().map(|n| *n as f64).collect();
            let exact: i128 = numbers.iter().map(|n| i128::from(*n)).sum();
            prop_assert_eq!(sum(&floats), exact as f64);
        }
    }

    /// The canonical form, as it would be stored.
    fn postcardless(sum: ExactSum) -> (u32, Vec<i64>) {
        let canonical = Canonical::from(sum);
        (canonical.base, canonical.limbs)
    }
}
