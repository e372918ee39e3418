//! A picture to the square of normalised pixels that the vision tower sees.
//!
//! In this order: the shortest side is scaled to `size` by Pillow's bicubic or bilinear filter, the centre is cut out,
//! bytes are divided by 255, then each channel is shifted by its mean and divided by its standard deviation. SigLIP scales
//! both sides to their size instead and cuts nothing. The numbers come from `preprocessor_config.json`; where that file or
//! one of its fields is missing, OpenAI's apply, or those of SigLIP's image processor.

use std::path::Path;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::Deserialize;

use super::resample::{Filter, Window, resize};
use super::{EncoderError, Picture, config};

/// OpenAI's mean of each channel.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];

/// OpenAI's standard deviation of each channel.
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// What a standard deviation has to be.
const POSITIVE: &str = "positive numbers";

/// SigLIP's mean and standard deviation of each channel.
const HALF: [f32; 3] = [0.5; 3];

/// The size that SigLIP's image processor scales to where its file names none.
const SIGLIP_SIZE: Size = Size::Both {
    height: 224,
    width: 224,
};

/// How a picture is made ready for the vision tower.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    resize: Resize,
    filter: Filter,
    crop: usize,
    rounding: Rounding,
    /// The value of each byte in each channel.
    normalised: Box<[[f32; 256]; 3]>,
}

/// Where the centre is when a pixel more is left over on one side than on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    /// Nearer to the left and the top: transformers.
    Down,
    /// Where the margin is even: torchvision, and so open_clip.
    HalfToEven,
}

/// The size before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resize {
    ShortestSide(usize),
    Exactly { width: usize, height: usize },
}

/// `preprocessor_config.json`, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Profile {
    size: Option<Size>,
    crop_size: Option<Size>,
    resample: Option<u8>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
}

/// Old files give a number, newer ones an object.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(usize),
    ShortestEdge { shortest_edge: usize },
    Both { height: usize, width: usize },
}

/// `preprocess_cfg` of `open_clip_config.json`, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OpenClipProfile {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    interpolation: Option<String>,
    resize_mode: Option<String>,
}

impl Preprocessing {
    /// OpenAI's preprocessing for a vision tower that sees `size x size` pixels.
    #[must_use]
    pub fn openai(size: usize) -> Self {
        Self::new(Resize::ShortestSide(size), size, Rounding::Down, MEAN, STD)
    }

    /// Reads `preprocessor_config.json` for a vision tower that sees `image_size x image_size` pixels.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`]; [`EncoderError::ConfigValue`] if the filter is unknown or
    /// the crop is not what the tower sees.
    pub(super) fn from_file(path: &Path, image_size: usize) -> Result<Self, EncoderError> {
        let profile: Profile = config::read_json(path)?;
        let unusable =
            |field, got, expected| EncoderError::config_value(path, field, got, expected);
        let filter = profile.filter(path)?;
        let crop = match profile.crop_size {
            None => image_size,
            Some(Size::Number(side)) => side,
            Some(Size::ShortestEdge { shortest_edge }) => shortest_edge,
            Some(Size::Both { height, width }) if height == width => height,
            Some(Size::Both { height, width }) => {
                return Err(unusable(
                    "crop_size",
                    format!("{height}x{width}"),
                    "a square",
                ));
            }
        };
        if crop != image_size {
            return Err(unusable(
                "crop_size",
                crop.to_string(),
                "the image_size of config.json",
            ));
        }
        let resize = match profile.size {
            None => Resize::ShortestSide(crop),
            Some(Size::Number(side)) => Resize::ShortestSide(side),
            Some(Size::ShortestEdge { shortest_edge }) => Resize::ShortestSide(shortest_edge),
            Some(Size::Both { height, width }) => Resize::Exactly { width, height },
        };
        let is_square =
            matches!(resize, Resize::Exactly { width, height } if (width, height) == (crop, crop));
        if profile.do_center_crop == Some(false) && !is_square {
            return Err(unusable(
                "do_center_crop",
                "false".into(),
                "true, or a size of height and width that the tower sees",
            ));
        }
        if matches!(
            resize,
            Resize::ShortestSide(0)
                | Resize::Exactly { width: 0, .. }
                | Resize::Exactly { height: 0, .. }
        ) {
            return Err(unusable("size", "0".into(), "at least 1"));
        }
        let (mean, std) = (profile.image_mean, profile.image_std);
        let preprocessing = Self::normalising(resize, crop, Rounding::Down, mean, std)
            .map_err(|got| unusable("image_std", got, POSITIVE))?;
        Ok(Preprocessing {
            filter,
            ..preprocessing
        })
    }

