//! Delta debugging: which of many things are needed for something to happen.
//! Pure: knows neither faults nor worlds, only how to ask. After Zeller's ddmin; what is asked is
//! [`super::shrink`]'s to say.

/// The fewest of `len` things, by their places, with which the test still says yes, as far as halves,
/// quarters and single ones show it. The test is given choices, and gives the first that will do.
pub fn ddmin(len: usize, mut test: impl FnMut(&[Vec<usize>]) -> Option<usize>) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..len).collect();
    if kept.is_empty() || test(&[Vec::new()]).is_some() {
        return Vec::new();
    }
    let mut parts = 2;
    while kept.len() > 1 {
        let chunks = split(&kept, parts);
        let rests = chunks.iter().map(|chunk| without(&kept, chunk));
        // Of two halves each is what the other leaves.
        let rests: Vec<_> = rests.filter(|_| chunks.len() > 2).collect();
        let choices: Vec<_> = chunks.iter().cloned().chain(rests).collect();
        match test(&choices) {
            Some(place) => {
                parts = if place < chunks.len() { 2 } else { (parts - 1).max(2) };
                kept = choices[place].clone();
            }
            None if parts >= kept.len() => break,
            None => parts = (parts * 2).min(kept.len()),
        }
    }
    kept
}

fn split(kept: &[usize], parts: usize) -> Vec<Vec<usize>> {
    let parts = parts.min(kept.len());
    let bound = |part: usize| part * kept.len() / parts;
    (0..parts).map(|part| kept[bound(part)..bound(part + 1)].to_vec()).collect()
}

fn without(kept: &[usize], chunk: &[usize]) -> Vec<usize> {
    kept.iter().copied().filter(|place| !chunk.contains(place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `len` if all of `guilty` are needed, and how often was asked.
    fn left(len: usize, guilty: &[usize]) -> (Vec<usize>, usize) {
        let mut asked = 0;
        let left = ddmin(len, |choices| {
            asked += choices.len();
            choices.iter().position(|choice| guilty.iter().all(|one| choice.contains(one)))
        });
        (left, asked)
    }

    #[test]
    fn what_is_not_needed_goes_and_what_is_needed_stays() {
        for (len, guilty) in [
            (0, vec![]),
            (1, vec![0]),
            (7, vec![]),
            (12, vec![5]),
            (41, vec![3, 38]),
            (9, vec![0, 4, 8]),
        ] {
            assert_eq!(left(len, &guilty).0, guilty, "of {len}");
        }
    }

    #[test]
    fn one_of_many_is_found_by_halves() {
        assert!(left(64, &[37]).1 <= 13);
    }
}
