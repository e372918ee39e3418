//! Image files to RGB bytes, as Pillow's `convert("RGB")` would give them.
//!
//! Transparency is laid over white, as transformers 5 does. Palettes are looked up, grey is repeated, CMYK is converted, animations give
//! their first picture, and 16 bits lose the lower 8 (Pillow does so for colours, but turns 16-bit grey above 255 into
//! white, which nobody wants). JPEG, PNG, GIF, BMP and TIFF give Pillow's bytes; lossy WebP may differ from Pillow by a few
//! levels in a byte, because the decoders round differently.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Pixel,
};

use super::{EncoderError, jpeg};
use crate::contained::contained;

/// Pixels that an image may have unless the caller allows more: as Pillow, whose limit is 2 * 89 478 485.
pub const DEFAULT_MAX_PIXELS: u64 = 178_956_970;

/// Bytes that a decoder may allocate for each pixel: 16 bits for each of 4 channels, twice.
const BYTES_PER_PIXEL: u64 = 16;

/// Bytes that it may allocate beside, for profiles and the like.
const BYTES_BESIDE_PIXELS: u64 = 64 << 20;

/// Pixels of pictures that are decoded one at a time.
const LARGE: u64 = 32 << 20;
static TURN: Mutex<()> = Mutex::new(());

/// How images are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Images with more pixels are refused before their pixels are decoded. Default: [`DEFAULT_MAX_PIXELS`].
    pub max_pixels: u64,
    /// Whether to turn the image as its EXIF data say. Default: no, as Pillow and the models' authors did.
    pub apply_orientation: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions {
            max_pixels: DEFAULT_MAX_PIXELS,
            apply_orientation: false,
        }
    }
}

/// Bytes that an image file may have: pictures of as many pixels as are allowed by default take less.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Where an image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSource<'a> {
    /// A file.
    Path(&'a Path),
    /// A file that is read only if it lies in a folder: one that data name, not the user.
    Within {
        /// The folder.
        folder: &'a Path,
        /// The file.
        path: &'a Path,
    },
    /// The bytes of a file.
    Bytes(&'a [u8]),
}

impl<'a> ImageSource<'a> {
    /// Reads and decodes the image.
    ///
    /// # Errors
    /// See [`Picture::open`] and [`Picture::decode`].
    pub fn read(&self, options: &DecodeOptions) -> Result<Picture, EncoderError> {
        self.decode(&self.bytes()?, options)
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> Result<Cow<'a, [u8]>, EncoderError> {
        let path = match self {
            ImageSource::Bytes(bytes) => return Ok(Cow::Borrowed(bytes)),
            ImageSource::Path(path) => path,
            ImageSource::Within { path, .. } => path,
        };
        let shown = path.to_string_lossy();
        if is_url(&shown) && !path.exists() {
            return Err(EncoderError::Url { url: shown.into() });
        }
        let path = match self {
            ImageSource::Within { folder, .. } => {
                let outside = || EncoderError::OutsideFolder {
                    path: path.into(),
                    folder: (*folder).into(),
                };
                within(path, folder).ok_or_else(outside)?
            }
            _ => path.to_path_buf(),
        };
        let path = path.as_path();
        let unreadable = |cause: io::Error| EncoderError::Unreadable {
            path: path.into(),
            // Columns of names hold UTF-8, with this character in the place of all else.
            cause: match cause.kind() {
                ErrorKind::NotFound if shown.contains(char::REPLACEMENT_CHARACTER) => {
                    io::Error::other("its name is not UTF-8; rename it")
                }
                _ => cause,
            },
        };
        // Looked at before it is opened: a pipe would be waited for.
        let kind = fs::metadata(path).map_err(unreadable)?;
        if kind.is_dir() {
            return Err(self.in_file(EncoderError::ImageIsFolder));
        }
        if !kind.is_file() || kind.len() > MAX_FILE_BYTES {
            return Err(self.in_file(EncoderError::NotAnImage));
        }
        let mut bytes = Vec::with_capacity(kind.len() as usize);
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Ok(Cow::Owned(bytes))
    }

    /// Decodes the bytes of this file.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        options: &DecodeOptions,
    ) -> Result<Picture, EncoderError> {
        Picture::decode(bytes, options).map_err(|cause| self.in_file(cause))
    }

    /// The error, and which file it is about.
    fn in_file(&self, cause: EncoderError) -> EncoderError {
        match self {
            ImageSource::Bytes(_) => cause,
            ImageSource::Path(path) | ImageSource::Within { path, .. } => EncoderError::InFile {
                path: path.into(),
                cause: Box::new(cause),
            },
        }
    }
}

