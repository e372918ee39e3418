//! Safetensors files, read by position: a file that shrinks meanwhile is an error, not the end of the process as it would
//! be where the file is mapped into memory.

use std::fs::File;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use positioned_io::ReadAt;
use safetensors::tensor::Metadata;

use super::errors::Cause;

/// Bytes of the number before the header: the header's length.
const LENGTH_BYTES: u64 = 8;

/// Longest header; the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// An open file of tensors.
pub(super) struct Safetensors {
    file: File,
    header: Metadata,
    /// Where the tensors begin.
    data: u64,
}

impl Safetensors {
    /// Reads the header.
    ///
    /// # Errors
    /// The file cannot be read, or is not as long as its header says.
    pub(super) fn open(path: &Path) -> Result<Self, Cause> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut header_bytes = [0; LENGTH_BYTES as usize];
        file.read_exact_at(0, &mut header_bytes)?;
        let header_bytes = u64::from_le_bytes(header_bytes);
        if header_bytes > MAX_HEADER_BYTES.min(length - LENGTH_BYTES) {
            return Err(format!("its header would take {header_bytes} bytes").into());
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact_at(LENGTH_BYTES, &mut header)?;
        let header: Metadata = serde_json::from_slice(&header)?;
        let data = LENGTH_BYTES + header_bytes;
        let expected = data.saturating_add(header.data_len() as u64);
        if expected != length {
            return Err(format!("it has {length} bytes, and by its header {expected}").into());
        }
        Ok(Self { file, header, data })
    }

    /// The names of the tensors, in the order of their places.
    pub(super) fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// The tensor `name`, in the precision of the file.
    ///
    /// # Errors
    /// There is no such tensor, its numbers are of a type that is no model's, or the file has become shorter.
    pub(super) fn read(&self, name: &str) -> Result<Tensor, Cause> {
        let info = self.header.info(name).ok_or("it is not in the file")?;
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file
            .read_exact_at(self.data + start as u64, &mut bytes)?;
        let dtype = DType::try_from(info.dtype)?;
        Ok(Tensor::from_raw_buffer(
            &bytes,
            dtype,
            &info.shape,
            &Device::Cpu,
        )?)
    }
}