    /// SigLIP's preprocessing for a vision tower that sees `image_size x image_size` pixels, by the file
    /// `preprocessor_config.json` if there is one.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file); [`EncoderError::ConfigValue`] also if the size is not what the tower sees.
    pub(super) fn siglip(path: Option<&Path>, image_size: usize) -> Result<Self, EncoderError> {
        let exactly = Resize::Exactly {
            width: image_size,
            height: image_size,
        };
        let Some(path) = path else {
            return Ok(Self::new(exactly, image_size, Rounding::Down, HALF, HALF));
        };
        let profile: Profile = config::read_json(path)?;
        let unusable =
            |field, got, expected| EncoderError::config_value(path, field, got, expected);
        match profile.size.unwrap_or(SIGLIP_SIZE) {
            Size::Both { height, width } if height == image_size && width == image_size => {}
            size => {
                let got = format!("{size:?}");
                let expected = "the image_size of config.json as both height and width";
                return Err(unusable("size", got, expected));
            }
        }
        let filter = profile.filter(path)?;
        let mean = profile.image_mean.or(Some(HALF));
        let std = profile.image_std.or(Some(HALF));
        let preprocessing = Self::normalising(exactly, image_size, Rounding::Down, mean, std)
            .map_err(|got| unusable("image_std", got, POSITIVE))?;
        Ok(Preprocessing {
            filter,
            ..preprocessing
        })
    }

    /// What `open_clip_config.json` at `path` says of a vision tower that sees `image_size x image_size` pixels.
    ///
    /// # Errors
    /// [`EncoderError::ConfigValue`] if the filter is not bicubic or the way to resize is not known.
    pub(super) fn from_open_clip(
        profile: &OpenClipProfile,
        path: &Path,
        image_size: usize,
    ) -> Result<Self, EncoderError> {
        let unusable =
            |field, got: &str, expected| EncoderError::config_value(path, field, got, expected);
        match profile.interpolation.as_deref() {
            None | Some("bicubic") => {}
            Some(filter) => return Err(unusable("interpolation", filter, "bicubic")),
        }
        let resize = match profile.resize_mode.as_deref() {
            None | Some("shortest") => Resize::ShortestSide(image_size),
            Some("squash") => Resize::Exactly {
                width: image_size,
                height: image_size,
            },
            Some(mode) => return Err(unusable("resize_mode", mode, "shortest or squash")),
        };
        Self::normalising(
            resize,
            image_size,
            Rounding::HalfToEven,
            profile.mean,
            profile.std,
        )
        .map_err(|got| unusable("std", &got, POSITIVE))
    }

    /// With OpenAI's numbers where none are given; the error is a standard deviation that cannot be divided by.
    fn normalising(
        resize: Resize,
        crop: usize,
        rounding: Rounding,
        mean: Option<[f32; 3]>,
        std: Option<[f32; 3]>,
    ) -> Result<Self, String> {
        let std = std.unwrap_or(STD);
        if std.iter().any(|&value| value.is_nan() || value <= 0.0) {
            return Err(format!("{std:?}"));
        }
        Ok(Self::new(resize, crop, rounding, mean.unwrap_or(MEAN), std))
    }

    fn new(resize: Resize, crop: usize, rounding: Rounding, mean: [f32; 3], std: [f32; 3]) -> Self {
        let mut normalised = Box::new([[0.0; 256]; 3]);
        for (channel, table) in normalised.iter_mut().enumerate() {
            for (byte, value) in (0_u8..=255).zip(table) {
                *value = ((f64::from(byte) / 255.0) as f32 - mean[channel]) / std[channel];
            }
        }
        Preprocessing {
            resize,
            filter: Filter::Bicubic,
            crop,
            rounding,
            normalised,
        }
    }

    /// Side of the square that the vision tower sees, in pixels.
    #[must_use]
    pub fn image_size(&self) -> usize {
        self.crop
    }