/// Whether a text begins as a URL does: a scheme, then `://` (RFC 3986, section 3.1). One letter is a drive of Windows.
pub(crate) fn is_url(text: &str) -> bool {
    let is_of_a_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    text.split_once("://").is_some_and(|(scheme, _)| {
        let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        starts_well && scheme.len() > 1 && scheme.chars().all(is_of_a_scheme)
    })
}

/// The path of a file without ways back, if it leads into a folder; links in the folder are those of its owner.
fn within(path: &Path, folder: &Path) -> Option<PathBuf> {
    let direct = |path: &Path| {
        let mut direct = PathBuf::new();
        for part in std::path::absolute(path).ok()?.components() {
            match part {
                Component::ParentDir => drop(direct.pop()),
                part => direct.push(part),
            }
        }
        Some(direct)
    };
    // The working directory is written as an empty path too.
    let folder = match folder.as_os_str().is_empty() {
        true => direct(Path::new("."))?,
        false => direct(folder)?,
    };
    direct(path).filter(|path| path.starts_with(folder))
}

/// Whether a path leads into a folder.
pub(crate) fn lies_in(path: &Path, folder: &Path) -> bool {
    within(path, folder).is_some()
}

/// A decoded image: 8-bit RGB, row by row from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    /// Whether it has been scaled and cropped for an encoder.
    is_prepared: bool,
}

impl Picture {
    /// A picture from its bytes: `height` rows of `width` pixels of red, green, blue.
    ///
    /// # Errors
    /// [`EncoderError::PictureLength`] if there is no pixel or `rgb` has not `3 * width * height` bytes.
    ///
    /// # Example
    /// ```
    /// use vmfmix::encoder::Picture;
    ///
    /// let red = Picture::from_rgb(2, 1, vec![255, 0, 0, 255, 0, 0])?;
    /// assert_eq!((red.width(), red.height()), (2, 1));
    /// assert!(Picture::from_rgb(2, 2, vec![0; 5]).is_err());
    /// # Ok::<(), vmfmix::encoder::EncoderError>(())
    /// ```
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, EncoderError> {
        let expected = width.saturating_mul(height).saturating_mul(3);
        if expected == 0 || rgb.len() != expected {
            return Err(EncoderError::PictureLength {
                width,
                height,
                expected,
                got: rgb.len(),
            });
        }
        Ok(Picture {
            width,
            height,
            rgb,
            is_prepared: false,
        })
    }

    /// Reads and decodes an image file.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`] if the file cannot be read, [`EncoderError::Url`] if `path` is none, otherwise
    /// [`EncoderError::InFile`] around what [`Picture::decode`] says, or around [`EncoderError::ImageIsFolder`].
    pub fn open(path: &Path, options: &DecodeOptions) -> Result<Self, EncoderError> {
        ImageSource::Path(path).read(options)
    }

    /// Decodes the bytes of an image file.
    ///
    /// # Errors
    /// [`EncoderError::EmptyImage`], [`EncoderError::NotAnImage`], [`EncoderError::TruncatedImage`],
    /// [`EncoderError::ImageTooLarge`] or [`EncoderError::DamagedImage`].
    pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Self, EncoderError> {
        if bytes.is_empty() {
            return Err(EncoderError::EmptyImage);
        }
        let format = image::guess_format(bytes).map_err(|_| EncoderError::NotAnImage)?;
        let image = match format {
            ImageFormat::Jpeg => jpeg::decode(bytes, options)?,
            format => {
                let decoded = contained(|| decode(bytes, format, options));
                decoded.map_err(|cause| EncoderError::DamagedImage {
                    cause: cause.into(),
                })??
            }
        };
        let (width, height) = (image.width() as usize, image.height() as usize);
        Picture::from_rgb(width, height, rgb_of(image))
    }

