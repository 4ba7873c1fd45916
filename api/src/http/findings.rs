//! What is wrong with a request, field by field, as it is being read.

use std::fmt::{Display, Write};

use application::error::FieldError;
use domain::invalid::Invalid;

/// How many faults are told; a body of a megabyte can have a million.
const MOST: usize = 100;

/// How many bytes of a pointer are told; keys are the caller's and may be long.
const LONGEST_POINTER: usize = 300;

/// Collects every fault of a request with the place where it is.
#[derive(Debug, Default)]
pub struct Findings {
    pointer: String,
    errors: Vec<FieldError>,
}

impl Findings {
    /// Findings that go on from `errors`.
    pub fn starting_with(errors: Vec<FieldError>) -> Self {
        Self { pointer: String::new(), errors }
    }

    /// Reads what is at `segment` (a key or an index) of the present place.
    pub fn within<T>(&mut self, segment: impl Display, read: impl FnOnce(&mut Self) -> T) -> T {
        let outside = self.pointer.len();
        // RFC 6901, section 3: `~` and `/` inside a segment are escaped.
        let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
        let _ = write!(self.pointer, "/{segment}");
        let value = read(self);
        self.pointer.truncate(outside);
        value
    }

    /// Reads the query parameter `name`.
    pub fn within_parameter<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outside = std::mem::replace(&mut self.pointer, format!("?{name}"));
        let value = read(self);
        self.pointer = outside;
        value
    }

    /// Notes that the present place breaks a rule. Only the first fault of a place counts.
    pub fn add(&mut self, invalid: Invalid) {
        let mut pointer = self.pointer.clone();
        if pointer.len() > LONGEST_POINTER {
            pointer.truncate(pointer.floor_char_boundary(LONGEST_POINTER));
            pointer.push('…');
        }
        if self.errors.len() < MOST && !self.errors.iter().any(|error| error.pointer == pointer) {
            self.errors.push(FieldError { pointer, invalid });
        }
    }

    /// The value, or what is wrong with it noted at the present place.
    pub fn keep<T>(&mut self, value: Result<T, Invalid>) -> Option<T> {
        value.map_err(|invalid| self.add(invalid)).ok()
    }

    /// Every fault so far.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// The value if nothing is wrong, else every fault.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self.errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_follow_rfc_6901() {
        let mut findings = Findings::default();
        findings.within("a/b~c", |findings| {
            findings.within(3, |findings| findings.add(Invalid::new("x", "y")));
        });
        findings.add(Invalid::new("x", "y"));
        findings.within_parameter("limit", |findings| findings.add(Invalid::new("x", "y")));
        let pointers: Vec<_> = findings.into_errors().into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/a~1b~0c/3", "", "?limit"]);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut findings = Findings::default();
        for index in 0..1_000 {
            findings.within(index, |findings| findings.add(Invalid::new("x", "y")));
        }
        assert_eq!(findings.into_errors().len(), MOST);
        let mut findings = Findings::default();
        findings.within("é".repeat(10_000), |findings| findings.add(Invalid::new("x", "y")));
        assert!(findings.into_errors()[0].pointer.len() < LONGEST_POINTER + 8);
    }
}
