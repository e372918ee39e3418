//! Words that tell the texts of a component from the others.
//!
//! Log-odds ratios with an informative prior, in standard deviations: Monroe, Colaresi & Quinn (2008), Fightin' words, Political
//! Analysis 16, equations 15 to 23, with the counts of all texts as the prior. A word counts once in a text.

use std::collections::{HashMap, HashSet};

use super::Analysed;
use crate::report::item::Modality;
use crate::report::summary::Term;

/// Words of a component.
const MOST: usize = 6;
/// Standard deviations from which on a word is distinctive.
const DISTINCTIVE: f64 = 1.96;
/// Characters of a text that are looked at.
const LONGEST: usize = 2_000;
/// Words that the prior weighs as much as, of one component.
const PRIOR_WORDS: f64 = 100.0;

/// For each component its most distinctive words, best first.
pub(super) fn distinctive_terms(analysed: &Analysed<'_>) -> Vec<Vec<Term>> {
    let k = analysed.model.n_components();
    let counts: Vec<HashMap<String, usize>> = analysed
        .members
        .iter()
        .map(|rows| word_counts(analysed, rows))
        .collect();
    let mut all: HashMap<&str, usize> = HashMap::new();
    for (word, count) in counts.iter().flatten() {
        *all.entry(word).or_insert(0) += count;
    }
    let n_all: usize = all.values().sum();
    if k == 1 || n_all == 0 {
        return vec![Vec::new(); k];
    }
    let terms = |own: &HashMap<String, usize>| {
        let n_own: usize = own.values().sum();
        let mut terms: Vec<Term> = own
            .iter()
            .map(|(word, &count)| Term {
                term: word.clone(),
                count,
                score: score([count, n_own], [all[word.as_str()], n_all]),
            })
            .filter(|term| term.score >= DISTINCTIVE)
            .collect();
        terms.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.term.cmp(&b.term)));
        terms.truncate(MOST);
        terms
    };
    counts.iter().map(terms).collect()
}

/// The log-odds ratio of a word between a component and the others, in standard deviations; each pair is of the word and of all
/// words.
fn score([own, n_own]: [usize; 2], [all, n_all]: [usize; 2]) -> f64 {
    let [own, n_own, all, n_all] = [own, n_own, all, n_all].map(|n| n as f64);
    let prior = PRIOR_WORDS * all / n_all;
    let odds = |count: f64, n: f64| (count + prior) / (n + PRIOR_WORDS - count - prior).max(prior);
    let difference = odds(own, n_own).ln() - odds(all - own, n_all - n_own).ln();
    let variance = 1.0 / (own + prior) + 1.0 / (all - own + prior);
    difference / variance.sqrt()
}

/// In how many of the texts among the rows each word is.
fn word_counts(analysed: &Analysed<'_>, rows: &[usize]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    let items = rows.iter().filter_map(|&row| analysed.items.get(row));
    for item in items.filter(|item| item.modality == Modality::Text) {
        for word in words(&item.name) {
            *counts.entry(word).or_insert(0) += 1;
        }
    }
    counts
}

/// The different words of a text, in lower case, without numbers and single letters.
fn words(text: &str) -> HashSet<String> {
    let text: String = text.chars().take(LONGEST).collect();
    text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .map(|word| word.trim_matches(['\'', '’']).to_lowercase())
        .filter(|word| word.chars().count() > 1 && word.chars().any(char::is_alphabetic))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_and_once_each() {
        let mut found: Vec<_> = words("A Dog's dog, 42 dogs — «Über» x2")
            .into_iter()
            .collect();
        found.sort();
        assert_eq!(found, ["dog", "dog's", "dogs", "x2", "über"]);
    }

    #[test]
    fn a_word_of_one_component_stands_out_and_one_of_all_does_not() {
        // 100 words of 1,000; "the" is in proportion, "cat" is only here.
        assert!(score([10, 100], [100, 1000]).abs() < 1e-9);
        assert!(score([10, 100], [10, 1000]) > 3.0);
        assert!(score([1, 100], [100, 1000]) < -1.0);
    }
}