    /// Scales and crops: a square of [`image_size`](Self::image_size) pixels, black where the picture does not reach.
    ///
    /// A picture that has been prepared comes back as it is.
    #[must_use]
    pub fn prepare(&self, picture: &Picture) -> Picture {
        if self.is_prepared(picture) {
            return picture.clone();
        }
        let (width, height) = self.scaled_size(picture.width(), picture.height());
        let span = |scaled| Span::new(scaled, self.crop, self.rounding);
        let (across, down) = (span(width), span(height));
        let window = Window {
            left: across.from,
            top: down.from,
            width: across.length,
            height: down.length,
        };
        let part = resize(picture, width, height, window, self.filter);
        if across.length == self.crop && down.length == self.crop {
            return part.prepared();
        }
        let mut canvas = vec![0; 3 * self.crop * self.crop];
        let rows = canvas.chunks_exact_mut(3 * self.crop).skip(down.to);
        for (row, source) in rows.zip(part.rgb().chunks_exact(3 * part.width())) {
            row[3 * across.to..][..source.len()].copy_from_slice(source);
        }
        Picture::from_trusted(self.crop, self.crop, canvas).prepared()
    }

    /// Whether [`prepare`](Self::prepare) has nothing to do.
    fn is_prepared(&self, picture: &Picture) -> bool {
        picture.is_prepared() && (picture.width(), picture.height()) == (self.crop, self.crop)
    }

    /// The normalised pixels of pictures, prepared or not: `(n_pictures, 3, image_size, image_size)`.
    pub(super) fn pixels(
        &self,
        pictures: &[Picture],
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let side = self.crop;
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            return self.pixels_on_device(pictures, device);
        }
        let mut pixels = vec![0.0; pictures.len() * 3 * side * side];
        pixels
            .par_chunks_mut(3 * side * side)
            .zip(pictures)
            .for_each(|(out, picture)| {
                if self.is_prepared(picture) {
                    self.normalise(picture, out);
                } else {
                    self.normalise(&self.prepare(picture), out);
                }
            });
        Tensor::from_vec(pixels, (pictures.len(), 3, side, side), device)
    }

    /// The same on CUDA, which gets the bytes and normalises them itself: a fourth of the way.
    #[cfg(feature = "cuda")]
    fn pixels_on_device(
        &self,
        pictures: &[Picture],
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let side = self.crop;
        let mut bytes = vec![0; pictures.len() * 3 * side * side];
        bytes
            .par_chunks_mut(3 * side * side)
            .zip(pictures)
            .for_each(|(out, picture)| match self.is_prepared(picture) {
                true => out.copy_from_slice(picture.rgb()),
                false => out.copy_from_slice(self.prepare(picture).rgb()),
            });
        let bytes = Tensor::from_vec(bytes, (pictures.len(), side, side, 3), device)?;
        let table = Tensor::from_slice(self.normalised.as_flattened(), (3, 256), device)?;
        super::cuda::normalise(&bytes, &table)
    }

    /// The normalised pixels of a prepared picture, `(3, image_size, image_size)`, written to `out`.
    fn normalise(&self, prepared: &Picture, out: &mut [f32]) {
        let area = prepared.width() * prepared.height();
        for ((plane, table), channel) in out
            .chunks_exact_mut(area)
            .zip(self.normalised.iter())
            .zip(0..)
        {
            let bytes = prepared.rgb().iter().skip(channel).step_by(3);
            for (value, &byte) in plane.iter_mut().zip(bytes) {
                *value = table[usize::from(byte)];
            }
        }
    }

    /// Size after scaling; the longer side is rounded down, as in torchvision and transformers.
    fn scaled_size(&self, width: usize, height: usize) -> (usize, usize) {
        match self.resize {
            Resize::Exactly { width, height } => (width, height),
            Resize::ShortestSide(side) if width <= height => (side, side * height / width),
            Resize::ShortestSide(side) => (side * width / height, side),
        }
    }
}

impl Profile {
    /// The filter that `resample` names by Pillow's number; a step that is switched off is refused.
    fn filter(&self, path: &Path) -> Result<Filter, EncoderError> {
        let unusable =
            |field, got: String, expected| EncoderError::config_value(path, field, got, expected);
        for (field, is_done) in [
            ("do_resize", self.do_resize),
            ("do_rescale", self.do_rescale),
            ("do_normalize", self.do_normalize),
        ] {
            if is_done == Some(false) {
                return Err(unusable(field, "false".into(), "true"));
            }
        }
        if let Some(factor) = self.rescale_factor
            && (factor * 255.0 - 1.0).abs() > 1e-6
        {
            return Err(unusable("rescale_factor", factor.to_string(), "1/255"));
        }
        match self.resample {
            Some(2) => Ok(Filter::Bilinear),
            None | Some(3) => Ok(Filter::Bicubic),
            Some(other) => {
                let expected = "2 (bilinear) or 3 (bicubic)";
                Err(unusable("resample", other.to_string(), expected))
            }
        }
    }
}

