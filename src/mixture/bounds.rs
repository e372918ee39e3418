//! Which points of spherical k-means can have changed their cluster since the last assignment: bounds on cosines.
//!
//! Every point remembers its cluster, a lower bound of the cosine to that centre and an upper bound of the cosines to all
//! others, as in Hamerly's algorithm. When centres move, the bounds follow by the triangle inequality of angles; only
//! where they overlap are cosines computed. The clusters are those of the plain algorithm, but for ties in the last
//! places of the data's precision.
//!
//! # References
//! - Schubert, Lang & Feher (2021), Accelerating spherical k-means, SISAP, arXiv 2107.04074.

use linfa::Float;
use ndarray::{Array2, Axis};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::{Assignment, Block, Kernel, Scorer, float, sum_entries};
use super::observations::Points;
use super::simd::{dot, two_largest};
use super::{MixtureError, Observations, Rows, Statistics};
use crate::product::product;

/// Units in the last place by which a cosine may be off: bounds are moved apart by as many.
const ULPS: f64 = 16.0;

/// What [`Observations::cluster`](super::Observations::cluster) remembers from one assignment to the next.
#[derive(Debug, Default)]
pub struct ClusterMemory {
    centres: Array2<f64>,
    points: Vec<Point>,
}

/// A point's cluster and bounds.
#[derive(Clone, Copy, Debug)]
struct Point {
    cluster: u32,
    /// At most the cosine to its centre.
    own: f64,
    /// At least the cosines to all other centres.
    others: f64,
}

/// How far the centres moved, as cosines between the old and the new.
struct Moves {
    cosines: Vec<f64>,
    /// The centre that moved furthest.
    furthest: usize,
    /// The furthest move of the others.
    second: f64,
}

impl Moves {
    fn new(before: &Array2<f64>, after: &Array2<f64>) -> Self {
        let pairs = before.rows().into_iter().zip(after.rows());
        let cosines: Vec<f64> = pairs.map(|(a, b)| a.dot(&b).clamp(-1.0, 1.0)).collect();
        let furthest = (0..cosines.len())
            .min_by(|&a, &b| cosines[a].total_cmp(&cosines[b]))
            .unwrap_or(0);
        let others = cosines.iter().enumerate().filter(|(k, _)| *k != furthest);
        let second = others.map(|(_, cosine)| *cosine).fold(1.0, f64::min);
        Self {
            cosines,
            furthest,
            second,
        }
    }

    /// Lets the bounds follow.
    fn follow(&self, point: &mut Point) {
        let cluster = point.cluster as usize;
        let other = if cluster == self.furthest {
            self.second
        } else {
            self.cosines[self.furthest]
        };
        let sines = |a: f64, b: f64| ((1.0 - a * a) * (1.0 - b * b)).max(0.0).sqrt();
        let (own, moved) = (point.own, self.cosines[cluster]);
        // The angles add up, at most to a half turn, or are subtracted, at least to zero.
        point.own = if own <= -moved {
            -1.0
        } else {
            own * moved - sines(own, moved)
        };
        let others = point.others;
        point.others = if others >= other {
            1.0
        } else {
            others * other + sines(others, other)
        };
    }
}

impl<R: Rows> Points<R> {
    /// Statistics of the points, each wholly in the cluster of the nearest centre; see
    /// [`Observations::cluster`](super::Observations::cluster).
    pub(super) fn cluster_within_bounds(
        &self,
        centres: &Array2<f64>,
        memory: &mut ClusterMemory,
    ) -> Result<Statistics, MixtureError> {
        let scorer = Scorer::cosine(centres.clone());
        self.check(&scorer)?;
        let kernel = Kernel::<R::Value>::new(&scorer, Assignment::Hard);
        if memory.points.is_empty() {
            let unknown = Point {
                cluster: 0,
                own: -1.0,
                others: 1.0,
            };
            memory.points = vec![unknown; self.n_samples()];
            memory.centres = centres.clone();
        }
        let moves = Moves::new(&memory.centres, centres);
        memory.centres.assign(centres);
        let groups = memory.points.par_chunks_mut(self.group_rows());
        let mut statistics = self.sum_groups(centres.dim(), groups, |first, points, part| {
            let mut search = Search::new(&kernel);
            let blocks = points.chunks_mut(self.block_size);
            self.block_starts(first)
                .zip(blocks)
                .try_for_each(|(start, points)| {
                    self.with_block(start, |block| {
                        kernel.arch.dispatch(Follow {
                            moves: &moves,
                            block,
                            points,
                            search: &mut search,
                        });
                        search.assign(block, points);
                        search.add(block, points, part);
                    })
                })
        })?;
        statistics.log_likelihood = (centres * &statistics.resultants).sum();
        Ok(statistics)
    }
}

