//! JPEG files to RGB bytes: those of libjpeg-turbo, and so of Pillow.

use std::panic::catch_unwind;

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};

use super::{DecodeOptions, EncoderError};

/// Decodes a JPEG file, turned if the options ask for it.
///
/// # Errors
/// [`EncoderError::TruncatedImage`], [`EncoderError::ImageTooLarge`], [`EncoderError::DamagedImage`].
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DynamicImage, EncoderError> {
    if !is_complete(bytes) {
        return Err(EncoderError::TruncatedImage);
    }
    // A damaged file that the decoder panics on costs that file, not the run.
    let decoded = catch_unwind(|| decode_whole(bytes, options));
    decoded.unwrap_or_else(|_| {
        Err(EncoderError::DamagedImage {
            cause: "the decoder gave up".into(),
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

/// Whether the file's segments lead to an end-of-image marker (ITU-T T.81, annex B).
///
/// A decoder may fill what is missing with grey and report nothing.
fn is_complete(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    const START_OF_SCAN: u8 = 0xDA;
    let mut at = 2;
    loop {
        // Fill bytes, and the entropy-coded data behind a scan's header, in which 0xFF is followed by 0 or a restart marker.
        while at + 1 < bytes.len()
            && (bytes[at] != 0xFF || matches!(bytes[at + 1], 0x00 | 0xD0..=0xD7 | 0xFF))
        {
            at += 1;
        }
        let Some(&marker) = bytes.get(at + 1) else {
            return false;
        };
        match marker {
            END_OF_IMAGE => return true,
            0x01 | 0xD8 => at += 2,
            _ => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
                if marker == START_OF_SCAN && at >= bytes.len() {
                    return false;
                }
            }
        }
    }
}

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