    /// A picture whose length is known to fit.
    pub(super) fn from_trusted(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len(), 3 * width * height);
        Picture {
            width,
            height,
            rgb,
            is_prepared: false,
        }
    }

    /// The same picture, marked as scaled and cropped for an encoder.
    pub(super) fn prepared(mut self) -> Self {
        self.is_prepared = true;
        self
    }

    /// Whether it has been scaled and cropped for an encoder.
    pub(super) fn is_prepared(&self) -> bool {
        self.is_prepared
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, `3 * width * height` of them: red, green, blue, row by row.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }
}

fn decode(
    bytes: &[u8],
    format: ImageFormat,
    options: &DecodeOptions,
) -> Result<DynamicImage, EncoderError> {
    let reader = || {
        let mut limits = Limits::default();
        limits.max_alloc = Some(BYTES_BESIDE_PIXELS);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits.clone());
        (reader, limits)
    };
    let (width, height) = reader().0.into_dimensions().map_err(decoding_error)?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > options.max_pixels {
        return Err(EncoderError::ImageTooLarge {
            width,
            height,
            limit: options.max_pixels,
        });
    }
    let (mut reader, mut limits) = reader();
    limits.max_alloc = Some(BYTES_BESIDE_PIXELS + pixels * BYTES_PER_PIXEL);
    reader.limits(limits);
    // Large pictures one after the other, however many threads decode: their memory is that of one.
    let _turn = (pixels > LARGE).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    let mut decoder = reader.into_decoder().map_err(decoding_error)?;
    let orientation = decoder.orientation();
    let mut image = DynamicImage::from_decoder(decoder).map_err(decoding_error)?;
    if options.apply_orientation
        && let Ok(orientation) = orientation
    {
        image.apply_orientation(orientation);
    }
    Ok(image)
}

/// 16-bit channels keep their upper byte (`image` would round); transparency is laid over white.
fn rgb_of(image: DynamicImage) -> Vec<u8> {
    let upper = |v: u16| (v >> 8) as u8;
    let image = match image {
        DynamicImage::ImageLuma16(grey) => DynamicImage::ImageLuma8(narrowed(&grey, upper)),
        DynamicImage::ImageLumaA16(grey) => DynamicImage::ImageLumaA8(narrowed(&grey, upper)),
        DynamicImage::ImageRgb16(rgb) => DynamicImage::ImageRgb8(narrowed(&rgb, upper)),
        DynamicImage::ImageRgba16(rgba) => DynamicImage::ImageRgba8(narrowed(&rgba, upper)),
        other => other,
    };
    if !image.color().has_alpha() {
        return image.into_rgb8().into_raw();
    }
    let rgba = image.into_rgba8().into_raw();
    rgba.chunks_exact(4)
        .flat_map(|p| [0, 1, 2].map(|c| over_white(p[c], p[3])))
        .collect()
}

/// The same pixels with channels of eight bits.
fn narrowed<P, Q>(
    image: &ImageBuffer<P, Vec<u16>>,
    upper: impl Fn(u16) -> u8,
) -> ImageBuffer<Q, Vec<u8>>
where
    P: Pixel<Subpixel = u16>,
    Q: Pixel<Subpixel = u8>,
{
    let channels = image.as_raw().iter().map(|&v| upper(v)).collect();
    ImageBuffer::from_raw(image.width(), image.height(), channels)
        .expect("as many channels as before")
}

/// A channel blended with white, in Pillow's fixed point (`AlphaComposite.c`, 7 bits) for an opaque background.
fn over_white(channel: u8, alpha: u8) -> u8 {
    let (channel, alpha) = (u32::from(channel), u32::from(alpha));
    let blend = (channel * alpha + 255 * (255 - alpha) + 128) << 7;
    ((((blend >> 8) + blend) >> 8) >> 7) as u8
}

