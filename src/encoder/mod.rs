//! CLIP encoders on candle: texts and images in, unit vectors out.
