//! The outermost layer: every request gets its id, its span and its figures here, and every refusal, whoever made it,
//! becomes a problem that tells the id.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpMessage, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{CONTENT_ENCODING, HeaderMap},
    },
    middleware::Next,
};
use futures_util::FutureExt;
use tracing::Instrument;

use super::{
    metrics,
    problem::Problem,
    request_id::{self, RequestId},
    request_span::RequestSpan,
    security_headers,
};

/// Goes around everything: `App::wrap(from_fn(edge))`, last.
pub async fn edge<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let exchange = Exchange::begin(&request);
    request.extensions_mut().insert(exchange.id.clone());
    request.extensions_mut().insert(exchange.span.clone());
    // RFC 9110, section 9.3.2: HEAD is GET without the body, which actix-web's encoder leaves out.
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let outcome =
        AssertUnwindSafe(next.call(request)).catch_unwind().instrument(exchange.span.0.clone()).await;
    match outcome {
        Ok(Ok(response)) => Ok(exchange.end(response)),
        Ok(Err(error)) => Err(exchange.fail(error)),
        Err(panic) => Err(exchange.fail(Problem::internal(panic_message(panic.as_ref())).into())),
    }
}

/// One request and its answer.
struct Exchange {
    started: Instant,
    id: RequestId,
    span: RequestSpan,
    method: Method,
    path: String,
    route: String,
}

impl Exchange {
    fn begin(request: &ServiceRequest) -> Self {
        let id = RequestId::of(request.headers());
        let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
        Self {
            started: Instant::now(),
            span: RequestSpan::new(&id, request.method(), &route),
            id,
            method: request.method().clone(),
            path: request.path().to_owned(),
            route,
        }
    }

    fn end<B: MessageBody + 'static>(&self, response: ServiceResponse<B>) -> ServiceResponse<BoxBody> {
        let mut response = match self.problem_in(&response) {
            None => response.map_into_boxed_body(),
            Some((headers, body)) => response.map_body(|head, _| {
                // What was to be sent may have been compressed; this is not.
                head.headers.remove(CONTENT_ENCODING);
                for (name, value) in headers {
                    head.headers.insert(name, value);
                }
                BoxBody::new(body)
            }),
        };
        let status = response.status();
        self.finish(status, response.headers_mut());
        response
    }

    /// The headers and the body of the problem that the answer stands for, if it stands for one.
    fn problem_in<B: MessageBody>(&self, response: &ServiceResponse<B>) -> Option<(HeaderMap, Vec<u8>)> {
        let bare;
        let problem = match response.response().error() {
            Some(error) => match error.as_error::<Problem>() {
                Some(problem) => problem,
                None => {
                    bare = foreign(error, response.status());
                    &bare
                }
            },
            None if response.status().as_u16() >= 400 && is_empty(response.response().body().size()) => {
                bare = Problem::of_status(response.status());
                &bare
            }
            None => return None,
        };
        let mut headers = HeaderMap::new();
        problem.set_headers(&mut headers);
        self.span.0.in_scope(|| problem.log());
        Some((headers, problem.body(Some(self.id.as_str()))))
    }

    /// The answer to what no handler has answered: the request is gone, so the answer travels in the error.
    fn fail(&self, error: Error) -> Error {
        let status = error.as_response_error().status_code();
        let bare;
        let problem = match error.as_error::<Problem>() {
            Some(problem) => problem,
            None => {
                bare = foreign(&error, status);
                &bare
            }
        };
        self.span.0.in_scope(|| problem.log());
        let mut response = HttpResponse::new(status);
        problem.set_headers(response.headers_mut());
        self.finish(status, response.headers_mut());
        let response = response.set_body(BoxBody::new(problem.body(Some(self.id.as_str()))));
        InternalError::from_response(problem.to_string(), response).into()
    }

    fn finish(&self, status: StatusCode, headers: &mut HeaderMap) {
        headers.insert(request_id::HEADER, self.id.header());
        security_headers::set(&self.path, headers);
        let elapsed: Duration = self.started.elapsed();
        metrics::record(&self.method, &self.route, status, elapsed);
        self.span.finish(status, elapsed);
    }
}

/// What actix-web or a middleware refuses. Its text may repeat the request, so only its status is told.
fn foreign(error: &Error, status: StatusCode) -> Problem {
    if status.is_server_error() {
        Problem::internal_as(status, error.to_string())
    } else {
        Problem::of_status(status)
    }
}

fn is_empty(size: BodySize) -> bool {
    matches!(size, BodySize::None | BodySize::Sized(0))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
#[path = "edge_tests.rs"]
mod tests;
