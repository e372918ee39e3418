//! Small pictures that travel inside the page.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageReader, Rgba, RgbaImage};

/// Longest side of a thumbnail in pixels.
pub const THUMBNAIL_SIDE: u32 = 96;
const JPEG_QUALITY: u8 = 80;

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// A file in a format the `image` crate reads.
    Path(PathBuf),
    /// The bytes of such a file.
    Bytes(Vec<u8>),
}

impl Picture {
    /// The picture as a JPEG of at most [`THUMBNAIL_SIDE`] pixels a side, turned upright and laid on
    /// white, as a `data:` address; `None` if it cannot be read, since a report can do without it.
    pub fn thumbnail(&self) -> Option<String> {
        match self {
            Self::Path(path) => encode(BufReader::new(File::open(path).ok()?)),
            Self::Bytes(bytes) => encode(Cursor::new(bytes)),
        }
    }
}

fn encode(source: impl BufRead + Seek) -> Option<String> {
    let mut decoder = ImageReader::new(source)
        .with_guessed_format()
        .ok()?
        .into_decoder()
        .ok()?;
    let orientation = decoder.orientation().ok()?;
    let image = DynamicImage::from_decoder(decoder).ok()?;
    let mut image = match image.width().max(image.height()) > THUMBNAIL_SIDE {
        true => image.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE),
        false => image,
    };
    image.apply_orientation(orientation);
    let mut ground =
        RgbaImage::from_pixel(image.width(), image.height(), Rgba([255, 255, 255, 255]));
    image::imageops::overlay(&mut ground, &image.to_rgba8(), 0, 0);
    let mut jpeg = Vec::new();
    DynamicImage::from(ground)
        .to_rgb8()
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY))
        .ok()?;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

#[cfg(test)]
mod tests {
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
        let shown = image::load_from_memory(&jpeg).unwrap().to_rgb8();
        assert_eq!(shown.dimensions(), (96, 24));
        assert!(shown.get_pixel(50, 12).0.iter().all(|&value| value > 250));
    }

    #[test]
    fn what_is_no_picture_has_no_thumbnail() {
        assert_eq!(Picture::Bytes(b"<svg/>".to_vec()).thumbnail(), None);
        assert_eq!(Picture::Path("/no/such/file.png".into()).thumbnail(), None);
    }
}