fn decoding_error(error: ImageError) -> EncoderError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.kind() == ErrorKind::UnexpectedEof
        {
            return EncoderError::TruncatedImage;
        }
        cause = inner.source();
    }
    match error {
        ImageError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            EncoderError::TruncatedImage
        }
        other => EncoderError::DamagedImage {
            cause: Box::new(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};
    use libjpeg_turbo_rs::{PixelFormat, Subsampling};

    use super::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(40, 30, |x, y| {
            Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8])
        });
        if format == ImageFormat::Jpeg {
            let jpeg = libjpeg_turbo_rs::compress(
                picture.as_raw(),
                40,
                30,
                PixelFormat::Rgb,
                85,
                Subsampling::S420,
            );
            return jpeg.unwrap();
        }
        let mut bytes = Vec::new();
        picture
            .write_to(&mut Cursor::new(&mut bytes), format)
            .unwrap();
        bytes
    }

    fn message(bytes: &[u8]) -> String {
        let error = Picture::decode(bytes, &DecodeOptions::default()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn decodes_each_format() {
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Gif,
            ImageFormat::WebP,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
        ] {
            let picture = Picture::decode(&encoded(format), &DecodeOptions::default()).unwrap();
            assert_eq!((picture.width(), picture.height()), (40, 30), "{format:?}");
            assert_eq!(picture.rgb().len(), 3600);
        }
    }

    #[test]
    fn rejects_half_of_each_format() {
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
        ] {
            let bytes = encoded(format);
            let half = &bytes[..bytes.len() / 2];
            assert!(
                Picture::decode(half, &DecodeOptions::default()).is_err(),
                "{format:?}"
            );
        }
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let bytes = encoded(format);
            for cut in [bytes.len() / 2, bytes.len() * 3 / 4] {
                assert!(
                    message(&bytes[..cut]).starts_with("the image is truncated"),
                    "{format:?}"
                );
            }
        }
    }

    #[test]
    fn rejects_an_empty_image() {
        assert!(message(&[]).starts_with("the image is empty (0 bytes)"));
    }

    #[test]
    fn rejects_what_is_no_image() {
        assert!(message(b"hello, world").starts_with("these bytes are no image"));
    }

    #[test]
    fn rejects_a_damaged_image() {
        let mut bytes = encoded(ImageFormat::Png);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        assert!(
            message(&bytes).starts_with("the image cannot be decoded"),
            "{}",
            message(&bytes)
        );
    }

    #[test]
    fn rejects_more_pixels_than_allowed() {
        let options = DecodeOptions {
            max_pixels: 1000,
            ..DecodeOptions::default()
        };
        let error = Picture::decode(&encoded(ImageFormat::Png), &options).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the image has 40x30 pixels, more than the limit of 1000"),
            "{error}"
        );
    }

    #[test]
    fn rejects_a_folder_and_a_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = Picture::open(folder.path(), &DecodeOptions::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("this is a folder, not an image; give the images inside it one by one")
        );
        let missing = folder.path().join("missing.png");
        let error = Picture::open(&missing, &DecodeOptions::default()).unwrap_err();
        assert!(
            error.to_string().contains("missing.png could not be read"),
            "{error}"
        );
    }

    #[test]
    fn knows_a_url_from_a_path() {
        for url in ["http://a/b.png", "https://a", "s3://bucket/key", "a+b://x"] {
            assert!(is_url(url), "{url}");
            let error = Picture::open(url.as_ref(), &DecodeOptions::default()).unwrap_err();
            let expected = format!("`{url}` is a URL; download it first");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        for path in [
            "a/b.png",
            "/a://b",
            "C:\\a.png",
            "C://a.png",
            "://a",
            "a b://c",
            "1a://b",
        ] {
            assert!(!is_url(path), "{path}");
        }
    }

    #[test]
    fn sixteen_bits_keep_their_upper_byte() {
        let grey = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![0x12FF, 0xFFFF]);
        assert_eq!(
            rgb_of(grey.unwrap().into()),
            [0x12, 0x12, 0x12, 0xFF, 0xFF, 0xFF]
        );
    }

    #[test]
    fn transparency_is_laid_over_white() {
        let pixels = vec![9, 8, 7, 0, 9, 8, 7, 255, 0, 100, 255, 128];
        let image = image::RgbaImage::from_raw(3, 1, pixels).unwrap();
        // Pillow 13: Image.alpha_composite(white, image).convert("RGB")
        assert_eq!(
            rgb_of(image.into()),
            [255, 255, 255, 9, 8, 7, 127, 177, 255]
        );
    }
}
