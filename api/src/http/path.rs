//! Ids in the path.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The ids of a path, in its order: `Ids<TenantId>`, `Ids<(TenantId, InvitationId)>`.
///
/// A text that is no id gets the answer of an id that nothing has (404), so the shape of ids tells nothing.
#[derive(Debug)]
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Ids<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let ids = web::Path::<T>::from_request(request, payload).into_inner();
        ready(ids.map(|ids| Self(ids.into_inner())).map_err(|_| Problem::not_found()))
    }
}
