//! OpenAI's nine CLIP models by the names their authors gave them.
//!
//! # References
//! 1. A. Radford et al., *Learning transferable visual models from natural language supervision*, ICML 2021, table 19 and 20.

use super::EncoderError;

/// The vision tower of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// A vision transformer.
    VisionTransformer,
    /// CLIP's modified ResNet.
    ModifiedResNet,
}

/// One entry of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// OpenAI's name.
    pub name: &'static str,
    /// Hugging Face id of the repository that holds the files.
    pub repository: &'static str,
    /// The commit of the repository that is fetched; the newest where there is none.
    pub revision: Option<&'static str>,
    /// The vision tower.
    pub architecture: Architecture,
    /// Number of coordinates of an embedding.
    pub dimension: usize,
    /// Side of the square image that the vision tower sees, in pixels.
    pub image_size: usize,
    /// Number of parameters of both towers, in millions.
    pub parameters_in_millions: usize,
    /// Licence of the weights.
    pub licence: &'static str,
}

/// The registry, in the order of OpenAI's paper.
pub const MODELS: [ModelInfo; 9] = {
    use Architecture::{ModifiedResNet, VisionTransformer};
    [
        entry(
            "ViT-B/32",
            "openai/clip-vit-base-patch32",
            Some("3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"),
            VisionTransformer,
            512,
            224,
            151,
        ),
        entry(
            "ViT-B/16",
            "openai/clip-vit-base-patch16",
            Some("57c216476eefef5ab752ec549e440a49ae4ae5f3"),
            VisionTransformer,
            512,
            224,
            150,
        ),
        entry(
            "ViT-L/14",
            "openai/clip-vit-large-patch14",
            Some("32bd64288804d66eefd0ccbe215aa642df71cc41"),
            VisionTransformer,
            768,
            224,
            428,
        ),
        entry(
            "ViT-L/14@336px",
            "openai/clip-vit-large-patch14-336",
            Some("ce19dc912ca5cd21c8a653c79e251e808ccabcd1"),
            VisionTransformer,
            768,
            336,
            428,
        ),
        entry(
            "RN50",
            "timm/resnet50_clip.openai",
            None,
            ModifiedResNet,
            1024,
            224,
            102,
        ),
        entry(
            "RN101",
            "timm/resnet101_clip.openai",
            None,
            ModifiedResNet,
            512,
            224,
            120,
        ),
        entry(
            "RN50x4",
            "timm/resnet50x4_clip.openai",
            None,
            ModifiedResNet,
            640,
            288,
            178,
        ),
        entry(
            "RN50x16",
            "timm/resnet50x16_clip.openai",
            None,
            ModifiedResNet,
            768,
            384,
            291,
        ),
        entry(
            "RN50x64",
            "timm/resnet50x64_clip.openai",
            None,
            ModifiedResNet,
            1024,
            448,
            623,
        ),
    ]
};

/// Longest edit distance at which a known name is proposed for an unknown one.
const MAX_TYPING_ERRORS: usize = 3;

const fn entry(
    name: &'static str,
    repository: &'static str,
    revision: Option<&'static str>,
    architecture: Architecture,
    dimension: usize,
    image_size: usize,
    parameters_in_millions: usize,
) -> ModelInfo {
    ModelInfo {
        name,
        repository,
        revision,
        architecture,
        dimension,
        image_size,
        parameters_in_millions,
        licence: "MIT",
    }
}

/// The entry of the model with this name, in any mixture of capitals.
///
/// # Errors
/// [`EncoderError::UnknownModel`], with all known names and the closest one.
///
/// # Example
/// ```
/// use vmfmix::encoder::models;
///
/// assert_eq!(models::find("ViT-B/32")?.dimension, 512);
/// let message = models::find("ViT-B-32").unwrap_err().to_string();
/// assert!(message.contains("did you mean ViT-B/32?"));
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
pub fn find(name: &str) -> Result<&'static ModelInfo, EncoderError> {
    MODELS
        .iter()
        .find(|model| model.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| EncoderError::UnknownModel {
            name: name.into(),
            closest: closest(name),
            known: names(),
        })
}

/// Where a model is, by its name in the registry, its repository there, or any other Hugging Face id.
///
/// # Errors
/// [`EncoderError::UnknownModel`] if it is none of these.
pub(super) fn resolve(model: &str) -> Result<Repository<'_>, EncoderError> {
    let by_id = MODELS.iter().find(|known| known.repository == model);
    match by_id.map_or_else(|| find(model), Ok) {
        Ok(known) => Ok(Repository {
            id: known.repository,
            revision: known.revision,
            name: known.name,
        }),
        Err(EncoderError::UnknownModel { closest: None, .. }) if is_hub_id(model) => {
            Ok(Repository {
                id: model,
                revision: None,
                name: model,
            })
        }
        Err(unknown) => Err(unknown),
    }
}

/// A repository of Hugging Face that holds a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repository<'a> {
    /// `owner/name`.
    pub(super) id: &'a str,
    /// The commit that is fetched; the newest where there is none.
    pub(super) revision: Option<&'static str>,
    /// What the model is called.
    pub(super) name: &'a str,
}

/// `owner/name`, in the characters that Hugging Face allows.
fn is_hub_id(model: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    model
        .split_once('/')
        .is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// The names of all models, in order.
pub(super) fn names() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

fn closest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    MODELS
        .iter()
        .map(|model| {
            (
                edit_distance(&name, &model.name.to_ascii_lowercase()),
                model.name,
            )
        })
        .min()
        .filter(|&(distance, _)| distance <= MAX_TYPING_ERRORS)
        .map(|(_, known)| known)
}

/// Levenshtein's distance, by the row-wise recurrence.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_model_whatever_the_capitals() {
        for model in &MODELS {
            assert_eq!(find(&model.name.to_uppercase()).unwrap(), model);
        }
    }

    #[test]
    fn a_name_in_any_capitals_and_a_repository_are_the_same_pinned_model() {
        let pinned = resolve("ViT-B/32").unwrap();
        assert!(pinned.revision.is_some());
        for same in ["vit-b/32", "openai/clip-vit-base-patch32"] {
            assert_eq!(resolve(same).unwrap(), pinned);
        }
        assert_eq!(resolve("someone/model").unwrap().revision, None);
        for unknown in ["ViT-B/33", "banana", "../model", "a/b/c"] {
            assert!(resolve(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn proposes_the_closest_name() {
        assert_eq!(closest("vit-l/14@336"), Some("ViT-L/14@336px"));
        assert_eq!(closest("RN5O"), Some("RN50"));
        assert_eq!(closest("a quite different thing"), None);
    }

    #[test]
    fn lists_the_known_names_for_an_unknown_one() {
        let message = find("banana").unwrap_err().to_string();
        assert!(
            message
                .starts_with("there is no model called \"banana\"; use one of ViT-B/32, ViT-B/16"),
            "{message}"
        );
    }

    #[test]
    fn edit_distance_counts_insertions_deletions_and_replacements() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }
}
