//! What varies from run to run, replaced by names: times, ports, identifiers, hashes and places.

/// How many bytes of a text's begin are of one kind.
type Shape = fn(&str) -> Option<usize>;

/// Each kind of text that varies, told by its shape, and the name that a page shows for it. The order counts: a time holds
/// numbers, an address a port.
const SHAPES: [(Shape, &str); 8] = [
    (time, "<time>"),
    (date, "<date>"),
    (uuid, "<uuid>"),
    (rule, "<rule>"),
    (hash, "<sha256>"),
    (key, "<key>"),
    (base64, "<sha256>"),
    (directory, "<directory>"),
];

/// The text with placeholders. Words of the simulators are replaced by those of a real place.
pub(super) fn normalised(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let found = SHAPES.iter().find_map(|(shape, name)| shape(rest).map(|length| (length, name)));
        match found.filter(|_| !before.is_ascii_alphanumeric()) {
            Some((length, name)) => {
                told.push_str(name);
                rest = &rest[length..];
                before = '>';
            }
            None => {
                told.push(first);
                rest = &rest[first.len_utf8()..];
                before = first;
            }
        }
    }
    spans(&resolver(&addresses(&told)))
}

fn like(text: &str, shape: &str) -> Option<usize> {
    let fits = |(byte, shape): (u8, u8)| match shape {
        b'9' => byte.is_ascii_digit(),
        b'f' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        other => byte == other,
    };
    let long = text.len() >= shape.len();
    (long && text.bytes().zip(shape.bytes()).all(fits)).then_some(shape.len())
}

fn time(text: &str) -> Option<usize> {
    like(text, "9999-99-99T99:99:99.999Z").or_else(|| like(text, "99999999T999999"))
}

fn date(text: &str) -> Option<usize> {
    like(text, "9999-99-99")
}

fn uuid(text: &str) -> Option<usize> {
    like(text, "ffffffff-ffff-ffff-ffff-ffffffffffff")
}

fn rule(text: &str) -> Option<usize> {
    like(text, &format!("dcr-{}", "f".repeat(32)))
}

/// The SHA-256 of a certificate or of its key.
fn hash(text: &str) -> Option<usize> {
    like(text, &"f".repeat(64))
}

/// An `EventKey`.
fn key(text: &str) -> Option<usize> {
    like(text, &"f".repeat(32))
}

/// 32 bytes in base64.
fn base64(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || [b'+', b'/'].contains(b)).count();
    (digits == 43 && text[43..].starts_with('=')).then_some(44)
}

/// The directory of a checkpoint in a test.
fn directory(text: &str) -> Option<usize> {
    let begin = std::env::temp_dir().join(".tmp");
    let rest = text.strip_prefix(begin.to_str()?)?;
    Some(text.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).len())
}

/// Sockets of this machine, and the names that stand for the appliance and the storage account.
fn addresses(text: &str) -> String {
    let mut told = String::new();
    let mut parts = text.split("127.0.0.1");
    told.push_str(parts.next().unwrap_or_default());
    for part in parts {
        told.push_str("<address>");
        let port = part.strip_prefix(':').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        told.push_str(port.unwrap_or(part));
    }
    told.replace("http://<address>/devstoreaccount1", "https://<account>.blob.core.windows.net")
        .replace("[::1]", "<address>")
        .replace("darktrace.invalid", "darktrace.example.com")
}

/// What the system says of a name that it does not know, which depends on its network.
fn resolver(text: &str) -> String {
    let Some((before, after)) = text.split_once("failed to lookup address information: ") else {
        return text.to_owned();
    };
    let (_, after) = after.split_once(')').unwrap_or_default();
    format!("{before}failed to lookup address information: <reason>){after}")
}

/// How far clocks differ, a run lies behind and a certificate is good.
fn spans(text: &str) -> String {
    let mut told = text.to_owned();
    for (before, after) in [("lag ", " s"), (" is ", " s ahead of"), (" is ", " s behind")] {
        told = with_number(&told, before, after, "<seconds>");
    }
    for (before, after) in [(" is ", " min "), (": ", " min ")] {
        told = with_number(&told, before, after, "<minutes>");
    }
    told = with_number(&told, "<minutes> min ", " s ", "<seconds>");
    with_number(&told, "(", " days)", "<days>")
}

/// The digits between these two replaced, wherever they are.
fn with_number(text: &str, before: &str, after: &str, name: &str) -> String {
    let mut told = String::new();
    let mut parts = text.split(before);
    told.push_str(parts.next().unwrap_or_default());
    for part in parts {
        told.push_str(before);
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() < part.len() && rest.starts_with(after) {
            told.push_str(name);
            told.push_str(rest);
        } else {
            told.push_str(part);
        }
    }
    told
}

#[test]
fn what_varies_has_a_name_and_all_else_stays() {
    for (text, told) in [
        ("at 2026-01-02T03:04:05.678Z, lag 41 s", "at <time>, lag <seconds> s"),
        ("batch 4bd94334-1aae-4ab0-b8ed-2f36bfeee093: 403", "batch <uuid>: 403"),
        ("http://127.0.0.1:4711/a is 127.0.0.1", "http://<address>/a is <address>"),
        ("the clock is 40 min 1 s ahead of ours", "the clock is <minutes> min <seconds> s ahead of ours"),
        ("dcr-0123456789abcdef0123456789abcdef (404)", "<rule> (404)"),
        ("http://127.0.0.1:4711/devstoreaccount1/c", "https://<account>.blob.core.windows.net/c"),
        ("fetched 3, within 30 minutes", "fetched 3, within 30 minutes"),
    ] {
        assert_eq!(normalised(text), told);
    }
}
