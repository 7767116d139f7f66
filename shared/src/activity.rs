//! How the activity log treats names: an id that looks personal is masked. Pure.

/// Masks a name that looks like a person's e-mail address or telephone number, or that
/// holds spaces as full names do; leaves ids alone.
pub fn mask(name: &str) -> String {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let phone = digits >= 7
        && name
            .chars()
            .all(|c| c.is_ascii_digit() || "+-.()/ ".contains(c));
    if name.contains('@') || name.contains(char::is_whitespace) || phone {
        let first = name.chars().next().unwrap_or('…');
        return format!("{first}…");
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn what_looks_personal_is_masked_and_ids_are_not() {
        assert_eq!(mask("ada@example.com"), "a…");
        assert_eq!(mask("+49 151 234567"), "+…");
        assert_eq!(mask("Ada Lovelace"), "A…");
        assert_eq!(mask("key_0192"), "key_0192");
        assert_eq!(mask("mem_7"), "mem_7");
    }
}
