//! Suggests corrections for mistyped words.

/// The candidate most similar to a mistyped word, if one is similar enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &plain(candidate)),
                candidate,
            )
        })
        // Up to a third of the word may differ; more than that is a different word.
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let keys = ["cidr", "zones", "nat", "node_type"];
        assert_eq!(nearest("zoness", keys), Some("zones"));
        assert_eq!(nearest("Node-Type", keys), Some("node_type"));
        assert_eq!(nearest("nodetype", keys), Some("node_type"));
        assert_eq!(nearest("cdir", keys), Some("cidr"));
        assert_eq!(nearest("replicas", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
