//! The names of tensors in a checkpoint.
//!
//! Inside this crate a tensor has the name that Hugging Face's CLIP gives it; a part that only open_clip has (the
//! ResNets) has open_clip's name below `vision_model`. This file alone knows what the same tensor is called by
//! open_clip and by OpenAI.

/// Who wrote a checkpoint, as far as names and shapes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// transformers: `vision_model.encoder.layers.0.self_attn.q_proj.weight`.
    HuggingFace,
    /// open_clip and OpenAI: `visual.transformer.resblocks.0.attn.in_proj_weight`.
    OpenClip,
    /// open_clip's models with a text tower apart: as above, but `text.token_embedding.weight`.
    OpenClipTextApart,
}

/// Where a tensor is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Name of the tensor in the file.
    pub(super) name: String,
    /// Which third of its rows, where queries, keys and values are one tensor.
    pub(super) third: Option<usize>,
    /// Whether the file holds `(inputs, outputs)` where Hugging Face has `(outputs, inputs)`.
    pub(super) is_transposed: bool,
}

/// Beginnings of names, the more special first.
const BEGINNINGS: [(&str, &str); 13] = [
    ("logit_scale", "logit_scale"),
    ("text_projection.weight", "text_projection"),
    ("text_model.embeddings.token_embedding", "token_embedding"),
    (
        "text_model.embeddings.position_embedding.weight",
        "positional_embedding",
    ),
    ("text_model.encoder.layers", "transformer.resblocks"),
    ("text_model.final_layer_norm", "ln_final"),
    ("visual_projection.weight", "visual.proj"),
    ("vision_model.embeddings.patch_embedding", "visual.conv1"),
    (
        "vision_model.embeddings.class_embedding",
        "visual.class_embedding",
    ),
    (
        "vision_model.embeddings.position_embedding.weight",
        "visual.positional_embedding",
    ),
    ("vision_model.pre_layrnorm", "visual.ln_pre"),
    ("vision_model.post_layernorm", "visual.ln_post"),
    (
        "vision_model.encoder.layers",
        "visual.transformer.resblocks",
    ),
];

/// Parts of a block.
const PARTS: [(&str, &str); 6] = [
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    ("vision_model.", "visual."),
];

const PROJECTIONS: [&str; 3] = ["q_proj", "k_proj", "v_proj"];

impl Naming {
    /// Tells by the names in a file who wrote it.
    pub(super) fn of(has: impl Fn(&str) -> bool) -> Self {
        if has("text.token_embedding.weight") {
            Naming::OpenClipTextApart
        } else if has("token_embedding.weight") {
            Naming::OpenClip
        } else {
            Naming::HuggingFace
        }
    }

    /// Where the tensor is that Hugging Face calls `name`.
    pub(super) fn place(self, name: &str) -> Place {
        if self == Naming::HuggingFace {
            return Place {
                name: name.into(),
                third: None,
                is_transposed: false,
            };
        }
        let mut place = Place {
            name: name.into(),
            third: None,
            is_transposed: name.ends_with("_projection.weight"),
        };
        let beginning = BEGINNINGS.iter().find(|(ours, _)| name.starts_with(ours));
        if let Some((ours, theirs)) = beginning {
            place.name = format!("{theirs}{}", &name[ours.len()..]);
        }
        for (ours, theirs) in PARTS {
            place.name = place.name.replace(ours, theirs);
        }
        for (third, part) in PROJECTIONS.into_iter().enumerate() {
            let part = format!(".self_attn.{part}.");
            if place.name.contains(&part) {
                place.name = place.name.replace(&part, ".attn.in_proj_");
                place.third = Some(third);
            }
        }
        let is_of_text = !place.name.starts_with("visual.") && name != "logit_scale";
        if self == Naming::OpenClipTextApart && is_of_text {
            place.name.insert_str(0, "text.");
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_clip(name: &str) -> (String, Option<usize>, bool) {
        let place = Naming::OpenClip.place(name);
        (place.name, place.third, place.is_transposed)
    }

    #[test]
    fn finds_the_parts_of_a_block() {
        let block = "vision_model.encoder.layers.11.";
        let theirs = "visual.transformer.resblocks.11.";
        for (ours, name, third) in [
            ("self_attn.q_proj.weight", "attn.in_proj_weight", Some(0)),
            ("self_attn.v_proj.bias", "attn.in_proj_bias", Some(2)),
            ("self_attn.out_proj.bias", "attn.out_proj.bias", None),
            ("layer_norm2.weight", "ln_2.weight", None),
            ("mlp.fc2.bias", "mlp.c_proj.bias", None),
        ] {
            let expected = (format!("{theirs}{name}"), third, false);
            assert_eq!(open_clip(&format!("{block}{ours}")), expected);
        }
    }

    #[test]
    fn finds_what_surrounds_the_blocks() {
        for (ours, theirs, is_transposed) in [
            ("text_projection.weight", "text_projection", true),
            ("visual_projection.weight", "visual.proj", true),
            (
                "vision_model.pre_layrnorm.bias",
                "visual.ln_pre.bias",
                false,
            ),
            (
                "text_model.final_layer_norm.weight",
                "ln_final.weight",
                false,
            ),
            (
                "vision_model.layer1.0.conv1.weight",
                "visual.layer1.0.conv1.weight",
                false,
            ),
            ("logit_scale", "logit_scale", false),
        ] {
            assert_eq!(open_clip(ours), (theirs.into(), None, is_transposed));
        }
    }

    #[test]
    fn a_text_tower_apart_has_its_own_prefix() {
        let name = |ours: &str| Naming::OpenClipTextApart.place(ours).name;
        assert_eq!(name("text_projection.weight"), "text.text_projection");
        assert_eq!(name("visual_projection.weight"), "visual.proj");
        assert_eq!(name("logit_scale"), "logit_scale");
    }
}