/// The search for the nearest centres of the points whose bounds overlap.
struct Search<'a, F> {
    kernel: &'a Kernel<F>,
    /// Positions in the block of the points to search for.
    open: Vec<usize>,
    entries: Vec<Vec<(u32, F)>>,
}

impl<'a, F: Float> Search<'a, F> {
    fn new(kernel: &'a Kernel<F>) -> Self {
        Self {
            kernel,
            open: Vec::new(),
            entries: vec![Vec::new(); kernel.means.nrows()],
        }
    }

    /// Finds the nearest centres of the open points, and new bounds.
    fn assign(&self, block: &Block<'_, F>, points: &mut [Point]) {
        if self.open.is_empty() {
            return;
        }
        let means = self.kernel.means.t();
        let mut cosines = Array2::zeros((self.open.len(), means.ncols()));
        if self.open.len() == points.len() {
            product(block.rows, means, cosines.view_mut());
        } else {
            let rows = block.rows.select(Axis(0), &self.open);
            product(rows.view(), means, cosines.view_mut());
        }
        let margin = margin::<F>();
        for (&i, cosines) in self.open.iter().zip(cosines.rows()) {
            let scale = block.inverse_lengths[i];
            let (best, largest, second) =
                two_largest(cosines.as_slice().expect("rows are contiguous"));
            points[i] = Point {
                cluster: best as u32,
                own: (scale * float(largest) - margin).clamp(-1.0, 1.0),
                others: (scale * float(second) + margin).clamp(-1.0, 1.0),
            };
        }
    }

    /// Adds the points to their clusters.
    fn add(&mut self, block: &Block<'_, F>, points: &[Point], into: &mut Statistics) {
        self.entries.iter_mut().for_each(Vec::clear);
        for (i, point) in points.iter().enumerate() {
            let (cluster, weight) = (point.cluster as usize, block.weight(i));
            into.total += weight;
            into.masses[cluster] += weight;
            into.squares[cluster] += weight;
            let share = F::cast(weight * block.inverse_lengths[i]);
            self.entries[cluster].push((i as u32, share));
        }
        let arch = self.kernel.arch;
        sum_entries(arch, block, &self.entries, |x| x, &mut into.resultants);
    }
}

/// Lets the bounds of a block follow the centres, and collects the points of which they overlap.
struct Follow<'a, 'b, 'c, F> {
    moves: &'a Moves,
    block: &'a Block<'b, F>,
    points: &'a mut [Point],
    search: &'a mut Search<'c, F>,
}

impl<F: Float> WithSimd for Follow<'_, '_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            moves,
            block,
            points,
            search,
        } = self;
        search.open.clear();
        let means = &search.kernel.means;
        for (i, point) in points.iter_mut().enumerate() {
            moves.follow(point);
            if point.own >= point.others {
                continue;
            }
            if point.others < 1.0 {
                let own = dot(
                    block.row(i),
                    means
                        .row(point.cluster as usize)
                        .to_slice()
                        .expect("standard layout"),
                );
                point.own =
                    (block.inverse_lengths[i] * float(own) - margin::<F>()).clamp(-1.0, 1.0);
            }
            if point.own < point.others {
                search.open.push(i);
            }
        }
    }
}

fn margin<F: Float>() -> f64 {
    ULPS * float(F::epsilon())
}
