//! Small pictures that travel inside the page.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, RgbImage};
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use crate::encoder::{self, DecodeOptions};

/// Longest side of a thumbnail in pixels.
pub const THUMBNAIL_SIDE: u32 = 96;
const JPEG_QUALITY: u8 = 80;

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// An image file.
    Path(PathBuf),
    /// The bytes of such a file.
    Bytes(Vec<u8>),
}

impl Picture {
    /// The picture as a JPEG of at most [`THUMBNAIL_SIDE`] pixels a side, turned upright and laid on
    /// white, as a `data:` address; `None` if it cannot be read, since a report can do without it.
    pub fn thumbnail(&self) -> Option<String> {
        let options = DecodeOptions {
            apply_orientation: true,
            ..DecodeOptions::default()
        };
        let picture = match self {
            Self::Path(path) => encoder::Picture::open(path, &options),
            Self::Bytes(bytes) => encoder::Picture::decode(bytes, &options),
        };
        encode(picture.ok()?)
    }
}

fn encode(picture: encoder::Picture) -> Option<String> {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let mut image = DynamicImage::from(RgbImage::from_raw(width, height, picture.into_rgb())?);
    if width.max(height) > THUMBNAIL_SIDE {
        image = image.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let rgb = image.into_rgb8();
    let jpeg = compress(
        &rgb,
        width,
        height,
        PixelFormat::Rgb,
        JPEG_QUALITY,
        Subsampling::S420,
    );
    Some(format!(
        "data:image/jpeg;base64,{}",
        STANDARD.encode(jpeg.ok()?)
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::RgbaImage;

    use super::*;

    #[test]
    fn a_wide_transparent_picture_becomes_a_small_jpeg_on_white() {
        let mut png = Cursor::new(Vec::new());
        RgbaImage::new(400, 100)
            .write_to(&mut png, image::ImageFormat::Png)
            .unwrap();
        let uri = Picture::Bytes(png.into_inner()).thumbnail().unwrap();
        let jpeg = STANDARD
            .decode(uri.strip_prefix("data:image/jpeg;base64,").unwrap())
            .unwrap();
        let shown = encoder::Picture::decode(&jpeg, &DecodeOptions::default()).unwrap();
        assert_eq!((shown.width(), shown.height()), (96, 24));
        assert!(shown.rgb().iter().all(|&value| value > 250));
    }

    #[test]
    fn what_is_no_picture_has_no_thumbnail() {
        assert_eq!(Picture::Bytes(b"<svg/>".to_vec()).thumbnail(), None);
        assert_eq!(Picture::Path("/no/such/file.png".into()).thumbnail(), None);
    }
}
