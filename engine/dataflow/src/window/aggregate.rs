//! What is computed per key and window: a start, a step, an end. Monomorphic, so that adding a
//! record costs no call. Nothing here knows of time, windows or late records.
//! Who calls it is [`super::WindowStage`]; the exact sum itself is in `exact`.

use std::marker::PhantomData;

use slackwater_core::Data;

use super::exact::ExactSum;

/// Turns the records of one key in one window into one value.
pub trait Aggregate<T>: Clone + Send + Sync + 'static {
    /// What is kept while the window is open: part of the state, so serializable.
    type Acc: Data;
    /// What leaves when it fires.
    type Out: Data;

    /// Nothing added yet.
    fn create(&self) -> Self::Acc;
    /// Adds a record; called in the order of arrival.
    fn add(&self, acc: &mut Self::Acc, value: T);
    /// The result so far.
    fn finish(&self, acc: Self::Acc) -> Self::Out;
}

/// A number that can be summed.
pub trait Number: Data + Copy + Default {
    /// The sum. Integers wrap at their ends; floats round.
    #[must_use]
    fn plus(self, other: Self) -> Self;
}

macro_rules! numbers {
    ($($int:ty)*; $($float:ty)*) => {
        $(impl Number for $int {
            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        })*
        $(impl Number for $float {
            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        })*
    };
}
numbers!(i8 i16 i32 i64 i128 u8 u16 u32 u64 u128; f32 f64);

/// See [`sum`].
#[derive(Clone, Debug)]
pub struct Sum<F, N> {
    of: F,
    number: PhantomData<fn() -> N>,
}

/// The sum of `of` over the records. Floats add in the order of arrival (semantics rule 13).
pub fn sum<T, N, F>(of: F) -> Sum<F, N>
where
    F: Fn(&T) -> N + Clone + Send + Sync + 'static,
    N: Number,
{
    Sum { of, number: PhantomData }
}

impl<T, N, F> Aggregate<T> for Sum<F, N>
where
    F: Fn(&T) -> N + Clone + Send + Sync + 'static,
    N: Number,
{
    type Acc = N;
    type Out = N;

    fn create(&self) -> N {
        N::default()
    }
    #[inline]
    fn add(&self, acc: &mut N, value: T) {
        *acc = acc.plus((self.of)(&value));
    }
    fn finish(&self, acc: N) -> N {
        acc
    }
}

/// See [`sum_exact`].
#[derive(Clone, Debug)]
pub struct SumExact<F> {
    of: F,
}

/// The sum of `of` over the records, rounded once at the end: the same bits in whatever order they
/// arrive (semantics rule 13).
pub fn sum_exact<T, F>(of: F) -> SumExact<F>
where
    F: Fn(&T) -> f64 + Clone + Send + Sync + 'static,
{
    SumExact { of }
}

impl<T, F> Aggregate<T> for SumExact<F>
where
    F: Fn(&T) -> f64 + Clone + Send + Sync + 'static,
{
    type Acc = ExactSum;
    type Out = f64;

    fn create(&self) -> ExactSum {
        ExactSum::default()
    }
    #[inline]
    fn add(&self, acc: &mut ExactSum, value: T) {
        acc.add((self.of)(&value));
    }
    fn finish(&self, acc: ExactSum) -> f64 {
        acc.round()
    }
}

/// See [`fold`].
#[derive(Clone, Debug)]
pub struct Fold<A, F> {
    init: A,
    step: F,
}

/// Whatever `step` makes of `init` and the records, in the order of arrival.
pub fn fold<T, A, F>(init: A, step: F) -> Fold<A, F>
where
    F: Fn(&mut A, T) + Clone + Send + Sync + 'static,
    A: Data + Sync,
{
    Fold { init, step }
}

impl<T, A, F> Aggregate<T> for Fold<A, F>
where
    F: Fn(&mut A, T) + Clone + Send + Sync + 'static,
    A: Data + Sync,
{
    type Acc = A;
    type Out = A;

    fn create(&self) -> A {
        self.init.clone()
    }
    #[inline]
    fn add(&self, acc: &mut A, value: T) {
        (self.step)(acc, value);
    }
    fn finish(&self, acc: A) -> A {
        acc
    }
}
