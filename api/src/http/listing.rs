//! What a caller asks of a list: filters, a page of it, and how fresh it must be.

use domain::invalid::Invalid;
use projections::page::{Page, PageRequest};
use utoipa::openapi::{
    ObjectBuilder, RefOr, Type,
    path::{Parameter, ParameterIn},
    schema::Schema,
};

use super::{
    answer::{List, ListMeta},
    cursor::{CursorKey, Scope},
    findings::Findings,
    from_text::FromText,
    min_position::MinPosition,
    query::{FromQuery, Parameters, parameter},
};

/// A page of a list, as `Query<Listing<InvitationFilter, InvitationId>>` reads it from `limit`, `cursor`,
/// `min_position` and the parameters of the filter (`()`: the list has none).
#[derive(Debug)]
pub struct Listing<F, K> {
    /// Which items.
    pub filter: F,
    /// The key of the last item that the caller has seen; `None`: from the start.
    pub after: Option<K>,
    /// How many items at most.
    pub limit: u32,
    /// The position that the list must have seen.
    pub min_position: u64,
    scope: Scope,
}

impl<F, K: CursorKey + Copy> Listing<F, K> {
    /// What is asked of the read model.
    pub fn page(&self) -> PageRequest<K> {
        PageRequest { after: self.after, limit: self.limit }
    }

    /// What the read model gave, as the answer.
    pub fn answer<T>(&self, page: Page<T, K>) -> List<T> {
        self.list(page.items, page.next, page.position)
    }

    /// The answer: `next` is the key of the last of `items` if there are more, `position` what the list has seen.
    pub fn list<T>(&self, items: Vec<T>, next: Option<K>, position: u64) -> List<T> {
        let next_cursor = next.map(|key| self.scope.cursor(&key));
        List::new(items, ListMeta { has_more: next_cursor.is_some(), next_cursor }, position)
    }
}

/// How many items a page has at most.
#[derive(Clone, Copy, Debug)]
pub struct Limit(pub u32);

impl Limit {
    const DEFAULT: u32 = 50;
    const MOST: u32 = 500;
}

impl Default for Limit {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

impl FromText for Limit {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        match u32::from_text(text) {
            Ok(limit @ 1..=Self::MOST) => Ok(Self(limit)),
            Err(invalid) if invalid.code == "wrong_type" => Err(invalid),
            _ => Err(Invalid::new("out_of_range", format!("must be between 1 and {}", Self::MOST))),
        }
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1_u32))
            .maximum(Some(Self::MOST))
            .default(Some(Self::DEFAULT.into()))
            .into()
    }
}

impl<F: FromQuery, K: CursorKey> FromQuery for Listing<F, K> {
    const NAMES: &'static [&'static str] = F::NAMES;

    fn from_query(given: &Parameters, findings: &mut Findings) -> Option<Self> {
        let scope = Scope::of(given, F::NAMES);
        let filter = F::from_query(given, findings);
        let limit = given.read::<Option<Limit>>("limit", findings);
        let cursor = given.read::<Option<String>>("cursor", findings);
        let min_position = MinPosition::from_query(given, findings);
        let after = cursor.and_then(|cursor| match cursor.map(|cursor| scope.key(&cursor)) {
            None => Some(None),
            Some(Some(key)) => Some(Some(key)),
            Some(None) => {
                let invalid =
                    Invalid::new("invalid_cursor", "is not a cursor of this list with these filters");
                findings.within_parameter("cursor", |findings| findings.add(invalid));
                None
            }
        });
        Some(Self {
            filter: filter?,
            after: after?,
            limit: limit?.unwrap_or_default().0,
            min_position: min_position?.0,
            scope,
        })
    }

    fn parameters() -> Vec<Parameter> {
        let mut parameters = F::parameters();
        parameters.push(parameter::<Option<Limit>>("limit", "How many items at most."));
        let cursor = "Where to go on: `next_cursor` of the page before, with the same filters.";
        parameters.push(parameter::<Option<String>>("cursor", cursor));
        parameters.extend(MinPosition::parameters());
        parameters
    }
}

impl<F: FromQuery, K: CursorKey> utoipa::IntoParams for Listing<F, K> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Self::parameters()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{FromRequest, test::TestRequest};
    use domain::{ids::InvitationId, permission::Role};

    use super::*;
    use crate::http::query::{Query, query};

    query! {
        struct Filter {
            role: Option<Role>,
        }
    }

    type Asked = Listing<Filter, InvitationId>;

    fn ask(uri: &str) -> Result<Asked, String> {
        let request = TestRequest::with_uri(uri).to_http_request();
        Query::<Asked>::extract(&request).into_inner().map(|query| query.0).map_err(|problem| {
            let body: serde_json::Value = serde_json::from_slice(&problem.body(None)).unwrap();
            body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|error| {
                    format!("{}={} ", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())
                })
                .collect()
        })
    }

    #[test]
    fn a_page_leads_to_the_next_one() {
        let first = ask("/a?role=owner").unwrap();
        assert_eq!((first.limit, first.after, first.min_position), (50, None, 0));
        assert_eq!(first.filter.role, Some(Role::Owner));
        let last = InvitationId::random();
        let cursor = first.list(vec![1], Some(last), 7).meta.next_cursor.unwrap();
        let second = ask(&format!("/a?limit=500&min_position=7&role=owner&cursor={cursor}")).unwrap();
        assert_eq!((second.limit, second.after, second.min_position), (500, Some(last), 7));
        assert!(!second.list(vec![1], None, 7).meta.has_more);
        for other in ["/a?cursor=", "/b?role=owner&cursor=", "/a?role=admin&cursor="] {
            assert_eq!(ask(&format!("{other}{cursor}")).unwrap_err(), "?cursor=invalid_cursor ");
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        assert_eq!(
            ask("/a?role=king&limit=501&cursor=x&min_position=-1").unwrap_err(),
            "?role=unknown_value ?limit=out_of_range ?min_position=out_of_range ?cursor=invalid_cursor "
        );
        for (limit, code) in [
            ("0", "out_of_range"),
            ("99999999999", "out_of_range"),
            ("ten", "wrong_type"),
            ("", "wrong_type"),
        ] {
            assert_eq!(ask(&format!("/a?limit={limit}")).unwrap_err(), format!("?limit={code} "));
        }
        assert_eq!(ask("/a?cursor=").unwrap_err(), "?cursor=invalid_cursor ");
    }
}
