//! JPEG files to RGB bytes: those of libjpeg-turbo, and so of Pillow.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};

use super::{DecodeOptions, EncoderError};
use crate::contained::contained;

/// Decodes a JPEG file, turned if the options ask for it.
///
/// # Errors
/// [`EncoderError::TruncatedImage`], [`EncoderError::ImageTooLarge`], [`EncoderError::DamagedImage`].
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DynamicImage, EncoderError> {
    if !is_complete(bytes) {
        return Err(EncoderError::TruncatedImage);
    }
    if has_too_many_scans(bytes) {
        return Err(EncoderError::DamagedImage {
            cause: format!("it has more than {MAX_SCANS} scans").into(),
        });
    }
    let marked;
    let bytes = match is_rgb_by_name(bytes) {
        true => {
            marked = [&bytes[..2], ADOBE_RGB, &bytes[2..]].concat();
            &marked[..]
        }
        false => bytes,
    };
    // A damaged file that the decoder panics on costs that file, not the run.
    contained(|| decode_whole(bytes, options)).unwrap_or_else(|cause| {
        Err(EncoderError::DamagedImage {
            cause: cause.into(),
        })
    })
}

fn decode_whole(bytes: &[u8], options: &DecodeOptions) -> Result<DynamicImage, EncoderError> {
    let decoder = Decoder::new(bytes).map_err(decoding_error)?;
    let header = decoder.header();
    let (width, height) = (u32::from(header.width), u32::from(header.height));
    if u64::from(width) * u64::from(height) > options.max_pixels {
        return Err(EncoderError::ImageTooLarge {
            width,
            height,
            limit: options.max_pixels,
        });
    }
    let decoder = decoder.with_output_format(PixelFormat::Rgb);
    let decoded = decoder.decode_image().map_err(decoding_error)?;
    let orientation = decoded.exif_orientation();
    let (width, height) = (decoded.width as u32, decoded.height as u32);
    let mut image = RgbImage::from_raw(width, height, decoded.data)
        .map(DynamicImage::from)
        .ok_or(EncoderError::TruncatedImage)?;
    if options.apply_orientation
        && let Some(orientation) = orientation.and_then(Orientation::from_exif)
    {
        image.apply_orientation(orientation);
    }
    Ok(image)
}

fn decoding_error(error: JpegError) -> EncoderError {
    match error {
        JpegError::UnexpectedEof => EncoderError::TruncatedImage,
        other => EncoderError::DamagedImage {
            cause: Box::new(other),
        },
    }
}

/// Markers of ITU-T T.81, annex B, without their first byte 0xFF.
mod marker {
    pub(super) const END_OF_IMAGE: u8 = 0xD9;
    pub(super) const START_OF_SCAN: u8 = 0xDA;
    /// Application data, where JFIF says that it is JFIF.
    pub(super) const APP0: u8 = 0xE0;
    /// Application data, where Adobe says what the channels are.
    pub(super) const APP14: u8 = 0xEE;
}

/// The markers of a file and what belongs to them, up to the end of the image or of the file.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 2;
    std::iter::from_fn(move || {
        loop {
            // Fill bytes, and the entropy-coded data behind a scan's header, in which 0xFF is followed by 0 or a restart
            // marker.
            while at + 1 < bytes.len()
                && (bytes[at] != 0xFF || matches!(bytes[at + 1], 0x00 | 0xD0..=0xD7 | 0xFF))
            {
                at += 1;
            }
            let &found = bytes.get(at + 1)?;
            at += 2;
            match found {
                marker::END_OF_IMAGE => {
                    at = bytes.len();
                    return Some((found, &[][..]));
                }
                0x01 | 0xD8 => {}
                _ => {
                    let &[high, low] = bytes.get(at..at + 2)? else {
                        return None;
                    };
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    let content = bytes.get(at + 2..at + length)?;
                    at += length;
                    return Some((found, content));
                }
            }
        }
    })
}

/// Whether the file's segments lead to the end of the image. A decoder may fill what is missing with grey and report
/// nothing.
fn is_complete(bytes: &[u8]) -> bool {
    segments(bytes).last().map(|(found, _)| found) == Some(marker::END_OF_IMAGE)
}

/// Scans of a progressive picture: encoders make some ten, and each of a hostile file's thousands would pass over all pixels.
const MAX_SCANS: usize = 100;