/// What of one axis goes where: the `center_crop` of transformers and of torchvision.
struct Span {
    /// First position taken from the scaled picture.
    from: usize,
    /// First position on the canvas.
    to: usize,
    length: usize,
}

impl Span {
    fn new(scaled: usize, crop: usize, rounding: Rounding) -> Self {
        if scaled >= crop {
            let margin = (scaled - crop) / 2;
            let up =
                rounding == Rounding::HalfToEven && (scaled - crop) % 2 == 1 && margin % 2 == 1;
            Span {
                from: margin + usize::from(up),
                to: 0,
                length: crop,
            }
        } else {
            Span {
                from: 0,
                to: (crop - scaled).div_ceil(2),
                length: scaled,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: &str, image_size: usize) -> Result<Preprocessing, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("preprocessor_config.json");
        std::fs::write(&path, json).unwrap();
        Preprocessing::from_file(&path, image_size).map_err(|error| error.to_string())
    }

    #[test]
    fn old_and_new_files_say_the_same() {
        let openai = Preprocessing::openai(224);
        for json in [
            "{}",
            r#"{"size": 224, "crop_size": 224, "resample": 3}"#,
            r#"{"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}"#,
        ] {
            assert_eq!(profile(json, 224).unwrap(), openai);
        }
    }

    #[test]
    fn rejects_what_the_tower_cannot_see() {
        let other_size = profile(r#"{"crop_size": 336}"#, 224).unwrap_err();
        assert!(other_size.ends_with("crop_size is 336, expected the image_size of config.json"));
        let lanczos = profile(r#"{"resample": 1}"#, 224).unwrap_err();
        assert!(lanczos.ends_with("resample is 1, expected 2 (bilinear) or 3 (bicubic)"));
        let uncropped = profile(r#"{"do_center_crop": false}"#, 224).unwrap_err();
        assert!(uncropped.contains("do_center_crop is false"), "{uncropped}");
        let raw = profile(r#"{"do_normalize": false}"#, 224).unwrap_err();
        assert!(
            raw.ends_with("do_normalize is false, expected true"),
            "{raw}"
        );
        let flat = profile(r#"{"image_std": [1, 0, 1]}"#, 224).unwrap_err();
        assert!(flat.contains("image_std is [1.0, 0.0, 1.0], expected positive numbers"));
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        let openai = Preprocessing::openai(224);
        assert_eq!(openai.scaled_size(640, 427), (335, 224));
        assert_eq!(openai.scaled_size(427, 640), (224, 335));
        assert_eq!(openai.scaled_size(1, 1000), (224, 224_000));
    }

    #[test]
    fn an_odd_margin_is_rounded_as_in_the_program_the_model_comes_from() {
        let from = |scaled, rounding| Span::new(scaled, 224, rounding).from;
        // Python: round(73.5) is 74, round(74.5) is 74.
        assert_eq!(from(371, Rounding::Down), 73);
        assert_eq!(from(371, Rounding::HalfToEven), 74);
        assert_eq!(from(373, Rounding::HalfToEven), 74);
        assert_eq!(from(374, Rounding::HalfToEven), 75);
    }

    #[test]
    fn a_small_picture_is_centred_on_black() {
        let json = r#"{"size": {"height": 2, "width": 1}, "crop_size": 4}"#;
        let small = Picture::from_rgb(1, 2, vec![9; 6]).unwrap();
        let prepared = profile(json, 4).unwrap().prepare(&small);
        let lit: Vec<usize> = (0..16).filter(|i| prepared.rgb()[3 * i] == 9).collect();
        assert_eq!(lit, [6, 10]);
    }

    #[test]
    fn preparing_twice_changes_nothing() {
        let picture = Picture::from_rgb(11, 9, (0..=255).cycle().take(297).collect()).unwrap();
        for json in [
            "{}",
            r#"{"size": 9}"#,
            r#"{"size": {"height": 3, "width": 5}}"#,
        ] {
            let preprocessing = profile(json, 8).unwrap();
            let once = preprocessing.prepare(&picture);
            assert_eq!(preprocessing.prepare(&once), once, "{json}");
        }
    }
}
