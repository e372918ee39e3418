//! Polars in, Polars out: columns, embeddings, files.
