//! Counts with their nouns.

/// `1 run`, `2 runs`, `2 policies`, `2 ways`, `2 processes`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
    let consonant_before_y = noun.strip_suffix('y').filter(|stem| !stem.ends_with(VOWELS));
    match consonant_before_y {
        _ if count == 1 => format!("1 {noun}"),
        Some(stem) => format!("{count} {stem}ies"),
        None if noun.ends_with('s') => format!("{count} {noun}es"),
        None => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_has_the_plural_of_its_ending() {
        let cases = [
            (1, "policy", "1 policy"),
            (0, "run", "0 runs"),
            (2, "policy", "2 policies"),
            (21, "way", "21 ways"),
            (2, "process", "2 processes"),
            (2, "binary", "2 binaries"),
        ];
        for (count, noun, text) in cases {
            assert_eq!(counted(count, noun), text);
        }
    }
}
