//! Refusals of gRPC calls: a client of gRPC reads `grpc-status`, and little else
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, Version};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::problem::{Answer, Refusal};

const GRPC: &[u8] = b"application/grpc";
/// Space to tilde go as they are, but for the percent sign; what is outside ASCII is always encoded.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a gRPC call: by its content type, and by HTTP/2, without which there is none.
pub(crate) fn is_call(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_2 && is_grpc(&request.headers)
}

/// Whether a message is of gRPC; gRPC-Web is not.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some((kind, rest)) = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().split_at_checked(GRPC.len())) else {
        return false;
    };
    kind.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The status code of gRPC for a refusal.
pub(crate) const fn code(refusal: &Refusal) -> u8 {
    match refusal.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::EXPECTATION_FAILED => 3, // INVALID_ARGUMENT
        StatusCode::UNAUTHORIZED => 16,                                                                   // UNAUTHENTICATED
        StatusCode::FORBIDDEN => 7,                                                                       // PERMISSION_DENIED
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => 12,       // UNIMPLEMENTED
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => 8, // RESOURCE_EXHAUSTED
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => 4, // DEADLINE_EXCEEDED
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => 14, // UNAVAILABLE
        _ => 13,                                                        // INTERNAL
    }
}

/// Makes an answer one that clients of gRPC understand: 200, and all else in what is head and trailers in one.
pub(crate) fn answer(refusal: &Refusal, answer: Answer) -> Answer {
    let detail = refusal.detail();
    let message = percent_encode(detail.as_bytes(), ENCODED).to_string();
    let mut headers =
        vec![(CONTENT_TYPE, HeaderValue::from_static("application/grpc")), (STATUS, HeaderValue::from(u16::from(code(refusal))))];
    headers.extend(HeaderValue::try_from(message).ok().map(|message| (MESSAGE, message)));
    headers.extend(answer.headers.into_iter().filter(|(name, _)| *name != CONTENT_TYPE));
    Answer { status: StatusCode::OK, headers, body: Vec::new() }
}

/// Trailers that end a call whose answer has begun.
pub(crate) fn trailers(refusal: &Refusal) -> HeaderMap {
    let answer = answer(refusal, Answer { status: refusal.status(), headers: Vec::new(), body: Vec::new() });
    answer.headers.into_iter().filter(|(name, _)| *name != CONTENT_TYPE).collect()
}

/// Whether a call's answer has begun, and can be ended by trailers.
pub(crate) fn has_begun(request: &RequestHeader, response: Option<&ResponseHeader>) -> bool {
    is_call(request) && response.is_some_and(|response| is_grpc(&response.headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Context;

    fn call(version: Version, kind: &str) -> bool {
        let mut request = RequestHeader::build("POST", b"/", None).unwrap();
        request.set_version(version);
        request.insert_header(CONTENT_TYPE, kind).unwrap();
        is_call(&request)
    }

    #[test]
    fn calls_are_told_by_content_type_and_version() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"] {
            assert!(call(Version::HTTP_2, kind), "{kind}");
            assert!(!call(Version::HTTP_11, kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/grpcx", ""] {
            assert!(!call(Version::HTTP_2, kind), "{kind}");
        }
    }

    #[test]
    fn every_status_has_its_code() {
        for (refusal, expected) in [
            (Refusal::InvalidRequest(""), 3),
            (Refusal::InvalidToken(""), 16),
            (Refusal::Forbidden(""), 7),
            (Refusal::NoRoute, 12),
            (Refusal::HeadersTooLarge, 8),
            (Refusal::GatewayTimeout, 4),
            (Refusal::BadGateway, 14),
        ] {
            assert_eq!(code(&refusal), expected, "{refusal:?}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_challenge_and_becomes_a_status_of_grpc() {
        let refusal = Refusal::InvalidToken("Zw\u{f6}lf % of it.");
        let context = Context { realm: "r", api_key_header: "X-API-Key", request_id: "id" };
        let answer = answer(&refusal, refusal.answer(&context));
        let all: HeaderMap = answer.headers.into_iter().collect();
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        assert_eq!(
            (&all["grpc-status"], &all["grpc-message"]),
            (&HeaderValue::from(16), &HeaderValue::from_static("Zw%C3%B6lf %25 of it."))
        );
        assert_eq!(all["content-type"], "application/grpc");
        assert!(all["www-authenticate"].as_bytes().starts_with(b"Bearer realm=\"r\", error=\"invalid_token\""));
    }
}
