//! The short texts that people give things: e-mail addresses, names, slugs.
//!
//! What comes from outside is parsed ([`FromStr`]). Deserializing trusts its source: that is how a stored event is read
//! back, in which a person's text may also be sealed, or erased ([`crate::personal`]).

use std::{fmt, str::FromStr};

use crate::invalid::Invalid;

macro_rules! text {
    ($($(#[$doc:meta])* $text:ident: $parse:path;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $text(String);

        impl $text {
            /// The text as it is stored and compared.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $text {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                $parse(text).map(Self)
            }
        }

        impl From<$text> for String {
            fn from(text: $text) -> String {
                text.0
            }
        }

        impl fmt::Display for $text {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    )*};
}

text! {
    /// An e-mail address (RFC 5321 mailbox), trimmed and in lower case, at most 254 bytes.
    Email: parse_email;
    /// What people call a thing or themselves: 1 to 200 characters, trimmed, without control characters.
    Name: parse_name;
    /// A name for addresses: 2 to 63 characters of `a-z`, `0-9` and inner `-` (RFC 1123 label).
    Slug: parse_slug;
}

impl Slug {
    /// The slug that a name suggests, with `suffix` where the name has too little to offer or is taken.
    pub fn suggest(name: &Name, suffix: &str) -> Self {
        let words = name.as_str().to_lowercase();
        let words: Vec<&str> = words
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let mut slug: String = words.join("-").chars().take(50).collect();
        if slug.len() < 2 {
            slug = "tenant".to_owned();
        }
        if !suffix.is_empty() {
            slug = format!("{}-{suffix}", slug.trim_end_matches('-'));
        }
        Self(slug.trim_end_matches('-').to_owned())
    }
}

fn parse_email(text: &str) -> Result<String, Invalid> {
    let address = text.trim().to_lowercase();
    let options =
        email_address::Options::default().without_display_text().without_domain_literal().with_required_tld();
    let parsed = email_address::EmailAddress::parse_with_options(&address, options);
    // Quoted local parts may hold spaces and controls, which mail programs and people trip over.
    if parsed.is_err() || address.len() > 254 || address.contains(['"', ' ']) || has_control(&address) {
        return Err(Invalid::new("invalid_email", "is not an e-mail address"));
    }
    Ok(address)
}

fn parse_name(text: &str) -> Result<String, Invalid> {
    let name = text.trim();
    match name.chars().count() {
        0 => Err(Invalid::new("required", "must not be empty")),
        201.. => Err(Invalid::new("too_long", "must have at most 200 characters")),
        _ if has_control(name) => {
            Err(Invalid::new("control_character", "must not contain control characters"))
        }
        _ => Ok(name.to_owned()),
    }
}

fn parse_slug(text: &str) -> Result<String, Invalid> {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !(2..=63).contains(&text.len())
        || !text.chars().all(allowed)
        || text.starts_with('-')
        || text.ends_with('-')
    {
        return Err(Invalid::new(
            "invalid_slug",
            "must have 2 to 63 characters of a-z, 0-9 and inner hyphens",
        ));
    }
    Ok(text.to_owned())
}

/// PostgreSQL stores no NUL; other control characters forge log lines and mail headers; those that turn the direction of
/// writing make a name look like another.
fn has_control(text: &str) -> bool {
    let turns = |letter| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().any(|letter| letter.is_control() || turns(letter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_trimmed_and_folded() {
        assert_eq!(" Ada@Example.COM ".parse::<Email>().unwrap().as_str(), "ada@example.com");
        for wrong in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "ada@example",
            "a\0@example.com",
            "\"x y\"@e.com",
        ] {
            assert!(wrong.parse::<Email>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!("  Ada L. ".parse::<Name>().unwrap().as_str(), "Ada L.");
        assert_eq!("a\0b".parse::<Name>().unwrap_err().code, "control_character");
        assert_eq!(" ".parse::<Name>().unwrap_err().code, "required");
        assert_eq!("x".repeat(201).parse::<Name>().unwrap_err().code, "too_long");
    }

    proptest! {
        #[test]
        fn a_suggested_slug_is_a_slug(name in "\\PC{1,200}", suffix in "[a-z0-9]{0,6}") {
            if let Ok(name) = name.parse::<Name>() {
                let slug = Slug::suggest(&name, &suffix);
                prop_assert!(slug.as_str().parse::<Slug>().is_ok(), "{slug}");
            }
        }
    }
}
