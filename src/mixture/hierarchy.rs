//! Which components are nearly the same: merging, reduction and hierarchy.
//!
//! Two components become one of the same weight and the same mean vector `w A mu`, which is the likeliest for the points
//! that both would draw. What is lost is their Kullback-Leibler divergence from it, times their weights, as Runnalls
//! (2007, Kullback-Leibler approach to Gaussian mixture reduction, IEEE Trans. AES 43) does for Gaussians.

use ndarray::{Array1, Axis};

use super::{VonMisesFisherMixture, Warning};
use crate::vmf::VonMisesFisher;
use crate::vmf::concentration;

/// One step of a hierarchy: two clusters become one. Clusters below the number of components are components, the cluster
/// of step `i` is `n_components + i`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The first cluster.
    pub left: usize,
    /// The second cluster.
    pub right: usize,
    /// What is lost, in nats per point: the bound of how much the log-likelihood falls.
    pub cost: f64,
    /// Weight of both together.
    pub weight: f64,
}

/// A cluster of components.
#[derive(Clone)]
struct Cluster {
    name: usize,
    weight: f64,
    distribution: VonMisesFisher,
    effective_size: f64,
}

impl Cluster {
    fn merge(&self, other: &Self, max_concentration: f64) -> Self {
        let vector = |cluster: &Self| {
            &cluster.distribution.mean()
                * (cluster.weight * cluster.distribution.mean_resultant_length())
        };
        let (sum, weight) = (vector(self) + vector(other), self.weight + other.weight);
        let length = sum.dot(&sum).sqrt();
        let d = self.distribution.dimension();
        // Vectors that cancel, or weights of zero, leave no direction: any serves.
        let (mean, kappa) = if length > 0.0 && weight > 0.0 {
            (
                sum,
                concentration::solve(d, length / weight).min(max_concentration),
            )
        } else {
            (self.distribution.mean().to_owned(), 0.0)
        };
        Self {
            name: self.name,
            weight,
            distribution: VonMisesFisher::new(mean, kappa)
                .expect("a direction and a finite concentration"),
            effective_size: self.effective_size + other.effective_size,
        }
    }

    /// What is lost by taking `merged` for this cluster.
    fn loss(&self, merged: &Self) -> f64 {
        self.weight * self.distribution.kl_divergence(&merged.distribution)
    }
}

impl VonMisesFisherMixture {
    /// The mixture with two components merged into one, which takes the place of the first.
    ///
    /// # Panics
    /// A component is not below the number of components, both are the same, or one is noise.
    pub fn merge(&self, first: usize, second: usize) -> Self {
        let mut clusters = self.clusters();
        assert!(
            first != second && first < clusters.len() && second < clusters.len(),
            "two components that are not noise"
        );
        clusters[first] = clusters[first].merge(&clusters[second], self.largest_concentration());
        clusters.remove(second);
        self.of_clusters(clusters)
    }

    /// The steps that merge all components into one, each time the pair of which the least is lost. Noise stays apart.
    pub fn hierarchy(&self) -> Vec<Merge> {
        self.merge_down_to(1).1
    }

    /// The mixture with at most this many components besides noise, merged by [`hierarchy`](Self::hierarchy).
    pub fn reduce(&self, n_components: usize) -> Self {
        self.of_clusters(self.merge_down_to(n_components.max(1)).0)
    }

    /// The one distribution that comes nearest to the mixture, as a mixture of one component: that of the same mean vector. After
    /// a fit of free concentrations it is the one of greatest likelihood for the points fitted, since EM keeps their mean vector.
    pub fn collapse(&self) -> Self {
        let cap = self.largest_concentration();
        let one = (1..self.n_components()).fold(self.cluster(0), |one, name| {
            one.merge(&self.cluster(name), cap)
        });
        let mean = one.distribution.mean().to_owned().insert_axis(Axis(0));
        let kappa = one.distribution.concentration();
        Self::from_parameters(Array1::ones(1), mean, Array1::from_elem(1, kappa))
            .expect("a direction and a finite concentration")
    }

    fn merge_down_to(&self, n_components: usize) -> (Vec<Cluster>, Vec<Merge>) {
        let cap = self.largest_concentration();
        let mut clusters = self.clusters();
        let pair = |a: &Cluster, b: &Cluster| {
            let merged = a.merge(b, cap);
            (a.loss(&merged) + b.loss(&merged)).max(0.0)
        };
        // costs[i][j] for j < i.
        let mut costs: Vec<Vec<f64>> = (0..clusters.len())
            .map(|i| (0..i).map(|j| pair(&clusters[i], &clusters[j])).collect())
            .collect();
        let mut merges = Vec::new();
        while clusters.len() > n_components {
            let pairs = (0..clusters.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
            let (i, j) = pairs
                .min_by(|&(a, b), &(c, d)| costs[a][b].total_cmp(&costs[c][d]))
                .expect("two clusters are left");
            let mut merged = clusters[j].merge(&clusters[i], cap);
            merges.push(Merge {
                left: clusters[j].name,
                right: clusters[i].name,
                cost: costs[i][j],
                weight: merged.weight,
            });
            merged.name = self.n_components() + merges.len() - 1;
            clusters[j] = merged;
            clusters.remove(i);
            costs.remove(i);
            for row in &mut costs[i..] {
                row.remove(i);
            }
            for other in (0..clusters.len()).filter(|&other| other != j) {
                costs[other.max(j)][other.min(j)] = pair(&clusters[other], &clusters[j]);
            }
        }
        (clusters, merges)
    }

    /// No merged component is tighter than those it is made of.
    fn largest_concentration(&self) -> f64 {
        self.concentrations().iter().copied().fold(0.0, f64::max)
    }

    /// The components that are not noise.
    fn clusters(&self) -> Vec<Cluster> {
        let directed = 0..self.noise_component().unwrap_or(self.n_components());
        directed.map(|name| self.cluster(name)).collect()
    }

    fn cluster(&self, name: usize) -> Cluster {
        Cluster {
            name,
            weight: self.weights()[name],
            distribution: self.component(name),
            effective_size: self.effective_sizes()[name],
        }
    }

    /// A mixture of clusters, and of the noise of this one.
    fn of_clusters(&self, mut clusters: Vec<Cluster>) -> Self {
        if let Some(name) = self.noise_component() {
            clusters.push(self.cluster(name));
        }
        let list = |value: fn(&Cluster) -> f64| clusters.iter().map(value).collect::<Array1<f64>>();
        let means: Vec<_> = clusters
            .iter()
            .map(|cluster| cluster.distribution.mean())
            .collect();
        let means = ndarray::stack(Axis(0), &means).expect("means of one dimension");
        let mut convergence = self.convergence().clone();
        convergence
            .warnings
            .retain(|warning| matches!(warning, Warning::NotConverged { .. }));
        Self::new(
            list(|cluster| cluster.weight),
            means,
            list(|cluster| cluster.distribution.concentration()),
            list(|cluster| cluster.effective_size),
        )
        .with_structure(self.concentration(), self.noise_component().is_some())
        .with_convergence(convergence)
    }
}
