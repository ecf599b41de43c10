//! Waiting, with a deadline.

use crate::error::QuickstartError;
use kompact::prelude::BlockingFutureExt as _;
use std::future::Future;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// When the program gives up. Everything takes a few seconds at most.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for an answer.
pub(crate) fn wait_for<F: Future + Unpin>(
    what: &str,
    answer: F,
) -> Result<F::Output, QuickstartError> {
    answer.wait_timeout(DEADLINE).map_err(|_| timeout(what))
}

/// Waits until `poll` gives something.
pub(crate) fn poll<T>(
    what: &str,
    mut poll: impl FnMut() -> Result<Option<T>, QuickstartError>,
) -> Result<T, QuickstartError> {
    let start = Instant::now();
    loop {
        if let Some(found) = poll()? {
            return Ok(found);
        }
        if start.elapsed() > DEADLINE {
            return Err(timeout(what));
        }
        sleep(Duration::from_millis(5));
    }
}

fn timeout(what: &str) -> QuickstartError {
    QuickstartError::Timeout { what: what.to_owned(), seconds: DEADLINE.as_secs() }
}
