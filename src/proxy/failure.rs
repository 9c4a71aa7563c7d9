//! What went wrong with a request on its way, and whose doing it was.

use pingora_error::ErrorType::{
    ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, InvalidCert, InvalidHTTPHeader, ReadTimedout,
    TLSHandshakeFailure, TLSHandshakeTimedout, WriteTimedout,
};
use pingora_error::{Error, ErrorSource};

use super::context::Ctx;
use super::line::Line;
use crate::problem::Refusal;

/// Whether a server has said that it did nothing of a request, so that it may be sent again whatever its method (RFC 9113
/// §8.7): it refused the stream, or went away in peace before it.
pub(crate) fn is_untouched(error: &Error) -> bool {
    let Some(error) = error.root_cause().downcast_ref::<h2::Error>().filter(|error| error.is_remote()) else { return false };
    (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM))
        || (error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
}

/// What the log says of why a server could not be reached. Errors of other kinds may hold what a client sent.
pub(crate) fn cause(error: &Error) -> Option<String> {
    matches!(
        error.etype(),
        ConnectError
            | ConnectNoRoute
            | ConnectRefused
            | ConnectTimedout
            | InvalidCert
            | TLSHandshakeFailure
            | TLSHandshakeTimedout
    )
    .then(|| error.to_string())
}

/// Why a request came to no good end.
pub(crate) enum Failure {
    /// There is nobody to answer.
    ClientLeft,
    /// The credential behind an open answer has ended.
    Cut,
    /// What the client sent turned out to be no HTTP.
    Malformed,
    /// With this answer.
    Refused(Refusal),
}

impl Failure {
    pub(crate) fn of(error: &Error, ctx: &mut Ctx) -> Self {
        let line = ctx.line.as_deref();
        let (broken, silent) = line.map_or((false, false), |line| (line.is_broken(), line.patience.has_ended()));
        let starved = line.is_some_and(Line::is_starved);
        let left = line.is_some_and(|line| line.patience.is_capped());
        let cut = line.is_some_and(|line| line.is_cut().is_some());
        match (ctx.late.take(), error.esource(), error.etype()) {
            (Some(late), ..) => Self::Refused(late),
            _ if cut => Self::Cut,
            _ if broken => Self::Malformed,
            // The backend waits for a body that does not come: that is not its fault.
            _ if silent && starved => Self::Refused(Refusal::RequestTimeout),
            // A client that closed its side and heard nothing for that long has left: no fault of the backend's either.
            _ if silent && left => Self::ClientLeft,
            _ if silent => Self::Refused(Refusal::GatewayTimeout),
            (_, ErrorSource::Downstream, InvalidHTTPHeader) => Self::Malformed,
            (_, ErrorSource::Downstream, ReadTimedout) => Self::Refused(Refusal::RequestTimeout),
            (_, ErrorSource::Downstream, _) => Self::ClientLeft,
            (_, _, ReadTimedout) if starved => Self::Refused(Refusal::RequestTimeout),
            (_, _, ReadTimedout | WriteTimedout | ConnectTimedout) => Self::Refused(Refusal::GatewayTimeout),
            _ => Self::Refused(Refusal::BadGateway),
        }
    }
}
