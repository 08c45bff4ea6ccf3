//! The query of a request target, taken apart.

/// The decoded pairs of a query, in the order in which they were sent.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// The value of the first pair of that name.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Percent-decoded, with `+` as a blank; a stray `%` stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2).and_then(hex_byte)).flatten();
        bytes.push(escaped.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_in_order() {
        let pairs = pairs("resource=https%3A%2F%2Fmonitor.azure.com&q=a+b%20c&flag&broken=%zz%4");
        assert_eq!(value(&pairs, "resource"), Some("https://monitor.azure.com"));
        assert_eq!(value(&pairs, "q"), Some("a b c"));
        assert_eq!(value(&pairs, "flag"), Some(""));
        assert_eq!(value(&pairs, "broken"), Some("%zz%4"));
        assert_eq!(value(&pairs, "absent"), None);
    }
}
