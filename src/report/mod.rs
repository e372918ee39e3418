//! What a report shows, computed once, and its faces: HTML, JSON, PNG.