fn has_too_many_scans(bytes: &[u8]) -> bool {
    let scans = segments(bytes).filter(|(found, _)| *found == marker::START_OF_SCAN);
    scans.count() > MAX_SCANS
}

/// Whether nothing but the letters R, G and B, by which the channels are called, says that they are no brightness and
/// colour: libjpeg takes that for granted, its port does not.
fn is_rgb_by_name(bytes: &[u8]) -> bool {
    for (found, content) in segments(bytes) {
        match found {
            marker::APP0 if content.starts_with(b"JFIF\0") => return false,
            marker::APP14 if content.starts_with(b"Adobe") => return false,
            // Frames: precision, height, width, then the number of channels and three bytes for each.
            0xC0..=0xC3 => {
                return content.get(5) == Some(&3)
                    && [6, 9, 12].map(|at| content.get(at))
                        == [Some(&b'R'), Some(&b'G'), Some(&b'B')];
            }
            marker::START_OF_SCAN => return false,
            _ => {}
        }
    }
    false
}

/// Adobe's way to say that channels are red, green and blue.
const ADOBE_RGB: &[u8] = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";

#[cfg(test)]
mod tests {
    use libjpeg_turbo_rs::{Subsampling, compress};

    use super::*;

    /// A picture of 40 x 30 whose left half is dark, and that is to be turned by 90 degrees to the right.
    fn turned() -> Vec<u8> {
        let rgb: Vec<u8> = (0..40 * 30)
            .flat_map(|i| [if i % 40 < 20 { 10 } else { 240 }; 3])
            .collect();
        let jpeg = compress(&rgb, 40, 30, PixelFormat::Rgb, 95, Subsampling::S444).unwrap();
        // A TIFF directory with one entry: tag 0x112, one short number, 6.
        let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        [&jpeg[..2], exif, &jpeg[2..]].concat()
    }

    #[test]
    fn a_picture_is_turned_only_where_asked() {
        let as_it_is = decode(&turned(), &DecodeOptions::default()).unwrap();
        assert_eq!((as_it_is.width(), as_it_is.height()), (40, 30));
        let options = DecodeOptions {
            apply_orientation: true,
            ..DecodeOptions::default()
        };
        let upright = decode(&turned(), &options).unwrap().into_rgb8();
        assert_eq!((upright.width(), upright.height()), (30, 40));
        assert!(upright.get_pixel(15, 5)[0] < 50 && upright.get_pixel(15, 35)[0] > 200);
    }

    #[test]
    fn channels_called_red_green_and_blue_are_that() {
        use libjpeg_turbo_rs::{ColorSpace, Encoder};

        let rgb = [200, 30, 90].repeat(64);
        let jpeg = Encoder::new(&rgb, 8, 8, PixelFormat::Rgb)
            .colorspace(ColorSpace::Rgb)
            .encode()
            .unwrap();
        let (found, _) = segments(&jpeg).next().unwrap();
        assert_eq!(found, marker::APP14);
        // Without Adobe's marker, and with the channels called by letters.
        let mut bare = [&jpeg[..2], &jpeg[2 + ADOBE_RGB.len()..]].concat();
        for (first, letter) in [(0xC0, 10), (0xDA, 5)] {
            let at = bare
                .windows(2)
                .position(|marker| marker == [0xFF, first])
                .unwrap();
            let step = if first == 0xC0 { 3 } else { 2 };
            for (i, name) in b"RGB".iter().enumerate() {
                bare[at + letter + step * i] = *name;
            }
        }
        for bytes in [jpeg, bare] {
            let image = decode(&bytes, &DecodeOptions::default())
                .unwrap()
                .into_rgb8();
            let pixel = image.get_pixel(3, 3).0;
            assert!(
                pixel
                    .iter()
                    .zip([200, 30, 90])
                    .all(|(a, b)| a.abs_diff(b) < 4),
                "{pixel:?}"
            );
        }
    }

    #[test]
    fn what_the_decoder_does_not_know_is_an_error() {
        let mut bytes = turned();
        let frame = bytes.windows(2).position(|marker| marker == [0xFF, 0xC0]);
        bytes[frame.unwrap() + 1] = 0xC7;
        let error = decode(&bytes, &DecodeOptions::default()).unwrap_err();
        assert!(
            matches!(error, EncoderError::DamagedImage { .. }),
            "{error}"
        );
    }
}
