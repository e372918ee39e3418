//! From the mixture's arguments to its settings.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::args::MixtureArgs;
use super::inputs::strings;
use super::predict::read_model;
use super::values::Start;
use crate::device::Device;
use crate::frame::{EMBEDDING, FrameExt, io};
use crate::mixture::{InitMethod, VonMisesFisherMixture, VonMisesFisherMixtureParams};
use crate::progress::Progress;
use crate::report::ReportBuilder;

impl MixtureArgs {
    /// The settings of a fit of so many components to these of `n` points, on a device.
    pub(super) fn params(
        &self,
        n_components: usize,
        train: &[usize],
        n: usize,
        device: Device,
        progress: &Arc<dyn Progress>,
    ) -> Result<VonMisesFisherMixtureParams<Xoshiro256Plus>> {
        let rng = Xoshiro256Plus::seed_from_u64(self.random_state);
        Ok(VonMisesFisherMixture::params_with_rng(n_components, rng)
            .n_runs(self.n_runs)
            .tolerance(self.tolerance)
            .max_n_iterations(self.max_iterations)
            .init_method(self.init_method(train, n)?)
            .concentration(self.concentration)
            .assignment(self.assignment)
            .annealing(self.annealing)
            .noise_component(self.noise_component)
            .prior(self.prior)
            .max_concentration(self.max_concentration)
            .min_weight(self.min_weight)
            .empty_component(self.empty_component)
            .block_size(self.block_size)
            .n_threads(self.n_threads)
            .device(device)
            .tf32(self.tf32)
            .progress(progress.clone()))
    }

    /// All settings that are not the usual ones, for the report.
    pub(super) fn described(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("runs", self.n_runs.to_string()),
            ("tolerance", self.tolerance.to_string()),
            ("maximal iterations", self.max_iterations.to_string()),
            ("test split", self.test_split.to_string()),
            ("start", self.init_method.to_string()),
            ("concentrations", lower(&self.concentration)),
            ("assignment", lower(&self.assignment)),
        ];
        settings.extend(
            self.annealing
                .map(|annealing| ("annealing", format!("{annealing:?}"))),
        );
        settings.extend(self.prior.map(|prior| ("prior", format!("{prior:?}"))));
        settings.extend(
            self.tf32
                .then(|| ("products on a GPU", "by TF32".to_owned())),
        );
        settings.extend(
            self.noise_component
                .then(|| ("noise component", "yes".to_owned())),
        );
        settings
    }

    /// Puts the settings of a fit that took so long into its report.
    pub(super) fn describe<'a>(
        &self,
        report: ReportBuilder<'a>,
        seconds: f64,
    ) -> ReportBuilder<'a> {
        let report = report
            .seed(self.random_state)
            .setting("seed", self.random_state)
            .setting("seconds to fit", format!("{seconds:.1}"));
        let described = self.described().into_iter();
        described.fold(report, |report, (name, value)| report.setting(name, value))
    }

    fn init_method(&self, train: &[usize], n: usize) -> Result<InitMethod> {
        Ok(match &self.init_method {
            Start::Named(method) => method.clone(),
            Start::Means(file) => {
                let means = io::embeddings_file(file)?.embeddings(EMBEDDING)?;
                InitMethod::Means(means.view().mapv(f64::from))
            }
            Start::Labels(file) => {
                let labels = labels(file)?;
                ensure!(
                    labels.len() == n,
                    "{}: {} labels for {n} items; give one for each, in their order",
                    file.display(),
                    labels.len()
                );
                InitMethod::Labels(train.iter().map(|&row| labels[row]).collect())
            }
            Start::Model(file) => InitMethod::Model(Box::new(read_model(file)?)),
        })
    }
}

/// A value by its name in the code, in lower case.
fn lower(value: &impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn labels(file: &Path) -> Result<Vec<usize>> {
    let lines = strings(&io::text_file(file)?, "text")?;
    let label = |(line, text): (usize, Option<String>)| {
        let text = text.unwrap_or_default();
        text.trim().parse().with_context(|| {
            format!(
                "{}, label {}: `{text}` is not a number from 0",
                file.display(),
                line + 1
            )
        })
    };
    lines.into_iter().enumerate().map(label).collect()
}
