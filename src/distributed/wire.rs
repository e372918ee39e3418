//! What crosses the network: a model on its way out, statistics on their way back, as numbers of 64 bits.

use ndarray::{Array1, Array2};

use crate::mixture::{Assignment, Scorer, Statistics};

/// One pass that executors are to make.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) scorer: Scorer,
    pub(super) assignment: Assignment,
    /// Rows that a thread takes at once.
    pub(super) block_size: usize,
}

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("a message between two versions of this program; use the same everywhere")]
pub(super) struct Garbled;

const ASSIGNMENTS: [Assignment; 3] = [Assignment::Soft, Assignment::Hard, Assignment::Stochastic];

impl Task {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Task {
            scorer,
            assignment,
            block_size,
        } = self;
        let (k, d) = scorer.mean_directions.dim();
        let assignment = ASSIGNMENTS.iter().position(|known| known == assignment);
        let head = [
            k as u64,
            d as u64,
            assignment.unwrap_or(0) as u64,
            *block_size as u64,
            scorer.seed,
        ];
        let numbers = [scorer.inverse_temperature]
            .into_iter()
            .chain(scorer.concentrations.iter().copied())
            .chain(scorer.offsets.iter().copied())
            .chain(scorer.mean_directions.iter().copied());
        to_bytes(&head, numbers)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Garbled> {
        let ([k, d, assignment, block_size, seed], mut numbers) = from_bytes(bytes)?;
        let (k, d) = (k as usize, d as usize);
        let inverse_temperature = numbers.next().ok_or(Garbled)?;
        let task = Task {
            scorer: Scorer {
                concentrations: vector(&mut numbers, k)?,
                offsets: vector(&mut numbers, k)?,
                mean_directions: matrix(&mut numbers, (k, d))?,
                inverse_temperature,
                seed,
            },
            assignment: *ASSIGNMENTS.get(assignment as usize).ok_or(Garbled)?,
            block_size: block_size as usize,
        };
        match numbers.next() {
            Some(_) => Err(Garbled),
            None => Ok(task),
        }
    }
}

pub(super) fn statistics_to_bytes(statistics: &Statistics) -> Vec<u8> {
    let (k, d) = statistics.resultants.dim();
    let numbers = [statistics.total, statistics.log_likelihood]
        .into_iter()
        .chain(statistics.masses.iter().copied())
        .chain(statistics.squares.iter().copied())
        .chain(statistics.resultants.iter().copied());
    to_bytes(&[k as u64, d as u64], numbers)
}

pub(super) fn statistics_from_bytes(bytes: &[u8]) -> Result<Statistics, Garbled> {
    let ([k, d], mut numbers) = from_bytes(bytes)?;
    let (k, d) = (k as usize, d as usize);
    let statistics = Statistics {
        total: numbers.next().ok_or(Garbled)?,
        log_likelihood: numbers.next().ok_or(Garbled)?,
        masses: vector(&mut numbers, k)?,
        squares: vector(&mut numbers, k)?,
        resultants: matrix(&mut numbers, (k, d))?,
    };
    match numbers.next() {
        Some(_) => Err(Garbled),
        None => Ok(statistics),
    }
}

fn to_bytes(head: &[u64], numbers: impl Iterator<Item = f64>) -> Vec<u8> {
    let head = head.iter().flat_map(|number| number.to_le_bytes());
    head.chain(numbers.flat_map(f64::to_le_bytes)).collect()
}

/// So many integers, and the numbers after them.
fn from_bytes<const N: usize>(
    bytes: &[u8],
) -> Result<([u64; N], impl Iterator<Item = f64> + '_), Garbled> {
    let (words, []) = bytes.as_chunks::<8>() else {
        return Err(Garbled);
    };
    let (head, numbers) = words.split_first_chunk::<N>().ok_or(Garbled)?;
    let numbers = numbers.iter().map(|word| f64::from_le_bytes(*word));
    Ok((head.map(u64::from_le_bytes), numbers))
}

fn vector(numbers: &mut impl Iterator<Item = f64>, n: usize) -> Result<Array1<f64>, Garbled> {
    let values: Vec<f64> = numbers.take(n).collect();
    match values.len() == n {
        true => Ok(values.into()),
        false => Err(Garbled),
    }
}

fn matrix(
    numbers: &mut impl Iterator<Item = f64>,
    (k, d): (usize, usize),
) -> Result<Array2<f64>, Garbled> {
    let values = vector(numbers, k.checked_mul(d).ok_or(Garbled)?)?;
    values.into_shape_with_order((k, d)).map_err(|_| Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives() {
        let scorer = Scorer {
            inverse_temperature: 0.5,
            seed: 7,
            ..Scorer::cosine(Array2::from_shape_fn((2, 3), |(i, j)| (i * 3 + j) as f64))
        };
        for assignment in ASSIGNMENTS {
            let scorer = scorer.clone();
            let task = Task {
                scorer,
                assignment,
                block_size: 100,
            };
            let bytes = task.to_bytes();
            let back = Task::from_bytes(&bytes).unwrap();
            assert_eq!(back.to_bytes(), bytes);
            assert_eq!(back.assignment, assignment);
        }
        let mut statistics = Statistics::zeros(2, 3);
        statistics.total = 5.0;
        statistics.resultants[[1, 2]] = -0.1;
        let bytes = statistics_to_bytes(&statistics);
        assert_eq!(statistics_from_bytes(&bytes).unwrap(), statistics);
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        let bytes = statistics_to_bytes(&Statistics::zeros(2, 3));
        for wrong in [
            &bytes[..bytes.len() - 8],
            &bytes[..bytes.len() - 1],
            &[],
            &[255; 24],
        ] {
            assert!(statistics_from_bytes(wrong).is_err());
            assert!(Task::from_bytes(wrong).is_err());
        }
        assert!(statistics_from_bytes(&[&bytes[..], &[0; 8]].concat()).is_err());
    }
}
