//! What is behind an embedding.

use std::path::PathBuf;

use super::thumbnail::Picture;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modality {
    /// A text.
    Text,
    /// An image.
    Image,
    /// A vector made elsewhere, of which only a name is known.
    Vector,
}

/// One item behind an embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What a reader knows it by: a file name, or the text itself.
    pub name: String,
    /// Text or image.
    pub modality: Modality,
    /// Where its picture comes from; only the pictures a report shows are read.
    pub picture: Option<Picture>,
    /// A label known beforehand, to compare the components with.
    pub label: Option<String>,
}

impl Item {
    /// A text, known by itself.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            name: text.into(),
            modality: Modality::Text,
            picture: None,
            label: None,
        }
    }

    /// An image file, known by its file name.
    pub fn image(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self {
            name: name.to_string_lossy().into_owned(),
            modality: Modality::Image,
            picture: Some(Picture::Path(path)),
            label: None,
        }
    }

    /// An image whose file is in memory.
    pub fn image_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            modality: Modality::Image,
            picture: Some(Picture::Bytes(bytes)),
            label: None,
        }
    }

    /// A vector made elsewhere, known by a name.
    pub fn vector(name: impl Into<String>) -> Self {
        Self {
            modality: Modality::Vector,
            ..Self::text(name)
        }
    }

    /// The same item with a label.
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}
