//! Parses parameters like the backend's web framework: decoding, nesting, and the inputs that it rejects.

use percent_encoding::percent_decode_str;

/// The maximum number of parameters in a query string or a body.
const MOST_PARAMETERS: usize = 4096;
/// The maximum number of bytes in a report's body.
const MOST_BYTES: usize = 4_194_304;
/// The nesting depth of brackets at which a name is rejected.
const DEPTH: usize = 32;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Param {
    /// A name without `=`.
    Nil,
    Text(String),
    List(Vec<Param>),
    Map(Map),
}

/// Names with their values, in the order of their first occurrence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map(Vec<(String, Param)>);

/// The reason for which parameters are rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A `%` that is not followed by two hexadecimal digits.
    Encoding,
    /// Bytes that are not UTF-8.
    Utf8,
    /// A name that is used both as text and as a collection, or that is nested too deeply.
    Syntax,
    TooMany(usize),
    TooLong,
}

impl Map {
    pub(crate) fn get(&self, name: &str) -> Option<&Param> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// The value if it is text and not blank.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.any_text(name).filter(|text| !text.trim().is_empty())
    }

    /// The value if it is text, blank or not.
    pub(crate) fn any_text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Param::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn put(&mut self, name: &str, value: Param) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, place)) => *place = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn entry(&mut self, name: &str, default: impl FnOnce() -> Param) -> &mut Param {
        let at = match self.0.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None => {
                self.0.push((name.to_owned(), default()));
                self.0.len() - 1
            }
        };
        let place = &mut self.0[at].1;
        // The framework treats a name without a value as not yet set.
        if *place == Param::Nil {
            *place = Param::Map(Self::default());
        }
        place
    }

    /// Inserts a decoded name at its place, following the framework's algorithm.
    fn insert(&mut self, name: &str, value: Param, depth: usize) -> Result<(), Refusal> {
        if depth >= DEPTH {
            return Err(Refusal::Syntax);
        }
        let (key, after) = if depth == 0 {
            match name.char_indices().skip(1).find(|(_, c)| *c == '[') {
                Some((start, _)) => name.split_at(start),
                None => (name, ""),
            }
        } else {
            match name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some(split) => split,
                None => (name, ""),
            }
        };
        if key.is_empty() {
            return Ok(());
        }
        if after.is_empty() || after == "[" {
            self.put(key, value);
            return Ok(());
        }
        if let Some(child) = after.strip_prefix("[]") {
            let place = self.entry(key, || Param::List(Vec::new()));
            let Param::List(list) = place else {
                return Err(Refusal::Syntax);
            };
            if child.is_empty() {
                list.push(value);
            } else {
                // Whether the value joins the last element or starts a new one makes no difference, because every call
                // rejects lists.
                let mut map = Self::default();
                map.insert(child, value, depth + 1)?;
                list.push(Param::Map(map));
            }
            return Ok(());
        }
        match self.entry(key, || Param::Map(Self::default())) {
            Param::Map(map) => map.insert(after, value, depth + 1),
            _ => Err(Refusal::Syntax),
        }
    }
}

/// Parses a query string or a form body into `map`, in addition to its existing parameters.
pub(crate) fn read(text: &[u8], map: &mut Map) -> Result<(), Refusal> {
    if text.len() > MOST_BYTES {
        return Err(Refusal::TooLong);
    }
    // Empty parts count too, although they are no parameters.
    let count = text.split(|byte| *byte == b'&').count();
    if count > MOST_PARAMETERS {
        return Err(Refusal::TooMany(count));
    }
    let parts = text.split(|byte| *byte == b'&').enumerate();
    // The separator takes the spaces after it with it.
    let parts = parts.map(|(at, part)| match at {
        0 => part,
        _ => without_spaces_before(part),
    });
    // An encoding error takes precedence over invalid UTF-8, regardless of their positions.
    let mut decoded = Vec::with_capacity(count);
    for part in parts.filter(|part| !part.is_empty()) {
        let part = std::str::from_utf8(part).map_err(|_| Refusal::Utf8)?;
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        let value = value.map(decode).transpose()?;
        decoded.push((decode(name)?, value));
    }
    for (name, value) in decoded {
        let utf8 = |bytes| String::from_utf8(bytes).map_err(|_| Refusal::Utf8);
        let value = match value {
            Some(value) => Param::Text(utf8(value)?),
            None => Param::Nil,
        };
        map.insert(&utf8(name)?, value, 0)?;
    }
    Ok(())
}

fn without_spaces_before(part: &[u8]) -> &[u8] {
    let spaces = part.iter().take_while(|byte| **byte == b' ').count();
    &part[spaces..]
}

/// Decodes `+` as a space and `%XX` as a byte.
fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.as_bytes().get(..2).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Refusal::Encoding);
        }
        rest = after;
    }
    Ok(percent_decode_str(&text.replace('+', " ")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Result<Map, Refusal> {
        let mut map = Map::default();
        read(text.as_bytes(), &mut map).map(|()| map)
    }

    #[test]
    fn the_last_value_wins_and_only_an_ampersand_separates() {
        let read = map("usage[hits]=1&usage%5Bhits%5D=5;x=%2B+").expect("parameters");
        let Some(Param::Map(usage)) = read.get("usage") else {
            panic!("{read:?}")
        };
        assert_eq!(usage.any_text("hits"), Some("5;x=+ "));
        assert_eq!(read.text("x"), None);
        let spaces = map("a=1&  b=2").expect("parameters");
        assert_eq!(spaces.text("b"), Some("2"));
    }

    #[test]
    fn lists_are_no_maps_and_no_text() {
        assert!(matches!(
            map("usage[]=1").expect("a list").get("usage"),
            Some(Param::List(_))
        ));
        assert_eq!(map("usage[]=1&usage[hits]=1"), Err(Refusal::Syntax));
        assert_eq!(map("usage=1&usage[hits]=1"), Err(Refusal::Syntax));
        let array = map("transactions[][user_key]=x").expect("a list");
        assert!(matches!(array.get("transactions"), Some(Param::List(_))));
        assert_eq!(map("user_key[]=x").expect("a list").text("user_key"), None);
    }

    #[test]
    fn refusals() {
        for bad in ["a=%", "a=%Z", "a=%ZZ", "%4=1", "b=1&a=%f"] {
            assert_eq!(map(bad), Err(Refusal::Encoding), "{bad}");
        }
        assert_eq!(map("a=%FF%FE"), Err(Refusal::Utf8));
        let deep = |levels: usize| map(&format!("a{}=1", "[b]".repeat(levels)));
        assert!(deep(31).is_ok());
        assert_eq!(deep(32), Err(Refusal::Syntax));
        let many = |n: usize| map(&vec!["a=1"; n].join("&"));
        assert!(many(4096).is_ok());
        assert_eq!(many(4097), Err(Refusal::TooMany(4097)));
        let empty = |n: usize| map(&format!("a=1{}", "&".repeat(n)));
        assert!(empty(4095).is_ok());
        assert_eq!(empty(4096), Err(Refusal::TooMany(4097)));
    }
}
