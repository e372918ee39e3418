//! Small pictures of the items that are shown, each read once and kept once.

use std::collections::HashMap;

use rayon::prelude::*;

use super::Analysed;
use crate::progress::Progress;
use crate::report::summary::Summary;

/// Pictures read between two words on how far it is.
const STEP: usize = 64;

/// Reads the pictures of the items shown one by one, then of those on the maps, at most so many in all.
pub(crate) fn add_thumbnails(
    summary: &mut Summary,
    analysed: &Analysed<'_>,
    most: usize,
    progress: &dyn Progress,
) {
    let has_picture = |row: usize| {
        let item = analysed.items.get(row);
        item.is_some_and(|item| item.picture.is_some())
    };
    let mut wanted: Vec<usize> = summary.shown_items_mut().map(|item| item.row).collect();
    let mut on_map: Vec<usize> = match summary.maps.first() {
        Some(map) => map.items.iter().map(|&at| summary.items.rows[at]).collect(),
        None => summary.items.rows.clone(),
    };
    on_map.retain(|&row| has_picture(row));
    let step = on_map.len().div_ceil(most.max(1)).max(1);
    wanted.extend(on_map.into_iter().step_by(step));
    wanted.retain(|&row| has_picture(row));
    let mut places: HashMap<usize, Option<usize>> = HashMap::new();
    wanted.retain(|&row| places.insert(row, None).is_none());
    wanted.truncate(most);

    let mut known: HashMap<String, usize> = HashMap::new();
    for (step, rows) in wanted.chunks(STEP).enumerate() {
        let pictures: Vec<Option<String>> = rows
            .par_iter()
            .map(|&row| analysed.items[row].picture.as_ref()?.thumbnail())
            .collect();
        for (&row, picture) in rows.iter().zip(pictures) {
            let place = picture.map(|picture| {
                let next = known.len();
                *known.entry(picture).or_insert(next)
            });
            places.insert(row, place);
        }
        progress.update("thumbnails", step * STEP + rows.len(), wanted.len());
    }
    let place = |row: usize| places.get(&row).copied().flatten();
    for item in summary.shown_items_mut() {
        item.thumbnail = place(item.row);
    }
    let rows = summary.items.rows.iter();
    summary.items.thumbnails = rows.map(|&row| place(row)).collect();
    let mut thumbnails: Vec<(String, usize)> = known.into_iter().collect();
    thumbnails.sort_by_key(|&(_, place)| place);
    summary.thumbnails = thumbnails.into_iter().map(|(picture, _)| picture).collect();
}
