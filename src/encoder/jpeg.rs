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
