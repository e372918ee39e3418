//! Values of arguments, from text; what is refused is told with a remedy.

use std::fmt;
use std::mem::discriminant;
use std::path::PathBuf;
use std::str::FromStr;

use crate::encoder::{EncoderError, PromptTemplate, Tower};
use crate::mixture::{Annealing, Assignment, Concentration, Criterion, EmptyComponent, InitMethod};
use crate::vmf::LARGEST_CONCENTRATION;
use crate::vmf::concentration::Prior;

/// Where a run starts, files not yet read.
#[derive(Clone, Debug)]
pub(super) enum Start {
    Named(InitMethod),
    Means(PathBuf),
    Labels(PathBuf),
    Model(PathBuf),
}

const STARTS: [(&str, InitMethod); 4] = [
    ("spherical-kmeans", InitMethod::SphericalKMeans),
    ("kmeans++", InitMethod::KMeansPlusPlus),
    ("random-rows", InitMethod::RandomRows),
    (
        "random-responsibilities",
        InitMethod::RandomResponsibilities,
    ),
];

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(method) => {
                let same = |known: &InitMethod| discriminant(known) == discriminant(method);
                let named = STARTS.iter().find(|(_, known)| same(known));
                f.write_str(named.map_or("", |(name, _)| name))
            }
            Self::Means(file) => write!(f, "means={}", file.display()),
            Self::Labels(file) => write!(f, "labels={}", file.display()),
            Self::Model(file) => write!(f, "model={}", file.display()),
        }
    }
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once('=') {
            Some(("means", file)) => Self::Means(file.into()),
            Some(("labels", file)) => Self::Labels(file.into()),
            Some(("model", file)) => Self::Model(file.into()),
            _ => Self::Named(one_of(text, STARTS)?),
        })
    }
}

/// One prompt, or the ensemble.
#[derive(Clone, Debug)]
pub(super) struct Prompts(pub Vec<PromptTemplate>);

impl FromStr for Prompts {
    type Err = EncoderError;

    fn from_str(text: &str) -> Result<Self, EncoderError> {
        Ok(Self(match text {
            "ensemble" => PromptTemplate::ensemble(),
            _ => vec![text.parse()?],
        }))
    }
}

/// Numbers of components to try.
#[derive(Clone, Debug)]
pub(super) struct Sizes(pub Vec<usize>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes = match text.split_once("..") {
            Some((from, to)) => (positive(from)?..=positive(to.trim_start_matches('='))?).collect(),
            None => text
                .split(',')
                .map(positive)
                .collect::<Result<Vec<_>, _>>()?,
        };
        if sizes.is_empty() {
            return Err("give a range that rises, as 2..20, or a list, as 2,4,8".to_owned());
        }
        Ok(Self(sizes))
    }
}

fn one_of<T, const N: usize>(text: &str, named: [(&str, T); N]) -> Result<T, String> {
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let remedy = format!("give one of {}", names.join(", "));
    let found = named.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| value).ok_or(remedy)
}

pub(super) fn concentrations(text: &str) -> Result<Concentration, String> {
    match text {
        "free" => Ok(Concentration::Free),
        "tied" => Ok(Concentration::Tied),
        _ => concentration(text)
            .map(Concentration::Fixed)
            .map_err(|_| "give free, tied, or a number that is not negative".to_owned()),
    }
}

pub(super) fn assignment(text: &str) -> Result<Assignment, String> {
    one_of(
        text,
        [
            ("soft", Assignment::Soft),
            ("hard", Assignment::Hard),
            ("stochastic", Assignment::Stochastic),
        ],
    )
}

pub(super) fn empty_component(text: &str) -> Result<EmptyComponent, String> {
    one_of(
        text,
        [
            ("reseed", EmptyComponent::Reseed),
            ("drop", EmptyComponent::Drop),
            ("error", EmptyComponent::Error),
        ],
    )
}

pub(super) fn criterion(text: &str) -> Result<Criterion, String> {
    one_of(
        text,
        [
            ("bic", Criterion::Bic),
            ("aic", Criterion::Aic),
            ("icl", Criterion::Icl),
            ("held-out", Criterion::HeldOut),
            ("silhouette", Criterion::Silhouette),
        ],
    )
}

pub(super) fn annealing(text: &str) -> Result<Annealing, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(start, n)| Some((start.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((start, n_iterations)) if start > 0.0 && start <= 1.0 => Ok(Annealing {
            start,
            n_iterations,
        }),
        _ => Err(
            "give a power above 0 and up to 1, and a number of iterations, as 0.1:20".to_owned(),
        ),
    }
}

pub(super) fn prior(text: &str) -> Result<Prior, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(strength, r)| Some((not_negative(strength).ok()?, share(r).ok()?)));
    let (strength, mean_resultant_length) = parsed.ok_or(
        "give a number of points, and their mean resultant length from 0 up to, but not including, 1, as 5:0.4",
    )?;
    Ok(Prior {
        strength,
        mean_resultant_length,
    })
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("give a whole number above 0".to_owned()),
    }
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if x >= 0.0 => Ok(x),
        _ => Err("give a number that is not negative".to_owned()),
    }
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if (0.0..1.0).contains(&x) => Ok(x),
        _ => Err("give a number from 0 up to, but not including, 1".to_owned()),
    }
}

pub(super) fn tower(text: &str) -> Result<Tower, String> {
    one_of(text, [("text", Tower::Text), ("image", Tower::Image)])
}

pub(super) fn dimension(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(d) if d >= 2 => Ok(d),
        _ => Err("give a whole number of at least 2".to_owned()),
    }
}

pub(super) fn concentration(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(kappa) if (0.0..=LARGEST_CONCENTRATION).contains(&kappa) => Ok(kappa),
        _ => Err(format!("give a number from 0 to {LARGEST_CONCENTRATION:e}")),
    }
}

pub(super) fn size(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if (1.0..f64::INFINITY).contains(&n) => Ok(n),
        _ => Err("give a number of at least 1".to_owned()),
    }
}
